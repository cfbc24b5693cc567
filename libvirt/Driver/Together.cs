namespace WeaveHypervisor.Libvirt;

/// <summary>Blocking calls that must begin at the same moment: one thread each, never one of the pool, which would hand out threads slowly.</summary>
internal static class Together
{
    /// <summary>Runs <paramref name="action"/> for every item at once and waits for all; the first error is thrown after all have ended.</summary>
    public static async Task RunAsync<T>(IReadOnlyList<T> items, Action<T> action)
    {
        var tasks = items.Select(item => Task.Factory.StartNew(() => action(item), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToList();
        await Task.WhenAll(tasks);
    }
}
