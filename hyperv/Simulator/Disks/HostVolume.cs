using System.Runtime.InteropServices;
using WeaveHypervisor.Disks;
using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator.Disks;

/// <summary>
/// A host's files: real ones below a folder of this system, under their Windows paths without case. What Windows knows beside their content (spelling, read-only marks, rights of machines) is kept here.
/// Errors are <see cref="JobFailure"/>s with Windows' codes.
/// </summary>
internal sealed class HostVolume(string root, long capacity)
{
    private sealed class Mark(string path)
    {
        /// <summary>All marks of one file; those of its links are the same.</summary>
        public List<Mark> Names { get; set; } = [];
        public string Path { get; } = path;
        public Rights File { get; private set; } = new();

        public void Share(Mark other) => File = other.File;
    }

    /// <summary>What belongs to a file, whatever it is called.</summary>
    private sealed class Rights
    {
        public bool ReadOnly { get; set; }
        public HashSet<Guid> Grants { get; } = [];

        public void Take(Rights other)
        {
            ReadOnly = other.ReadOnly;
            Grants.UnionWith(other.Grants);
        }
    }

    private readonly Dictionary<string, Mark> _marks = new(HostPath.Comparer);

    /// <summary>Says who has a file open and how; set by the host, because machines and jobs hold files.</summary>
    public Func<string, FileUse> UseOf { get; set; } = _ => FileUse.None;

    public long Capacity { get; set; } = capacity;

    /// <summary>More than any call of the host adds to the volume, beside what it asks for.</summary>
    private const long MostAdded = 256 << 20;
    private long _mostUsed = long.MaxValue;

    /// <summary>True where so much more fits onto the volume. All files are looked at only where the volume may be nearly full.</summary>
    public bool HasSpace(long bytes)
    {
        if (bytes <= 0) return true;
        if (Capacity < MostAdded + bytes || _mostUsed > Capacity - MostAdded - bytes) _mostUsed = Capacity - FreeBytes;
        if (_mostUsed > Capacity - bytes) return false;
        _mostUsed += MostAdded + bytes;
        return true;
    }

