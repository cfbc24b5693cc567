using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Tests.Worlds;

internal static class Pictures
{
    /// <summary>
    /// All that a user can see, as text without anything that differs between two runs of the same: environments, weaves, snapshots, routes, what is active, and what every
    /// machine and every published port answers. Numbers stand for the nonces in the machines' memory.
    /// </summary>
    public static async Task<string> PictureAsync(this World world)
    {
        var text = new StringBuilder();
        var nonces = new List<string>();
        string Answer(Simulator.SimulatedAnswer? answer)
        {
            if (answer is null) return "silent";
            if (!nonces.Contains(answer.Nonce)) nonces.Add(answer.Nonce);
            return $"{answer.Machine} memory {nonces.IndexOf(answer.Nonce)}, {answer.Counter} since boot, disk {string.Join(",", answer.Orders)}";
        }
        foreach (var address in (string[])["10.20.0.10", "10.20.0.11"]) text.AppendLine($"{address}: {Answer(world.Host.Ask(address))}");
        foreach (var (name, state) in world.Host.RunStates.OrderBy(m => m.Key, StringComparer.Ordinal)) text.AppendLine($"on the host: {name} {state}");
        foreach (var environment in await world.Store.ListEnvironmentsAsync(default))
        {
            var snapshots = await world.Store.ListSnapshotsAsync(environment.Id, null, null, default);
            string Number(SnapshotId? id) => id is null ? "-" : "s" + snapshots.ToList().FindIndex(s => s.Id == id);
            text.AppendLine($"environment {environment.Id} {environment.State} active {environment.ActiveWeave} before {environment.PreviousActive}{(environment.Policy is { } policy ? $" policy {policy}" : "")}");
            foreach (var weave in await world.Store.ListWeavesAsync(environment.Id, default))
            {
                text.AppendLine($"weave {weave.Id} {weave.State} from {weave.Source} {Number(weave.Origin)} until {weave.ExpiresAt:yyyy-MM-dd} at {string.Join(",", weave.Addresses.Select(a => a.Outer))} rules {Rules(weave.Blueprint)}{(weave.IsMain ? "" : $" fence {string.Join(",", world.Host.GroupsOf(weave.Tag)?.Select(g => g.Name.Text) ?? ["none"])}")}");
                foreach (var kept in weave.Kept) text.AppendLine($"  kept {kept.Machine}/{kept.Volume} from {kept.Source}");
                foreach (var machine in weave.Machines) text.AppendLine($"  {machine.Name} {machine.RunState}: {Answer(world.Host.Ask(machine.Uuid))}");
            }
            foreach (var s in snapshots)
                text.AppendLine($"snapshot {Number(s.Id)} of {s.Weave} after {Number(s.Parent)} {s.State} {s.Consistency} rules {Rules(s.Blueprint)}: {string.Join(", ", s.Machines.Select(m => $"{m.Name} {m.RunState} {m.Method} {m.Memory is not null}"))}{(s.Verification is { } v ? $" verified {v.Passed} {v.Level} {v.Probe} {v.Reason} {string.Join(",", v.Machines.Select(m => $"{m.Name} {m.RunState}"))}" : "")}");
            if (environment.Id == World.Lab)
            {
                foreach (var s in snapshots) text.AppendLine($"holds {Number(s.Id)}: {await world.HoldsAsync(s)}");
                foreach (var weave in await world.Store.ListWeavesAsync(environment.Id, default)) text.AppendLine($"holds {weave.Id}: {await world.HoldsAsync(weave)}");
                var preview = await world.Weaver.PreviewCompactionAsync(environment.Id, default);
                text.AppendLine($"chains: {string.Join(", ", preview.Chains.Select(c => $"{c.Weave} {c.Machine}/{c.Volume} {c.Layers}"))}");
            }
            foreach (var route in await world.Store.ListRoutesAsync(environment.Id, default))
                text.AppendLine($"route {route.ListenAddress}:{route.ListenPort} to {route.Weave?.Text ?? "active"} {route.Machine}:{route.TargetPort} for {world.Host.Sources.GetValueOrDefault(route.ListenPort) ?? "everyone"}: {Answer(world.Host.AskPort(route.ListenPort))}");
            text.AppendLine("active: " + string.Join(" then ", (await world.Store.ListActivationsAsync(environment.Id, default)).Select(a => a.Weave)));
        }
        if (Directory.Exists(world.Exports))
            foreach (var entry in Directory.EnumerateFileSystemEntries(world.Exports, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
                text.AppendLine($"exported {Path.GetRelativePath(world.Exports, entry)}: {(entry.EndsWith(".box", StringComparison.Ordinal) ? string.Join("; ", BoxOf(entry).Select(e => $"{e.Key} {e.Value.ReplaceLineEndings(",")}")) : "")}");
        return text.ToString();
    }

    private static string Rules(EnvironmentBlueprint blueprint) => System.Text.Json.JsonSerializer.Serialize(blueprint.Rules, System.Text.Json.JsonSerializerOptions.Web);

    /// <summary>The entries of a box of the simulated host, which are all text.</summary>
    public static IReadOnlyDictionary<string, string> BoxOf(string path)
    {
        var entries = new Dictionary<string, string>();
        using var file = File.OpenRead(path);
        var compressed = file.ReadByte() == 0x1f;
        file.Position = 0;
        using var tar = new System.Formats.Tar.TarReader(compressed ? new System.IO.Compression.GZipStream(file, System.IO.Compression.CompressionMode.Decompress) : file);
        while (tar.GetNextEntry() is { } entry) entries[entry.Name] = entry.DataStream is null ? "" : new StreamReader(entry.DataStream).ReadToEnd();
        return entries;
    }
}
