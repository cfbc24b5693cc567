using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>Numeric owner of a file. Given only where another user (QEMU's) must open it.</summary>
public readonly record struct FileOwner(uint User, uint Group);

/// <summary>
/// Files that are whole or absent after a crash at any instant: written beside their place, synced, renamed into it, the folder synced.
/// All errors are <see cref="WeaveException"/>s. On Windows folders cannot be synced (NTFS journals names itself) and modes and owners are ignored.
/// </summary>
public static class DurableFile
{
    /// <summary>Read and write for the owner alone (0600).</summary>
    public const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>The name beside <paramref name="path"/> under which it is written; a crash may leave it, a repeat overwrites it.</summary>
    public static string PartOf(string path) => path + ".part";

    /// <summary>Creates or replaces <paramref name="path"/> with what <paramref name="write"/> writes. After an error the old content is there still; only where the name could not be synced in the end it may be the new one.</summary>
    public static void Write(string path, Action<FileStream> write, UnixFileMode mode = Private, FileOwner? owner = null)
    {
        var part = PartOf(path);
        try
        {
            try
            {
                using (var file = OpenPart(path, mode))
                {
                    FileFaults.Pass("write", part);
                    write(file);
                    FileFaults.Pass("sync", part);
                    file.Flush(flushToDisk: true);
                }
                Commit(path, mode, owner);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw DiskFaults.From(error, $"write {Ids.Quote(path)}", writes: true);
            }
        }
        catch
        {
            TryDelete(part);
            throw;
        }
    }

    /// <summary>As <see cref="Write"/>, for content that arrives slowly; also after a cancellation nothing of it is left.</summary>
    /// <returns>What <paramref name="write"/> answers.</returns>
    public static async Task<T> WriteAsync<T>(string path, Func<FileStream, Task<T>> write, UnixFileMode mode = Private, FileOwner? owner = null)
    {
        var part = PartOf(path);
        try
        {
            try
            {
                T answer;
                using (var file = OpenPart(path, mode))
                {
                    answer = await write(file).ConfigureAwait(false);
                    FileFaults.Pass("sync", part);
                    file.Flush(flushToDisk: true);
                }
                Commit(path, mode, owner);
                return answer;
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw DiskFaults.From(error, $"write {Ids.QuotePath(path)}", writes: true);
            }
        }
        catch
        {
            TryDelete(part);
            throw;
        }
    }

    /// <summary>Opens the part file anew and empty, with <paramref name="mode"/> from its first moment.</summary>
    public static FileStream OpenPart(string path, UnixFileMode mode = Private, FileOptions options = FileOptions.None)
    {
        var part = PartOf(path);
        try
        {
            // A part file that a crash left may have another mode, or be somebody's link: never written through.
            FileFaults.Pass("create", part);
            File.Delete(part);
            var how = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Share = FileShare.Read, BufferSize = 0, Options = options };
            if (!OperatingSystem.IsWindows()) how.UnixCreateMode = mode;
            return new FileStream(part, how);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"create {Ids.Quote(part)}", writes: true);
        }
    }

    /// <summary>Renames the part file, which the caller has written and synced, into place and syncs the folder. Replaces what is there.</summary>
    public static void Commit(string path, UnixFileMode mode = Private, FileOwner? owner = null)
    {
        var part = PartOf(path);
        try
        {
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(part, mode);       // the creation mode passed through the umask
                if (owner is { } to) Posix.ChangeOwner(part, to.User, to.Group, $"give {Ids.Quote(part)} to user {to.User}");
            }
            FileFaults.Pass("rename", path);
            File.Move(part, path, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"move {Ids.Quote(part)} into place", writes: true);
        }
        SyncFolder(FolderOf(path));
    }

    /// <summary>Makes a folder and the missing ones above it with <paramref name="mode"/>, durably. There already: its mode and owner are set all the same.</summary>
    public static void CreateDirectory(string path, UnixFileMode mode, FileOwner? owner = null)
    {
        path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        try
        {
            if (!Directory.Exists(path))
            {
                FileFaults.Pass("create folder", path);
                var above = FolderOf(path);
                if (!Directory.Exists(above)) CreateDirectory(above, mode, owner);
                if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
                else Directory.CreateDirectory(path, mode);
                SyncFolder(above);
            }
            if (OperatingSystem.IsWindows()) return;
            if (File.GetUnixFileMode(path) != mode) File.SetUnixFileMode(path, mode);
            if (owner is { } to) Posix.ChangeOwner(path, to.User, to.Group, $"give {Ids.Quote(path)} to user {to.User}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"create the folder {Ids.Quote(path)}", writes: true);
        }
    }

    /// <summary>Deletes a file, and what a crash left beside it, so that it is gone after a power cut too. Not there: success.</summary>
    public static void Delete(string path)
    {
        var folder = FolderOf(path);
        try
        {
            if (!Directory.Exists(folder)) return;
            FileFaults.Pass("delete", path);
            File.Delete(path);
            File.Delete(PartOf(path));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"delete {Ids.Quote(path)}");
        }
        SyncFolder(folder);
    }

    /// <summary>Gives a file to <paramref name="owner"/>, with <paramref name="mode"/>; never what a link of that name leads to.</summary>
    public static void Own(string path, FileOwner owner, UnixFileMode mode = Private)
    {
        if (OperatingSystem.IsWindows()) return;
        try
        {
            File.SetUnixFileMode(path, mode);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"set the mode of {Ids.Quote(path)}");
        }
        Posix.ChangeOwner(path, owner.User, owner.Group, $"give {Ids.Quote(path)} to user {owner.User}");
    }

    /// <summary>Syncs the content of a file that another program has written.</summary>
    public static void SyncFile(string path)
    {
        if (OperatingSystem.IsWindows()) return;
        var what = $"sync {Ids.Quote(path)}";
        using var handle = Posix.OpenForReading(path, what);
        Posix.Sync(handle, what);
    }

    /// <summary>Syncs the names in a folder to disk; nothing on Windows.</summary>
    public static void SyncFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) return;
        var what = $"sync the folder {Ids.Quote(folder)}";
        try
        {
            FileFaults.Pass("sync folder", folder);
        }
        catch (IOException error)
        {
            throw DiskFaults.From(error, what, writes: true);
        }
        using var handle = Posix.OpenForReading(folder, what);
        Posix.Sync(handle, what);
    }

    /// <summary>Deletes best-effort, for use after another error that matters more.</summary>
    public static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
        }
    }

    private static string FolderOf(string path) => Path.GetDirectoryName(Path.GetFullPath(path)) ?? path;
}
