using System.Diagnostics;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>Waits for conditions that nothing announces.</summary>
public static class Waiting
{
    /// <summary>Looks again after <paramref name="every"/> until there is something; a TimeoutException that says <paramref name="what"/> where it does not come in time.</summary>
    public static async Task<T> ForAsync<T>(string what, Func<Task<T?>> look, TimeSpan limit, TimeSpan every, CancellationToken stop) where T : class
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            if (await look() is { } found) return found;
            if (clock.Elapsed > limit) throw new TimeoutException($"waited in vain for {limit.TotalSeconds:0} s: {what}");
            await Task.Delay(every, stop);
        }
    }

    public static Task PauseAsync(TimeSpan time, CancellationToken stop) => Task.Delay(time, stop);
}
