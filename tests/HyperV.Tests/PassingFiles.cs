using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Passes every call on to a host's files; tests derive from it to listen, or to have a host answer otherwise.</summary>
internal class PassingFiles(IHostFiles inner) : IHostFiles
{
    public Task<HostFile?> FindAsync(string path, CancellationToken stop) => inner.FindAsync(path, stop);
    public Task<IReadOnlyList<HostFile>> ListAsync(string folder, bool below, CancellationToken stop) => inner.ListAsync(folder, below, stop);
    public virtual Task CreateFolderAsync(string folder, CancellationToken stop) => inner.CreateFolderAsync(folder, stop);
    public virtual Task CopyAsync(string from, string to, CancellationToken stop) => inner.CopyAsync(from, to, stop);
    public virtual Task LinkAsync(string existing, string link, CancellationToken stop) => inner.LinkAsync(existing, link, stop);
    public virtual Task ReplaceAsync(string from, string to, CancellationToken stop) => inner.ReplaceAsync(from, to, stop);
    public virtual Task DeleteAsync(string path, CancellationToken stop) => inner.DeleteAsync(path, stop);
    public virtual Task SetReadOnlyAsync(string path, bool readOnly, CancellationToken stop) => inner.SetReadOnlyAsync(path, readOnly, stop);
    public virtual Task GrantAsync(string path, Guid machine, CancellationToken stop) => inner.GrantAsync(path, machine, stop);
    public Task<long> FreeBytesAsync(string path, CancellationToken stop) => inner.FreeBytesAsync(path, stop);
    public Task<byte[]?> ReadAsync(string path, CancellationToken stop) => inner.ReadAsync(path, stop);
    public virtual Task WriteAsync(string path, ReadOnlyMemory<byte> bytes, CancellationToken stop) => inner.WriteAsync(path, bytes, stop);
    public Task<IReadOnlyList<string>> NamesAsync(string path, CancellationToken stop) => inner.NamesAsync(path, stop);
    public Task<long?> MeasureAsync(string path, CancellationToken stop) => inner.MeasureAsync(path, stop);
    public virtual Task<string> ListenAsync(string pipe, int length, TimeSpan patience, CancellationToken stop) => inner.ListenAsync(pipe, length, patience, stop);
    public string Local(string path) => inner.Local(path);
    public string Hosted(string local) => inner.Hosted(local);
}
