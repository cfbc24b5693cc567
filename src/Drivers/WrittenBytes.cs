namespace WeaveHypervisor.Drivers;

/// <summary>Bytes that a writer of disks tells of, as progress of one activity. Never more than the total, where that is known: what is written may be more than what was counted.</summary>
/// <param name="total">0: not known.</param>
public sealed class WrittenBytes(IProgress<Progress> to, string activity, long total) : IProgress<long>
{
    public void Report(long value) => to.Report(new(activity, total > 0 ? Math.Min(value, total) : value, total));
}
