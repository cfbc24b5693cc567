using WeaveHypervisor.Benchmarks.Hosts;

namespace WeaveHypervisor.Benchmarks;

/// <summary>The lab of a run, made when the first figure asks for it, and measurements that several figures read.</summary>
public sealed class Stage(Action<string> log) : IAsyncDisposable
{
    private readonly Dictionary<string, object> _measured = [];
    private Lab? _lab;

    public async Task<Lab> LabAsync(CancellationToken stop) => _lab ??= await Lab.OpenAsync(log, stop);

    /// <summary>What was measured under that name; measured now where it was not. A failure is not kept.</summary>
    public async Task<T> OnceAsync<T>(string name, Func<Task<T>> measure) where T : notnull
    {
        if (!_measured.TryGetValue(name, out var there)) _measured[name] = there = await measure();
        return (T)there;
    }

    public async ValueTask DisposeAsync()
    {
        if (_lab is { } lab)
        {
            _lab = null;
            await lab.DisposeAsync();
        }
    }
}