    public long FreeBytes => Math.Max(0, Capacity - new DirectoryInfo(root).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length));

    /// <summary>Where a host's file is on this system.</summary>
    public string Real(string path)
    {
        if (!HostPath.IsAbsolute(path)) throw new JobFailure(0x8007007B, $"The path '{path}' is not valid");
        return Path.Combine([root, .. path.ToLowerInvariant().Replace(":", "", StringComparison.Ordinal).Split('\\', StringSplitOptions.RemoveEmptyEntries)]);
    }

    public string Root => root;

    /// <summary>The Windows path of a file of this system below the root, as it was spelled where it is known.</summary>
    public string Hosted(string real)
    {
        if (Path.GetFullPath(real) != real || !real.StartsWith(root + "/", StringComparison.Ordinal)) return real;
        var parts = Path.GetRelativePath(root, real).Split('/');
        return Spelled(parts[0] + @":\" + string.Join('\\', parts[1..]));
    }

    public bool Exists(string path) => File.Exists(Real(path));
    public bool FolderExists(string path) => Directory.Exists(Real(path));
    public bool IsReadOnly(string path) => _marks.GetValueOrDefault(path)?.File.ReadOnly ?? false;
    public bool IsGranted(string path, Guid machine) => _marks.GetValueOrDefault(path)?.File.Grants.Contains(machine) ?? false;
    public void Grant(string path, Guid machine) => Marked(path).File.Grants.Add(machine);

    /// <summary>Two paths lead to one file: the same one, or links.</summary>
    public bool IsSame(string path, string other) => HostPath.Comparer.Equals(path, other) || (_marks.GetValueOrDefault(path) is { Names.Count: > 1 } mark && mark.Names.Exists(n => HostPath.Comparer.Equals(n.Path, other)));

    /// <summary>All names of a file; none where it is not there.</summary>
    public IReadOnlyList<string> Names(string path) => !Exists(path) ? [] : Marked(path).Names is { Count: > 0 } names ? [.. names.Select(n => n.Path)] : [Marked(path).Path];

    /// <summary>Bytes on disk; null where there is no such file.</summary>
    public long? Measure(string path) => Exists(path) ? FileFacts.Read(Real(path)).AllocatedBytes : null;

    public void SetReadOnly(string path, bool readOnly) => Marked(path).File.ReadOnly = readOnly;

    public byte[] Read(string path) => Exists(path) ? File.ReadAllBytes(Real(path)) : throw NotFound(path);

    /// <summary>Writes a file that is there or not; the folder must be there for callers that are not the host itself.</summary>
    public void Write(string path, ReadOnlySpan<byte> bytes)
    {
        var real = Real(path);
        var grown = bytes.Length - (File.Exists(real) ? new FileInfo(real).Length : 0);
        if (!HasSpace(grown)) throw new JobFailure(JobFailure.DiskFull, $"There is not enough space for '{path}'");
        CreateFolder(HostPath.Folder(path));
        File.WriteAllBytes(real, bytes.ToArray());
        MakePrivate(real);
        if (!_marks.ContainsKey(path)) _marks[path] = new(path);
    }

    /// <summary>A file has been made at its real place.</summary>
    public void Register(string path) => _marks[path] = new(path);

    /// <summary>Puts one file in place of another, whose rights it gets.</summary>
    public void Replace(string path, string by)
    {
        var (old, moved, now) = (Marked(path), Marked(by), new Mark(path));
        File.Move(Real(by), Real(path), overwrite: true);
        moved.File.Take(old.File);
        now.Share(moved);
        old.Names.Remove(old);
        if (moved.Names.Remove(moved)) (now.Names = moved.Names).Add(now);
        _marks.Remove(by);
        _marks[path] = now;
    }

    /// <summary>The same for callers that are not the host itself.</summary>
    public void Swap(string by, string path)
    {
        foreach (var file in (string[])[by, path])
        {
            if (!Exists(file)) throw NotFound(file);
            if (UseOf(file) != FileUse.None) throw Sharing(file);
        }
        Replace(path, by);
    }

    public void CreateFolder(string folder)
    {
        if (folder.Length < 3 || folder.EndsWith(':')) return;
        if (!FolderExists(folder)) CreateFolder(HostPath.Folder(folder));
        Directory.CreateDirectory(Real(folder));
        _marks.TryAdd(folder, new(folder));
    }

    /// <summary>A copy is a new file: it has nobody's rights.</summary>
    public void Copy(string from, string to, bool evenInUse = false)
    {
        if (!Exists(from)) throw NotFound(from);
        if (!evenInUse && UseOf(from) == FileUse.Exclusive && from.EndsWith("vhdx", StringComparison.OrdinalIgnoreCase)) throw Sharing(from);
        if (Exists(to)) throw AlreadyThere(to);
        if (!FolderExists(HostPath.Folder(to))) throw new JobFailure(0x80070003, $"There is no folder for '{to}'");
        if (!HasSpace(new FileInfo(Real(from)).Length)) throw new JobFailure(JobFailure.DiskFull, $"There is not enough space for '{to}'");
        File.Copy(Real(from), Real(to));
        MakePrivate(Real(to));
        Register(to);
    }

    /// <summary>A second name of the same file: what is written under one is read under the other; it is read-only, and machines have rights to it, as that.</summary>
    public void Link(string existing, string link)
    {
        if (!Exists(existing)) throw NotFound(existing);
        if (Exists(link)) throw AlreadyThere(link);
        CreateFolder(HostPath.Folder(link));
        if (MakeLink(Real(existing), Real(link)) != 0) throw new IOException($"No link at {Real(link)} ({Marshal.GetLastPInvokeError()}).");
        var (old, made) = (Marked(existing), new Mark(link));
        if (old.Names.Count == 0) old.Names = [old];
        old.Names.Add(made);
        made.Names = old.Names;
        made.Share(old);
        _marks[link] = made;
    }

    public void Delete(string path)
    {
        var below = (FolderExists(path) ? Below(path, true).Append(path) : [path]).ToList();
        if (below.Find(p => UseOf(p) != FileUse.None) is { } used) throw Sharing(used);
        if (FolderExists(path)) Directory.Delete(Real(path), recursive: true);
        else if (Exists(path)) File.Delete(Real(path));
        foreach (var gone in below)
            if (_marks.Remove(gone, out var mark)) mark.Names.Remove(mark);
    }

    public IReadOnlyList<HostFile> List(string folder, bool below) => FolderExists(folder) ? [.. Below(folder, below).Order(HostPath.Comparer).Select(p => Find(p)!)] : [];

    private IEnumerable<string> Below(string folder, bool all) =>
        Directory.EnumerateFileSystemEntries(Real(folder), "*", all ? SearchOption.AllDirectories : SearchOption.TopDirectoryOnly).Select(Hosted);

    public HostFile? Find(string path) => FolderExists(path) ? new(Spelled(path), true, 0, false) : Exists(path) ? new(Spelled(path), false, new FileInfo(Real(path)).Length, IsReadOnly(path)) : null;

    private static void MakePrivate(string real)
    {
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(real, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    private string Spelled(string path) => _marks.GetValueOrDefault(path)?.Path ?? path;
    /// <summary>Files that were made past the host are known by their paths alone.</summary>
    private Mark Marked(string path) => _marks.GetValueOrDefault(path) ?? (Exists(path) ? _marks[path] = new(path) : throw NotFound(path));
    private static JobFailure NotFound(string path) => new(JobFailure.FileNotFound, $"The system cannot find the file '{path}'");
    private static JobFailure AlreadyThere(string path) => new(JobFailure.FileExists, $"The file '{path}' exists");

    [DllImport("libc", EntryPoint = "link", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int MakeLink([MarshalAs(UnmanagedType.LPUTF8Str)] string existing, [MarshalAs(UnmanagedType.LPUTF8Str)] string link);

    public static JobFailure Sharing(string path) => new(JobFailure.SharingViolation, $"The process cannot access '{path}' because it is being used by another process");
}

/// <summary>How a file is open.</summary>
internal enum FileUse
{
    None,
    /// <summary>For reading, and for others to read.</summary>
    Shared,
    /// <summary>For writing: nobody else may open it.</summary>
    Exclusive,
}
