namespace WeaveHypervisor.HyperV.Cim;

/// <summary>A file or folder of a host.</summary>
/// <param name="Path">Absolute, in the host's spelling.</param>
/// <param name="Length">Bytes that it holds; 0 for a folder.</param>
public sealed record HostFile(string Path, bool IsFolder, long Length, bool IsReadOnly);

/// <summary>
/// What is done with a host's files beside its CIM classes, which do not reach export folders and disk files. Paths are absolute ones of Windows (<see cref="HostPath"/>).
/// Errors are <see cref="HostException"/>s. Each call may be made again after it failed. Safe for parallel calls.
/// </summary>
public interface IHostFiles
{
    /// <summary>Null where there is nothing of that name.</summary>
    Task<HostFile?> FindAsync(string path, CancellationToken stop);

    /// <summary>What is in a folder, by name; with <paramref name="below"/> also what is in the folders within it. Empty where there is no such folder.</summary>
    Task<IReadOnlyList<HostFile>> ListAsync(string folder, bool below, CancellationToken stop);

    /// <summary>Makes a folder and those above it; there already: success.</summary>
    Task CreateFolderAsync(string folder, CancellationToken stop);

    /// <summary>Copies a file, also one that others write to. <see cref="HostErrorKind.AlreadyExists"/> where the target is there; a copy that fails leaves none.</summary>
    Task CopyAsync(string from, string to, CancellationToken stop);

    /// <summary>A second name, on the same volume, for a file.</summary>
    Task LinkAsync(string existing, string link, CancellationToken stop);

    /// <summary>
    /// Puts a file in the place of another, under that one's name and with its rights, in one step; other names of what was there still lead to that. <see cref="HostErrorKind.InUse"/> where somebody has either open,
    /// <see cref="HostErrorKind.NotFound"/> where either is not there.
    /// </summary>
    Task ReplaceAsync(string from, string to, CancellationToken stop);

    /// <summary>Deletes a file, also a read-only one, or a folder with all in it; gone already: success. <see cref="HostErrorKind.InUse"/> where somebody has it open.</summary>
    Task DeleteAsync(string path, CancellationToken stop);

    /// <summary>Forbids, or allows, to write to a file.</summary>
    Task SetReadOnlyAsync(string path, bool readOnly, CancellationToken stop);

    /// <summary>Lets a virtual machine (<c>NT VIRTUAL MACHINE\guid</c>) read and write a file, as the management service does for those that it attaches.</summary>
    Task GrantAsync(string path, Guid machine, CancellationToken stop);

    /// <summary>Bytes that can still be written where the path is or would be.</summary>
    Task<long> FreeBytesAsync(string path, CancellationToken stop);

    /// <summary>The whole of a small file (16 MiB at most); null where there is none.</summary>
    Task<byte[]?> ReadAsync(string path, CancellationToken stop);

    /// <summary>Writes a small file whole: aside, synced, then in place of what was there.</summary>
    Task WriteAsync(string path, ReadOnlyMemory<byte> bytes, CancellationToken stop);

    /// <summary>All names of a file (<see cref="LinkAsync"/>), the given one among them, in the host's spelling; empty where there is no such file. Two paths are of one file exactly where one is among the names of the other.</summary>
    Task<IReadOnlyList<string>> NamesAsync(string path, CancellationToken stop);

    /// <summary>Bytes that a file takes on disk, holes left out; null where there is none.</summary>
    Task<long?> MeasureAsync(string path, CancellationToken stop);

    /// <summary>
    /// What somebody writes into a named pipe that he has opened for others (<c>\\.\pipe\NAME</c>), as the serial port of a machine that runs does, from now on: <paramref name="length"/> bytes of ASCII, or fewer where no more come in
    /// <paramref name="patience"/>. Empty where nothing came, or no such pipe was there.
    /// </summary>
    Task<string> ListenAsync(string pipe, int length, TimeSpan patience, CancellationToken stop);

    /// <summary>Where this process reaches a file of the host, as the readers and writers of disks need it. The same path on the host itself.</summary>
    string Local(string path);

    /// <summary>The host's path of a file that this process reaches at <paramref name="local"/>; the opposite of <see cref="Local"/>. What is not the host's comes back as a path that is not absolute there.</summary>
    string Hosted(string local);
}

/// <summary>Text of Windows paths, on any system. Two paths name the same file where they differ in case only (<see cref="Comparer"/>).</summary>
public static class HostPath
{
    public static StringComparer Comparer => StringComparer.OrdinalIgnoreCase;

    /// <summary>Appends names to a folder.</summary>
    public static string Join(string folder, params ReadOnlySpan<string> names)
    {
        foreach (var name in names) folder = folder.TrimEnd('\\') + '\\' + name;
        return folder;
    }

    /// <summary>What is after the last backslash.</summary>
    public static string Name(string path) => path[(path.LastIndexOf('\\') + 1)..];

    /// <summary>The name without its ending.</summary>
    public static string Stem(string path) => Name(path) is var name && name.LastIndexOf('.') is var dot and > 0 ? name[..dot] : name;

    /// <summary>The ending of the name with its dot; empty where there is none.</summary>
    public static string Ending(string path) => Name(path)[Stem(path).Length..];

    /// <summary>The folder of a path; empty at a root.</summary>
    public static string Folder(string path) => path.TrimEnd('\\').LastIndexOf('\\') is var cut and > 0 ? path[..cut] : "";

    /// <summary>
    /// True for <c>C:\a\b</c> and <c>\\server\share\a</c> in their plain form: no empty, <c>.</c> or <c>..</c> part, no forward slash, no device prefix, no stream, and none of the characters that names cannot have.
    /// </summary>
    public static bool IsAbsolute(string? path)
    {
        if (path is null || path.Length is < 3 or > 32000) return false;
        var share = path.StartsWith(@"\\", StringComparison.Ordinal);
        if (!share && !(char.IsAsciiLetter(path[0]) && path[1] == ':' && path[2] == '\\')) return false;
        var parts = path[(share ? 2 : 3)..].Split('\\');
        if (!share && parts is [""]) return true;
        return (!share || parts.Length >= 2) && Array.TrueForAll(parts, p => p.Length > 0 && p is not ("." or "..") && p.AsSpan().IndexOfAny("<>:\"/|?*") < 0 && !p.Any(char.IsControl) && p[^1] is not (' ' or '.'));
    }

    /// <summary>True where the path lies below the folder.</summary>
    public static bool IsBelow(string path, string folder) => path.StartsWith(folder.TrimEnd('\\') + '\\', StringComparison.OrdinalIgnoreCase);
}
