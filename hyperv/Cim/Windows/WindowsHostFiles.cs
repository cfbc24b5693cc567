using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.AccessControl;
using System.Security.Principal;

namespace WeaveHypervisor.HyperV.Cim.Windows;

/// <summary>The files of this host. Links and rights need NTFS or ReFS; free space is known of volumes with a drive letter only.</summary>
[SupportedOSPlatform("windows")]
public sealed class WindowsHostFiles : IHostFiles
{
    private const int MaxSmallFile = 1024 * 1024;
    private const int CopyBuffer = 1024 * 1024;

    public Task<HostFile?> FindAsync(string path, CancellationToken stop) => Try($"Looking for {path}", () =>
        Task.FromResult(Directory.Exists(path) ? new HostFile(path, true, 0, false) : new FileInfo(path) is { Exists: true } file ? Describe(file) : null));

    public Task<IReadOnlyList<HostFile>> ListAsync(string folder, bool below, CancellationToken stop) => Try<IReadOnlyList<HostFile>>($"Listing {folder}", () => Task.FromResult<IReadOnlyList<HostFile>>(
        !Directory.Exists(folder) ? [] : [.. new DirectoryInfo(folder).EnumerateFileSystemInfos("*", below ? SearchOption.AllDirectories : SearchOption.TopDirectoryOnly).Select(Describe).OrderBy(f => f.Path, HostPath.Comparer)]));

    public Task CreateFolderAsync(string folder, CancellationToken stop) => Try($"Making the folder {folder}", () => Task.FromResult(Directory.CreateDirectory(folder)));

    public Task CopyAsync(string from, string to, CancellationToken stop) => Try($"Copying {from} to {to}", async () =>
    {
        await using var source = new FileStream(from, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, CopyBuffer, FileOptions.Asynchronous | FileOptions.SequentialScan);
        var target = new FileStream(to, FileMode.CreateNew, FileAccess.Write, FileShare.None, CopyBuffer, FileOptions.Asynchronous);
        try
        {
            await using (target)
            {
                await source.CopyToAsync(target, CopyBuffer, stop);
                target.Flush(flushToDisk: true);
            }
        }
        catch
        {
            File.Delete(to);
            throw;
        }
        return true;
    });

    public Task LinkAsync(string existing, string link, CancellationToken stop) => Try($"Linking {existing} as {link}", () =>
        CreateHardLink(link, existing, 0) ? Task.FromResult(true) : throw new IOException(new Win32Exception().Message, Marshal.GetHRForLastWin32Error()));

    public Task DeleteAsync(string path, CancellationToken stop) => Try($"Deleting {path}", () =>
    {
        if (Directory.Exists(path))
        {
            foreach (var file in Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories)) File.SetAttributes(file, FileAttributes.Normal);
            Directory.Delete(path, recursive: true);
        }
        else if (File.Exists(path))
        {
            File.SetAttributes(path, FileAttributes.Normal);
            File.Delete(path);
        }
        return Task.FromResult(true);
    });

    public Task SetReadOnlyAsync(string path, bool readOnly, CancellationToken stop) => Try($"Marking {path}", () =>
    {
        new FileInfo(path).IsReadOnly = readOnly;
        return Task.FromResult(true);
    });

    public Task GrantAsync(string path, Guid machine, CancellationToken stop) => Try($"Granting {path} to the virtual machine {machine}", () =>
    {
        var file = new FileInfo(path);
        var rights = file.GetAccessControl();
        rights.AddAccessRule(new FileSystemAccessRule(new NTAccount("NT VIRTUAL MACHINE", machine.ToString("D").ToUpperInvariant()), FileSystemRights.Read | FileSystemRights.Write | FileSystemRights.Synchronize, AccessControlType.Allow));
        file.SetAccessControl(rights);
        return Task.FromResult(true);
    });

    public Task<long> FreeBytesAsync(string path, CancellationToken stop) => Try($"Asking for the free space at {path}", () => Task.FromResult(new DriveInfo(Path.GetPathRoot(path) ?? path).AvailableFreeSpace));

    public Task<byte[]?> ReadAsync(string path, CancellationToken stop) => Try($"Reading {path}", async () =>
    {
        if (new FileInfo(path) is not { Exists: true } file) return null;
        if (file.Length > MaxSmallFile) throw new IOException($"It has {file.Length} bytes and is no small file.");
        return (byte[]?)await File.ReadAllBytesAsync(path, stop);
    });

    public Task WriteAsync(string path, ReadOnlyMemory<byte> bytes, CancellationToken stop) => Try($"Writing {path}", async () =>
    {
        var aside = path + ".new";
        await using (var file = new FileStream(aside, FileMode.Create, FileAccess.Write, FileShare.None, 4096, FileOptions.Asynchronous))
        {
            await file.WriteAsync(bytes, stop);
            file.Flush(flushToDisk: true);
        }
        File.Move(aside, path, overwrite: true);
        return true;
    });

    private static HostFile Describe(FileSystemInfo info) => info is FileInfo file ? new(file.FullName, false, file.Length, file.IsReadOnly) : new(info.FullName, true, 0, false);

    private static async Task<T> Try<T>(string what, Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or IdentityNotMappedException or ArgumentException)
        {
            throw HostErrors.OfFile(e, what);
        }
    }

    [DllImport("kernel32.dll", EntryPoint = "CreateHardLinkW", CharSet = CharSet.Unicode, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static extern bool CreateHardLink(string link, string existing, nint reserved);
}
