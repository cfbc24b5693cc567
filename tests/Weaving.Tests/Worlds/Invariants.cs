using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Simulator;

namespace WeaveHypervisor.Weaving.Tests.Worlds;

internal static class Invariants
{
    /// <summary>
    /// No operation is left to do, the host holds exactly what the store says (machines, their run states and disks, fences, files, endpoints), and the store
    /// agrees with itself. The user's own machines are never paused unless the store says so.
    /// </summary>
    public static async Task CheckAsync(this World world)
    {
        Assert.Empty(await world.Process.Journal.ListAsync(null, true, 10, null, default));
        await using var driver = new SimulatedHypervisor(world.Host);
        var owned = await driver.ListOwnedAsync(default);
        List<string> machines = [], fences = [], standing = [], files = [], endpoints = [];
        foreach (var environment in await world.Store.ListEnvironmentsAsync(default))
        {
            Assert.Equal(EnvironmentState.Managed, environment.State);
            var layers = (await world.Store.ListLayersAsync(environment.Id, default)).ToDictionary(l => l.Id);
            var weaves = await world.Store.ListWeavesAsync(environment.Id, default);
            var snapshots = await world.Store.ListSnapshotsAsync(environment.Id, null, null, default);
            Assert.Contains(weaves, w => w.Id == environment.ActiveWeave);
            if (environment.PreviousActive is { } previous) Assert.Contains(weaves, w => w.Id == previous);
            foreach (var weave in weaves)
            {
                Assert.Contains(weave.State, new[] { WeaveState.Running, WeaveState.Paused, WeaveState.Stopped });
                if (weave.Origin is { } origin) Assert.Contains(snapshots, s => s.Id == origin);
                if (!weave.IsMain) fences.Add(weave.Tag.Text);
                // One that is stopped needs no fence.
                if (!weave.IsMain && weave.Machines.Any(m => m.RunState != RunState.Off)) standing.Add(weave.Tag.Text);
                if (!weave.IsMain) Assert.Equal(weave.Blueprint.Rules.Groups, world.Host.GroupsOf(weave.Tag) ?? weave.Blueprint.Rules.Groups);
                files.AddRange(weave.StateFiles());
                foreach (var machine in weave.Machines)
                {
                    var facts = await driver.InspectAsync(machine.ToRef(), default);
                    Assert.Equal((weave.Id, machine.RunState), (weave.Id, facts?.RunState ?? RunState.Off));
                    if (!weave.IsMain && machine.RunState != RunState.Off) machines.Add(machine.Uuid.ToString());
                    foreach (var head in machine.Heads)
                    {
                        Assert.Equal(LayerState.Live, layers[head.Layer].State);
                        if (facts is not null) Assert.Equal(layers[head.Layer].Path, facts.VolumePaths[weave.Blueprint.Machine(machine.Name).Target(head.Volume)]);
                    }
                }
            }
            foreach (var snapshot in snapshots)
            {
                Assert.Equal(SnapshotState.Ready, snapshot.State);
                Assert.All(snapshot.Machines.SelectMany(m => m.Frozen), f => Assert.Equal(LayerState.Frozen, layers[f.Layer].State));
                if (snapshot.Parent is { } parent) Assert.Contains(snapshots, s => s.Id == parent && s.At < snapshot.At);
                files.AddRange(snapshot.MemoryFiles().Concat(snapshot.StateFiles()));
            }
            var heads = weaves.SelectMany(w => w.Machines).SelectMany(m => m.Heads).Select(h => h.Layer).ToList();
            Assert.Equal(heads.Count, heads.Distinct().Count());
            Assert.Equal(heads.Order(ById), layers.Values.Where(l => l.State == LayerState.Live).Select(l => l.Id).Order(ById));
            var needed = WeaveHypervisor.Weaving.Retention.Chains.Needed(weaves, snapshots, layers);
            Assert.All(layers.Values.Where(l => !l.Adopted), l => Assert.Contains(l.Id, needed));
            Assert.All(layers.Values, l => Assert.True(l.Parent is null || layers[l.Parent.Value].State == LayerState.Frozen, $"the parent of {l.Id} is live"));
            // What a file says of the one below it is what the store says.
            foreach (var layer in layers.Values.Where(l => !l.Adopted))
                Assert.Equal((layer.Id, layers[layer.Parent!.Value].Path), (layer.Id, WeaveHypervisor.Disks.DiskImageInspector.Inspect(layer.Path, layer.Format).BackingName));
            Assert.All(environment.AdoptedVolumes, v => Assert.Equal((v.Path, true), (layers[v.Layer].Path, File.Exists(v.Path))));
            files = [.. files.Distinct(StringComparer.Ordinal), .. layers.Values.Where(l => !l.Adopted).Select(l => l.Path)];
            foreach (var route in await world.Store.ListRoutesAsync(environment.Id, default))
            {
                var leads = weaves.Single(w => w.Id == (route.Weave ?? environment.ActiveWeave));
                var target = leads.Addresses.First(a => a.Machine == route.Machine).Outer;
                endpoints.Add($"{route.Id} {route.Protocol} {route.ListenAddress}:{route.ListenPort} -> {target}:{route.TargetPort} for {leads.Blueprint.Rules.Access?.ToString() ?? "everyone"} in {(leads.IsMain ? null : leads.Tag)}");
            }
        }
        Same(machines, owned.Things.Where(t => t.Kind == OwnedKind.Machine).Select(t => t.Key));
        Assert.All(standing, f => Assert.True(world.Host.HasFence(FenceTag.Parse(f))));
        Assert.All(owned.Things.Where(t => t.Kind == OwnedKind.Fence), t => Assert.Contains(t.Key, fences));
        Same(files, owned.Things.Where(t => t.Kind == OwnedKind.File).Select(t => t.Key));
        Same(endpoints, owned.Endpoints.Select(e => $"{e.Id} {e.Protocol} {e.ListenAddress}:{e.ListenPort} -> {e.TargetAddress}:{e.TargetPort} for {e.Sources ?? "everyone"} in {e.Fence}"));
    }

    private static readonly Comparer<LayerId> ById = Comparer<LayerId>.Create((a, b) => string.CompareOrdinal(a.Text, b.Text));

    private static void Same(IEnumerable<string> store, IEnumerable<string> host) => Assert.Equal(store.Order(StringComparer.Ordinal), host.Order(StringComparer.Ordinal));
}
