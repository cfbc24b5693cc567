namespace WeaveHypervisor.Libvirt;

/// <summary>Reports on the thread that progresses: <see cref="Progress{T}"/> would hand it to the pool, out of order.</summary>
internal sealed class SynchronousProgress(Action<long> report) : IProgress<long>
{
    public void Report(long value) => report(value);
}
