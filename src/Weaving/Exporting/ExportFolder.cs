using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Exporting;

/// <summary>
/// Folders of the host that a caller names, and in which the service writes or reads with its own rights. So nobody else may be able to swap a part of the way for a link in between: every folder
/// on the way must belong to root or to the service's user, must be no link, and nobody else may write to it, but where only owners may rename and delete (the sticky bit, as of /tmp).
/// What is made there is the service's own, 0700 and 0600, because images hold secrets.
/// </summary>
internal static class ExportFolder
{
    private const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const int LongestPath = 1024;

    /// <summary>InvalidRequest for what is no full path of a folder, written in full. Looks at the text alone.</summary>
    public static string Parse(string? text)
    {
        if (string.IsNullOrEmpty(text) || text.Length > LongestPath || text.Any(char.IsControl) || !Path.IsPathFullyQualified(text))
            throw Invalid($"{Ids.QuotePath(text)} is no full path.", "Give the full path of a folder on the service's host.");
        var path = Path.TrimEndingDirectorySeparator(text);
        if (Path.GetFullPath(path) != path || Path.GetDirectoryName(path) is null) throw Invalid($"{Ids.QuotePath(text)} is no plain path of a folder.", "Leave `.`, `..` and doubled slashes out.");
        return path;
    }

    /// <summary>The folder may be made: its parent is there and safe, it itself is not there or is empty, and neither is in the pool at <paramref name="pool"/>, nor the pool in it. True where it is there.</summary>
    public static bool CheckNew(string path, string pool)
    {
        var parent = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(parent)) throw Invalid($"There is no folder {Ids.QuotePath(parent)} on the service's host.", "Make it first, as root.");
        CheckWay(parent);
        CheckApart(path, pool);
        if (Directory.Exists(path))
        {
            CheckOne(path);
            if (Directory.EnumerateFileSystemEntries(path).Any()) throw new WeaveException(Fault.Conflict, $"The folder {Ids.QuotePath(path)} is not empty.", "Name one that is not there yet, or empty it.");
            return true;
        }
        if (Path.Exists(path) || new FileInfo(path).LinkTarget is not null) throw new WeaveException(Fault.Conflict, $"{Ids.QuotePath(path)} is there already, and no folder.", "Name a folder that is not there yet.");
        return false;
    }

    /// <summary>The folder may be read: it is there, and so safe that its files stay those that were checked.</summary>
    public static void CheckRead(string path)
    {
        if (!Directory.Exists(path)) throw new WeaveException(Fault.NotFound, $"There is no folder {Ids.QuotePath(path)} on the service's host.", "Name a folder that `weave export` made.");
        CheckWay(path);
    }

    /// <summary>Makes a folder of ours in a safe one, durably.</summary>
    public static void Make(string path) => DurableFile.CreateDirectory(path, Mode);

    /// <summary>Removes a folder of ours with all that is in it. Gone is success.</summary>
    public static void Remove(string path)
    {
        try
        {
            if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
            if (Path.GetDirectoryName(path) is { } parent && Directory.Exists(parent)) DurableFile.SyncFolder(parent);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(e, $"remove the folder {Ids.QuotePath(path)}");
        }
    }

    /// <summary>Gives a finished folder its name. An empty folder of that name gives way. Already done: success. DataLoss where somebody has removed what was made.</summary>
    public static void Publish(string staging, string path)
    {
        try
        {
            if (!Directory.Exists(staging))
            {
                if (File.Exists(Path.Combine(path, ExportManifest.FileName))) return;
                throw new WeaveException(Fault.DataLoss, $"What was written into {Ids.QuotePath(staging)} is gone.", "Export again, and leave that folder alone until it has its name.");
            }
            if (Directory.Exists(path)) Directory.Delete(path);
            Directory.Move(staging, path);
            DurableFile.SyncFolder(Path.GetDirectoryName(path)!);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(e, $"name the folder {Ids.QuotePath(path)}");
        }
    }

    private static void CheckWay(string path)
    {
        for (string? at = path; at is not null; at = Path.GetDirectoryName(at)) CheckOne(at);
    }

    private static void CheckOne(string path)
    {
        if (OperatingSystem.IsWindows()) return;
        if (new FileInfo(path).LinkTarget is not null) throw Unsafe(path, "is a symbolic link");
        var owner = FileFacts.Read(path).Owner.User;
        if (owner != 0 && owner != FileFacts.Read("/proc/self").Owner.User) throw Unsafe(path, $"belongs to user {owner}");
        var mode = File.GetUnixFileMode(path);
        if ((mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0 && (mode & UnixFileMode.StickyBit) == 0) throw Unsafe(path, "may be written to by others");
    }

    private static void CheckApart(string path, string pool)
    {
        if (IsWithin(path, pool) || IsWithin(pool, path)) throw Invalid($"{Ids.QuotePath(path)} and the pool {Ids.QuotePath(pool)} are one within the other.", "Name a folder outside of it.");
    }

    /// <summary>By what the folders are, not by their names: the pool may be named through a link.</summary>
    private static bool IsWithin(string path, string folder)
    {
        if (!Directory.Exists(folder)) return path == folder || path.StartsWith(folder + Path.DirectorySeparatorChar, StringComparison.Ordinal);
        var identity = FileFacts.Read(folder).Identity;
        for (string? at = path; at is not null; at = Path.GetDirectoryName(at))
            if (Directory.Exists(at) && FileFacts.Read(at).Identity == identity) return true;
        return false;
    }

    private static WeaveException Invalid(string message, string next) => new(Fault.InvalidRequest, message, next);
    private static WeaveException Unsafe(string path, string why) => Invalid($"{Ids.QuotePath(path)} {why}: a service that writes and reads there with its own rights could be led elsewhere.",
        "Use a folder that only root (or the service's user) can change on its whole way, for example below /root, /srv or /var/lib; give it away afterwards with `chown -R`.");
}
