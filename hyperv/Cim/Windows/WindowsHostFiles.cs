using System.ComponentModel;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.AccessControl;
using System.Security.Principal;
using System.Text;

namespace WeaveHypervisor.HyperV.Cim.Windows;

/// <summary>The files of this host. Links and rights need NTFS or ReFS; free space is known of volumes with a drive letter only.</summary>
[SupportedOSPlatform("windows")]
public sealed class WindowsHostFiles : IHostFiles
{
    private const int MaxSmallFile = 16 * 1024 * 1024;
    private const int CopyBuffer = 1024 * 1024;
    private const int MostPathCharacters = 32768;

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
        CreateHardLink(link, existing, 0) ? Task.FromResult(true) : throw Failed());

    public Task ReplaceAsync(string from, string to, CancellationToken stop) => Try($"Putting {from} in the place of {to}", () =>
    {
        // What is moved takes its own rights along.
        var rights = new FileInfo(to).GetAccessControl();
        rights.SetAccessRuleProtection(isProtected: rights.AreAccessRulesProtected, preserveInheritance: true);
        new FileInfo(from).SetAccessControl(rights);
        if (new FileInfo(to) is { IsReadOnly: true } marked) marked.IsReadOnly = false;
        File.Move(from, to, overwrite: true);
        return Task.FromResult(true);
    });

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

    public Task<IReadOnlyList<string>> NamesAsync(string path, CancellationToken stop) => Try<IReadOnlyList<string>>($"Looking for the names of {path}", () => Task.FromResult<IReadOnlyList<string>>(File.Exists(path) ? [.. Names(path)] : []));

    public Task<long?> MeasureAsync(string path, CancellationToken stop) => Try($"Measuring {path}", () => Task.FromResult(File.Exists(path) ? Measure(path) : (long?)null));

    public Task<string> ListenAsync(string pipe, int length, TimeSpan patience, CancellationToken stop) => Try($"Listening at {pipe}", async () =>
    {
        const string prefix = @"\\.\pipe\";
        if (!pipe.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)) throw new ArgumentException($"'{pipe}' is no named pipe of this host.", nameof(pipe));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(patience);
        var (bytes, filled) = (new byte[length], 0);
        // A machine's worker process is the server, and takes one client.
        await using var client = new NamedPipeClientStream(".", pipe[prefix.Length..], PipeDirection.InOut, PipeOptions.Asynchronous);
        try
        {
            await client.ConnectAsync(limit.Token);
            while (filled < length && await client.ReadAsync(bytes.AsMemory(filled), limit.Token) is var read and > 0) filled += read;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // No more in time: what came is the answer.
        }
        return Encoding.ASCII.GetString(bytes, 0, filled);
    });

    public string Local(string path) => path;
    public string Hosted(string local) => local;

    private static long Measure(string path)
    {
        var low = GetCompressedFileSize(path, out var high);
        return low == uint.MaxValue && Marshal.GetLastPInvokeError() != 0 ? throw Failed() : (long)high << 32 | low;
    }

    private static IOException Failed() => new(new Win32Exception().Message, Marshal.GetHRForLastWin32Error());

    /// <summary>NTFS tells names without the volume.</summary>
    private static IEnumerable<string> Names(string path)
    {
        var volume = Path.GetPathRoot(Path.GetFullPath(path))!.TrimEnd('\\');
        var name = new char[MostPathCharacters];
        var length = (uint)name.Length;
        var find = FindFirstFileName(path, 0, ref length, name);
        if (find == -1) throw Failed();
        try
        {
            do
            {
                yield return volume + new string(name.AsSpan(0, Math.Max(0, (int)length - 1)));
                length = (uint)name.Length;
            }
            while (FindNextFileName(find, ref length, name));
        }
        finally
        {
            FindClose(find);
        }
    }

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

    [DllImport("kernel32.dll", EntryPoint = "FindFirstFileNameW", CharSet = CharSet.Unicode, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern nint FindFirstFileName(string path, uint flags, ref uint length, [Out] char[] name);

    [DllImport("kernel32.dll", EntryPoint = "FindNextFileNameW", CharSet = CharSet.Unicode, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static extern bool FindNextFileName(nint find, ref uint length, [Out] char[] name);

    [DllImport("kernel32.dll", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static extern bool FindClose(nint find);

    [DllImport("kernel32.dll", EntryPoint = "GetCompressedFileSizeW", CharSet = CharSet.Unicode, SetLastError = true, ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern uint GetCompressedFileSize(string path, out uint high);
}
