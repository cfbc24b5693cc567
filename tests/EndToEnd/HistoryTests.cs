using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>History that keeps itself, on real machines: a policy, and chains that stay short.</summary>
[Collection("lab")]
public sealed class HistoryTests(LabWorld lab, ITestOutputHelper output)
{
    private const int CompactAt = 8;

    [Fact]
    public async Task A_policy_of_many_points_keeps_chains_short_while_machines_run_and_every_point_holds_what_it_held()
    {
        await lab.AdoptedAsync();
        await lab.Service.DisposeAsync();
        await lab.Service.StartAsync(more: new Dictionary<string, string> { ["WEAVE_Weaving__CompactAt"] = $"{CompactAt}" });
        var began = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("policy", "set", LabWorld.Environment, "--every", "2s", "--keep-last", "3", "--disk-only");

        var (points, labelled, longest, last) = (new HashSet<string>(), new List<(string Id, int Orders)>(), 0, began);
        while (points.Count < 20)
        {
            last = await LabWorld.OrderAsync(LabWorld.MainWeb);
            // The machines have never stopped, let alone booted.
            Assert.Equal(began.Nonces, last.Nonces);
            if (labelled.Count < 2 && points.Count >= 5 * (labelled.Count + 1))
            {
                var taken = await lab.WeaveJsonAsync<OperationView>("snapshot", LabWorld.Environment, "--label", $"orders-{last.Orders}", "--disk-only");
                labelled.Add((taken.Result!.Value.GetProperty("snapshot").GetString()!, last.Orders));
            }
            points.UnionWith((await lab.TimelineAsync()).Snapshots.Where(s => s.MadeBy == "(policy)").Select(s => s.Id));
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
        // Two labelled ones and the last three.
        Assert.InRange((await lab.TimelineAsync()).Snapshots.Count, 2, 6);

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
