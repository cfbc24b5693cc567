using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>History that keeps itself, on real machines: a policy, and chains that stay short. Twenty points and a limit of eight layers; forty points and the limit of installations with WEAVE_TESTS=full.</summary>
[Collection("lab")]
public sealed class HistoryTests(LabWorld lab, ITestOutputHelper output)
{
    private static readonly bool Full = Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full";
    private static readonly int CompactAt = Full ? 16 : 8, Points = Full ? 40 : 20, Kept = Full ? 10 : 3;

    [Fact]
    public async Task A_policy_of_many_points_keeps_chains_short_while_machines_run_and_every_point_holds_what_it_held()
    {
        await lab.AdoptedAsync();
        await lab.Service.DisposeAsync();
        await lab.Service.StartAsync(more: new Dictionary<string, string> { ["WEAVE_Weaving__CompactAt"] = $"{CompactAt}" });
        var began = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("policy", "set", LabWorld.Environment, "--every", "2s", "--keep-last", $"{Kept}", "--disk-only");

        var (points, labelled, longest, last) = (new HashSet<string>(), new List<(string Id, int Orders)>(), 0, began);
        var sums = new Dictionary<string, string>();
        while (points.Count < Points)
        {
            last = await LabWorld.OrderAsync(LabWorld.MainWeb);
            // The machines have never stopped, let alone booted.
            Assert.Equal(began.Nonces, last.Nonces);
            if (labelled.Count < 2 && points.Count >= 5 * (labelled.Count + 1))
            {
                var taken = await lab.WeaveJsonAsync<OperationView>("snapshot", LabWorld.Environment, "--label", $"orders-{last.Orders}", "--disk-only");
                labelled.Add((taken.Result!.Value.GetProperty("snapshot").GetString()!, last.Orders));
            }
            var there = (await lab.TimelineAsync()).Snapshots;
            points.UnionWith(there.Where(s => s.MadeBy == "(policy)").Select(s => s.Id));
            // Each point as it was first seen.
            foreach (var point in there.Where(s => s.State == "ready" && !sums.ContainsKey(s.Id)))
                if (await PointSums.TryReadAsync(lab, point.Id) is { } sum) sums[point.Id] = sum;
            longest = Math.Max(longest, await LongestAsync());
        }
        var policy = await lab.WeaveAsync("env", "show", LabWorld.Environment);
        Assert.Contains("every 2s", policy, StringComparison.Ordinal);
        await lab.WeaveAsync("policy", "clear", LabWorld.Environment);
        var merged = (await lab.WeaveJsonAsync<OperationView>("compact", LabWorld.Environment)).Result!.Value.GetProperty("layersMerged").GetInt32();
        var operations = await lab.OperationsAsync();
        output.WriteLine($"{points.Count} points, longest chain {longest}, then {await LongestAsync()}; last merge {merged}; compactions by itself: {operations.Count(o => o is { Kind: "env.compact", RequestedBy: "(policy)" })}");
        Assert.InRange(longest, 4, CompactAt + 1);
        Assert.Contains(operations, o => o is { Kind: "env.compact", RequestedBy: "(policy)", State: "succeeded" });
        // Two labelled ones and the last of the policy's.
        var left = (await lab.TimelineAsync()).Snapshots;
        Assert.InRange(left.Count, 2, Kept + 3);
        var compared = 0;
        foreach (var point in left.Where(s => sums.ContainsKey(s.Id)))
        {
            Assert.Equal(sums[point.Id], await PointSums.ReadAsync(lab, point.Id));
            compared++;
        }
        output.WriteLine($"{compared} points read twice, {sums.Values.Distinct().Count()} different ones of {sums.Count}");
        Assert.InRange(compared, 2, left.Count);

        foreach (var file in Directory.EnumerateFiles(LabWorld.Pool, "*.qcow2", SearchOption.AllDirectories))
            (await Shell.RunAsync("qemu-img", "check", "-q", "-U", "-f", "qcow2", file)).Succeeded($"qemu-img check {file}");
        await lab.WeaveAsync("create", LabWorld.Environment, "--snapshot", labelled[0].Id, "--boot", "--id", "then");
        Assert.Equal(labelled[0].Orders, (await LabWorld.AnswersAsync(await lab.UrlAsync("then"))).Orders);
        await lab.WeaveAsync("delete", $"{LabWorld.Environment}/then");

        Assert.Equal((began.Nonces, last.Orders), (await LabWorld.AskAsync(LabWorld.MainWeb)) is var now ? (now.Nonces, now.Orders) : default);
        await lab.WeaveAsync("env", "release", LabWorld.Environment);
        Assert.Equal((began.Nonces, last.Orders), (await LabWorld.AskAsync(LabWorld.MainWeb)) is var after ? (after.Nonces, after.Orders) : default);
        await lab.Service.DisposeAsync();
        await lab.Service.StartAsync();
    }

    private async Task<int> LongestAsync() => (await lab.WeaveJsonAsync<CompactionView>("compact", LabWorld.Environment, "--dry-run")).Chains.Max(c => c.Layers);
}
