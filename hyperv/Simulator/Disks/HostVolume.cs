using System.Runtime.InteropServices;
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
        public string Path { get; } = path;
        public bool ReadOnly { get; set; }
        public HashSet<Guid> Grants { get; } = [];
    }

    private readonly Dictionary<string, Mark> _marks = new(HostPath.Comparer);

    /// <summary>Says who has a file open and how; set by the host, because machines and jobs hold files.</summary>
    public Func<string, FileUse> UseOf { get; set; } = _ => FileUse.None;

    public long Capacity { get; set; } = capacity;

    public long FreeBytes => Math.Max(0, Capacity - _marks.Keys.Sum(p => File.Exists(Real(p)) ? new FileInfo(Real(p)).Length : 0));

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
        var parts = Path.GetRelativePath(root, real).Split('/');
        var path = parts[0] + @":\" + string.Join('\\', parts[1..]);
        return Spelled(path);
    }

    public bool Exists(string path) => File.Exists(Real(path));
    public bool FolderExists(string path) => Directory.Exists(Real(path));
    public bool IsReadOnly(string path) => _marks.GetValueOrDefault(path)?.ReadOnly ?? false;
    public bool IsGranted(string path, Guid machine) => _marks.GetValueOrDefault(path)?.Grants.Contains(machine) ?? false;
    public void Grant(string path, Guid machine) => Marked(path).Grants.Add(machine);
    public void SetReadOnly(string path, bool readOnly) => Marked(path).ReadOnly = readOnly;

    public byte[] Read(string path) => Exists(path) ? File.ReadAllBytes(Real(path)) : throw NotFound(path);

    /// <summary>Writes a file that is there or not; the folder must be there for callers that are not the host itself.</summary>
    public void Write(string path, ReadOnlySpan<byte> bytes)
    {
        var real = Real(path);
        var grown = bytes.Length - (File.Exists(real) ? new FileInfo(real).Length : 0);
        if (grown > FreeBytes) throw new JobFailure(JobFailure.DiskFull, $"There is not enough space for '{path}'");
        CreateFolder(HostPath.Folder(path));
        File.WriteAllBytes(real, bytes.ToArray());
        if (!_marks.ContainsKey(path)) _marks[path] = new(path);
    }

    /// <summary>A file has been made at its real place.</summary>
    public void Register(string path) => _marks[path] = new(path);

    /// <summary>Puts one file in place of another, whose rights it gets.</summary>
    public void Replace(string path, string by)
    {
        File.Move(Real(by), Real(path), overwrite: true);
        _marks.Remove(by);
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
        if (!evenInUse && UseOf(from) == FileUse.Exclusive && _marks[from].Path.EndsWith("vhdx", StringComparison.OrdinalIgnoreCase)) throw Sharing(from);
        if (Exists(to)) throw AlreadyThere(to);
        if (!FolderExists(HostPath.Folder(to))) throw new JobFailure(0x80070003, $"There is no folder for '{to}'");
        if (new FileInfo(Real(from)).Length > FreeBytes) throw new JobFailure(JobFailure.DiskFull, $"There is not enough space for '{to}'");
        File.Copy(Real(from), Real(to));
        Register(to);
    }

    /// <summary>A second name of the same file: what is written under one is read under the other. Rights are as they are at the time.</summary>
    public void Link(string existing, string link)
    {
        if (!Exists(existing)) throw NotFound(existing);
        if (Exists(link)) throw AlreadyThere(link);
        CreateFolder(HostPath.Folder(link));
        if (MakeLink(Real(existing), Real(link)) != 0) throw new IOException($"No link at {Real(link)} ({Marshal.GetLastPInvokeError()}).");
        _marks[link] = new(link) { ReadOnly = IsReadOnly(existing) };
        foreach (var machine in _marks[existing].Grants) _marks[link].Grants.Add(machine);
    }

    public void Delete(string path)
    {
        var below = _marks.Keys.Where(p => p.Equals(path, StringComparison.OrdinalIgnoreCase) || HostPath.IsBelow(p, path)).ToList();
        if (below.Find(p => UseOf(p) != FileUse.None) is { } used) throw Sharing(used);
        if (FolderExists(path)) Directory.Delete(Real(path), recursive: true);
        else File.Delete(Real(path));
        below.ForEach(p => _marks.Remove(p));
    }

    public IReadOnlyList<HostFile> List(string folder, bool below) =>
        [.. _marks.Keys.Where(p => HostPath.IsBelow(p, folder) && (below || HostPath.Folder(p).Equals(folder.TrimEnd('\\'), StringComparison.OrdinalIgnoreCase))).Order(HostPath.Comparer).Select(p => Find(p)!)];

    public HostFile? Find(string path) => FolderExists(path) ? new(Spelled(path), true, 0, false) : Exists(path) ? new(Spelled(path), false, new FileInfo(Real(path)).Length, IsReadOnly(path)) : null;

    private string Spelled(string path) => _marks.GetValueOrDefault(path)?.Path ?? path;
    private Mark Marked(string path) => _marks.GetValueOrDefault(path) ?? throw NotFound(path);
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
