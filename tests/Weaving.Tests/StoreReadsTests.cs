using System.Reflection;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>Reads without the environment's lease, while operations write.</summary>
public sealed class StoreReadsTests
{
    [Fact]
    public async Task What_an_operation_removes_between_two_reads_is_not_taken_for_a_loss()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past", snapshot: (await world.SnapshotAsync()).Snapshot);
        var (store, reads) = Watched(world.Store, async read =>
        {
            if (read == 1) await world.DeleteAsync("past");
        });
        var history = await store.ReadHistoryAsync(Lab, default);
        Assert.Equal((2, true, "main"), (reads(), history.Fits, string.Join(" ", history.Weaves.Select(w => w.Id.Text))));
    }

    [Fact]
    public async Task What_is_really_lost_is_read_a_few_times_only()
    {
        await using var world = await WithLabAsync();
        var adopted = (await world.Store.ListLayersAsync(Lab, default)).Select(l => l.Id).ToList();
        await world.Store.CommitAsync(new StoreChange { DeleteLayers = adopted }, null, default);
        var (store, reads) = Watched(world.Store, _ => Task.CompletedTask);
        Assert.False((await store.ReadHistoryAsync(Lab, default)).Fits);
        Assert.InRange(reads(), 2, 20);
    }

    private static (IWeaveStore Store, Func<int> Reads) Watched(IWeaveStore inner, Func<int, Task> beforeLayers)
    {
        var store = DispatchProxy.Create<IWeaveStore, WatchedStore>();
        var watched = (WatchedStore)(object)store;
        (watched.Inner, watched.BeforeLayers) = (inner, beforeLayers);
        return (store, () => watched.Reads);
    }

    /// <summary>Does something before each read of the layers.</summary>
    public class WatchedStore : DispatchProxy
    {
        public IWeaveStore Inner { get; set; } = null!;
        public Func<int, Task> BeforeLayers { get; set; } = null!;
        public int Reads { get; private set; }

        protected override object? Invoke(MethodInfo? method, object?[]? arguments) =>
            method!.Name == nameof(IWeaveStore.ListLayersAsync) ? LayersAsync((EnvironmentId)arguments![0]!) : method.Invoke(Inner, arguments);

        private async Task<IReadOnlyList<Layer>> LayersAsync(EnvironmentId environment)
        {
            await BeforeLayers(++Reads);
            return await Inner.ListLayersAsync(environment, default);
        }
    }
}
