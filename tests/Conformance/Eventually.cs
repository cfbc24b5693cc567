using System.Diagnostics;

namespace WeaveHypervisor.Conformance;

/// <summary>Waiting for conditions of a real world: looks again and again, never longer than told.</summary>
public static class Eventually
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);

    /// <summary>The pause between two looks.</summary>
    public static Task PauseAsync(CancellationToken stop) => Task.Delay(Pace, stop);

    /// <summary>Drives a clock of the test with <paramref name="tick"/>, every 2 ms of real time, until <paramref name="run"/> has ended, in whatever way.</summary>
    public static async Task EndsAsync(Task run, Action tick)
    {
        while (await Task.WhenAny(run, Task.Delay(2, CancellationToken.None)) != run) tick();
    }

    /// <summary>Waits until <paramref name="condition"/> holds; TimeoutException, naming <paramref name="what"/>, where it does not come true in time.</summary>
    public static async Task HoldsAsync(string what, Func<Task<bool>> condition, TimeSpan limit, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        while (!await condition())
        {
            if (clock.Elapsed > limit) throw new TimeoutException($"Waited {limit.TotalSeconds:0} s in vain: {what}.");
            await PauseAsync(stop);
        }
    }
}
