using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>The state folder, held by one service at a time.</summary>
internal sealed class StateFolder : IDisposable
{
    private readonly FileStream _lock;

    /// <summary>Makes the folder and takes its lock; Conflict where another service has it, Unavailable where it cannot be written.</summary>
    public StateFolder(string path)
    {
        Root = path;
        try
        {
            // Its files are the owner's alone; the folder itself can be passed through, because QEMU's user has to reach the pool where that lies in it.
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
            else Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WeaveException(Fault.Unavailable, $"The state folder {path} cannot be made: {e.Message}", "Set Weave:StatePath to a folder that the service may write.", e);
        }
        try
        {
            _lock = new(Path.Combine(path, "service.lock"), Owned(FileMode.OpenOrCreate));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WeaveException(Fault.Conflict, $"The state folder {path} is used by another service, or its lock cannot be taken: {e.Message}", "Stop the other service, or set Weave:StatePath to another folder.", e);
        }
    }

    public string Root { get; }
    public string Database => DatabaseIn(Root);

    /// <summary>SQLite's file in a state folder.</summary>
    public static string DatabaseIn(string folder) => Path.Combine(folder, "weave.db");

    /// <summary>At the first start, of the first service where several share a database: stores a token of role admin and leaves its secret in admin.token, readable by the owner only.</summary>
    public async Task MakeAdminTokenAsync(ITokenStore tokens, TimeProvider clock, CancellationToken stop)
    {
        if ((await tokens.ListAsync(stop)).Count > 0) return;
        var path = Path.Combine(Root, "admin.token");
        var secret = TokenSecret.New();
        // The file comes first: a crash between the two leaves a secret that opens nothing, and the next start replaces it.
        File.Delete(path + ".new");
        await using (var file = new FileStream(path + ".new", Owned(FileMode.CreateNew)))
        {
            await file.WriteAsync(System.Text.Encoding.ASCII.GetBytes(secret + "\n"), stop);
            file.Flush(flushToDisk: true);
        }
        File.Move(path + ".new", path, overwrite: true);
        try
        {
            await tokens.AddAsync(new() { Name = "admin", Role = AccessRole.Admin, CreatedAt = clock.GetUtcNow() }, TokenSecret.Hash(secret), stop);
        }
        catch (WeaveException e) when (e.Fault == Fault.AlreadyExists)
        {
            // Another service that shares the database was first: its token is the one.
            File.Delete(path);
        }
    }

    /// <summary>Ours alone while it is open, and the owner's alone on disk.</summary>
    private static FileStreamOptions Owned(FileMode mode)
    {
        var options = new FileStreamOptions { Mode = mode, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return options;
    }

    public void Dispose() => _lock.Dispose();
}
