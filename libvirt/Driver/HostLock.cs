using WeaveHypervisor.Disks;

namespace WeaveHypervisor.Libvirt;

/// <summary>A lock among all processes of this host that name the same file; the kernel frees it when its holder dies. The file itself stays.</summary>
internal sealed class HostLock(string path)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(20);
    private readonly SemaphoreSlim _inThisProcess = new(1, 1);

    /// <summary>Waits for the lock and holds it until it is disposed of.</summary>
    public async Task<IDisposable> TakeAsync(CancellationToken stop)
    {
        await _inThisProcess.WaitAsync(stop);
        try
        {
            while (true)
            {
                try
                {
                    return new Held(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None), _inThisProcess);
                }
                catch (IOException e) when (e is not (FileNotFoundException or DirectoryNotFoundException) && File.Exists(path))
                {
                    await Task.Delay(Poll, TimeProvider.System, stop);
                }
            }
        }
        catch (Exception e)
        {
            _inThisProcess.Release();
            if (e is IOException or UnauthorizedAccessException) throw DiskFaults.From(e, $"lock {path}");
            throw;
        }
    }

    private sealed class Held(FileStream file, SemaphoreSlim inThisProcess) : IDisposable
    {
        public void Dispose()
        {
            file.Dispose();
            inThisProcess.Release();
        }
    }
}
