using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>What a path leads to, after symbolic links.</summary>
public enum FileKind { Regular, Folder, Device, Other }

/// <summary>Facts of a file from the file system, not from its content.</summary>
/// <param name="AllocatedBytes">Bytes that it takes on disk; holes take none. On Windows: its length.</param>
/// <param name="Identity">Equal for two paths exactly where they lead to one file.</param>
public readonly record struct FileFacts(FileKind Kind, long Length, long AllocatedBytes, string Identity)
{
    /// <summary>Its numeric owner; of nobody in particular on Windows.</summary>
    public FileOwner Owner { get; init; }

    /// <summary>Facts of <paramref name="path"/>; NotFound where there is none, DataLoss where its symbolic links lead in a circle.</summary>
    public static FileFacts Read(string path)
    {
        var what = $"look at {Ids.Quote(path)}";
        if (!OperatingSystem.IsWindows()) return From(Posix.Stat(path, what));
        try
        {
            var file = new FileInfo(path);
            if (file.Attributes.HasFlag(FileAttributes.Directory)) return new(FileKind.Folder, 0, 0, Path.GetFullPath(path));
            return new(FileKind.Regular, file.Length, file.Length, WindowsFiles.Identify(path));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, what);
        }
    }

    /// <summary>
    /// Opens a regular file for reading, without ever waiting and without locking out its writer, together with its facts;
    /// folders, device nodes and pipes are refused (Unsupported).
    /// </summary>
    public static (SafeFileHandle Handle, FileFacts Facts) OpenRegular(string path)
    {
        var what = $"open {Ids.Quote(path)}";
        if (path.Contains('\0')) throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(path)} is no path.");
        SafeFileHandle handle;
        FileFacts facts;
        if (OperatingSystem.IsWindows())
        {
            facts = Read(path);
            try
            {
                handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw DiskFaults.From(error, what);
            }
        }
        else
        {
            handle = Posix.OpenForReading(path, what);
            facts = From(Posix.Stat(handle, what));
        }
        if (facts.Kind == FileKind.Regular) return (handle, facts);
        handle.Dispose();
        throw new WeaveException(Fault.Unsupported, $"{Ids.Quote(path)} is not a regular file but a {facts.Kind switch { FileKind.Folder => "folder", FileKind.Device => "device node", _ => "pipe or socket" }}.",
            "Use disks that are files.");
    }

    private static FileFacts From(Posix.StatX stat) => new(
        (stat.Mode & 0xf000) switch { 0x8000 => FileKind.Regular, 0x4000 => FileKind.Folder, 0x2000 or 0x6000 => FileKind.Device, _ => FileKind.Other },
        checked((long)stat.Size), checked((long)stat.Blocks * 512), $"{stat.DeviceMajor}:{stat.DeviceMinor}:{stat.Inode}") { Owner = new(stat.User, stat.Group) };
}
