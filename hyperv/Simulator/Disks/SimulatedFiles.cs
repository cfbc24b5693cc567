using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator.Disks;

/// <summary>The files of a simulated host, as a driver reaches them.</summary>
internal sealed class SimulatedFiles(SimulatedHost host) : IHostFiles
{
    private const int MaxSmallFile = 16 * 1024 * 1024;

    public Task<HostFile?> FindAsync(string path, CancellationToken stop) => Run("Find", $"Looking for {path}", () => host.Volume.Find(path), stop);

    public Task<IReadOnlyList<HostFile>> ListAsync(string folder, bool below, CancellationToken stop) => Run("List", $"Listing {folder}", () => host.Volume.List(folder, below), stop);

    public Task CreateFolderAsync(string folder, CancellationToken stop) => Do("CreateFolder", $"Making the folder {folder}", () => host.Volume.CreateFolder(folder), stop);

    public Task CopyAsync(string from, string to, CancellationToken stop) => Do("Copy", $"Copying {from} to {to}", () => host.Volume.Copy(from, to), stop);

    public Task LinkAsync(string existing, string link, CancellationToken stop) => Do("Link", $"Linking {existing} as {link}", () => host.Volume.Link(existing, link), stop);

    public Task ReplaceAsync(string from, string to, CancellationToken stop) => Do("Replace", $"Putting {from} in the place of {to}", () => host.Volume.Swap(from, to), stop);

    public Task DeleteAsync(string path, CancellationToken stop) => Do("Delete", $"Deleting {path}", () => host.Volume.Delete(path), stop);

    public Task SetReadOnlyAsync(string path, bool readOnly, CancellationToken stop) => Do("SetReadOnly", $"Marking {path}", () => host.Volume.SetReadOnly(path, readOnly), stop);

    public Task GrantAsync(string path, Guid machine, CancellationToken stop) => Do("Grant", $"Granting {path} to {machine}", () => host.Volume.Grant(path, machine), stop);

    public Task<long> FreeBytesAsync(string path, CancellationToken stop) => Run("FreeBytes", $"Asking for the free space at {path}", () => host.Volume.FreeBytes, stop);

    public Task<byte[]?> ReadAsync(string path, CancellationToken stop) => Run("Read", $"Reading {path}", () =>
        host.Volume.Find(path) is not { IsFolder: false } file ? null : file.Length > MaxSmallFile ? throw new JobFailure(JobFailure.InvalidArgument, $"'{path}' is no small file") : host.Volume.Read(path), stop);

    public Task WriteAsync(string path, ReadOnlyMemory<byte> bytes, CancellationToken stop) => Do("Write", $"Writing {path}", () => host.Volume.Write(path, bytes.Span), stop);

    public Task<IReadOnlyList<string>> NamesAsync(string path, CancellationToken stop) => Run("Names", $"Looking for the names of {path}", () => host.Volume.Names(path), stop);

    public Task<long?> MeasureAsync(string path, CancellationToken stop) => Run("Measure", $"Measuring {path}", () => host.Volume.Measure(path), stop);

    public async Task<string> ListenAsync(string pipe, int length, TimeSpan patience, CancellationToken stop)
    {
        var begun = host.Clock.GetTimestamp();
        var heard = "";
        // A line comes each second; one that is torn at the beginning first, because nobody was heard before.
        while (heard.Length < length && host.Clock.GetElapsedTime(begun) < patience)
        {
            await Task.Delay(TimeSpan.FromSeconds(1), host.Clock, stop);
            if (await Run("Listen", $"Listening at {pipe}", () => host.SayAt(pipe), stop) is { } line) heard += heard.Length == 0 ? line[(line.Length / 2)..] + line : line;
        }
        return heard.Length > length ? heard[..length] : heard;
    }

    public string Local(string path) => host.RealPath(path);

    public string Hosted(string local)
    {
        lock (host.Gate) return host.Volume.Hosted(local);
    }

    private Task Do(string call, string what, Action act, CancellationToken stop) => Run(call, what, () =>
    {
        act();
        return true;
    }, stop);

    private async Task<T> Run<T>(string call, string what, Func<T> act, CancellationToken stop)
    {
        var fault = host.Faults.Count("Files." + call);
        if (fault == CallFault.Hangs) await Task.Delay(Timeout.InfiniteTimeSpan, host.Clock, stop);
        stop.ThrowIfCancellationRequested();
        try
        {
            lock (host.Gate)
            {
                host.Advance();
                if (fault is CallFault.RefusedBefore or CallFault.LostBefore or CallFault.JobFails) throw new JobFailure(JobFailure.AccessDenied, "The call failed (injected)");
                var answer = act();
                return fault is null ? answer : throw new JobFailure(JobFailure.AccessDenied, "The call failed after it was done (injected)");
            }
        }
        catch (JobFailure e)
        {
            throw new HostException(HostErrors.OfWindows(e.WindowsError) ?? HostErrorKind.Failed, $"{what}: {e.Message.TrimEnd('.')}", $"0x{e.WindowsError:X8}", e.WindowsError, inner: e);
        }
    }
}
