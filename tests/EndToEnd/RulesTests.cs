using System.Text.Json;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Security groups among real machines: of a weave's time, of today, and changed while it runs.</summary>
[Collection("lab")]
public sealed class RulesTests(LabWorld lab)
{
    private const string Db = LabWorld.Subnet + ".13";

    /// <summary>The site works, and nothing else does.</summary>
    private const string Site = """
        {
          "groups": [
            { "name": "web", "machines": ["web"], "rules": ["in tcp/80 from outside"] },
            { "name": "app", "machines": ["app"], "rules": ["in tcp/80 from web"] },
            { "name": "db", "machines": ["db"], "rules": ["in tcp/80 from app"] }
          ],
          "access": null
        }
        """;

    [Fact]
    public async Task A_weave_has_the_rules_of_its_time_or_of_today_and_gets_others_while_it_runs()
    {
        await lab.AdoptedAsync();
        var taken = (await lab.WeaveJsonAsync<OperationView>("snapshot", LabWorld.Environment)).Result!.Value.GetProperty("snapshot").GetString()!;
        await lab.SetRulesAsync("main", Site);
        await lab.WeaveAsync("create", LabWorld.Environment, "--snapshot", taken, "--id", "then");
        await lab.WeaveAsync("create", LabWorld.Environment, "--snapshot", taken, "--id", "today", "--rules", "now");
        var (then, today) = (await lab.UrlAsync("then"), await lab.UrlAsync("today"));
        var nonces = (await LabWorld.AnswersAsync(then)).Nonces;
        Assert.Equal(nonces, (await LabWorld.AnswersAsync(today)).Nonces);
        // Rules of the originals are recorded; what guards them is not ours.
        foreach (var (weave, url, open) in new[] { ("main", LabWorld.MainWeb, true), ("then", then, true), ("today", today, false) })
        {
            Assert.Equal((weave, open), (weave, (await HeardAsync(url)).StartsWith("HTTP", StringComparison.Ordinal)));
            Assert.Equal((weave, weave == "then" ? 0 : 6), (weave, (await lab.TryWeaveAsync("rules", "check", LabWorld.Environment, "--weave", weave, "--from", "web", "--to", "db", "tcp/80")).Exit));
        }
        Assert.True(await AnswersAtAsync("then", "db"));
        Assert.False(await AnswersAtAsync("today", "db"));
        Assert.True(await AnswersAtAsync("today", "web"));

        // More is allowed while it runs, and less; both at once, and to machines that have never stopped.
        await lab.SetRulesAsync("today", Site.Replace("\"in tcp/80 from app\"", "\"in tcp/80 from app\", \"in tcp/80 from web\"", StringComparison.Ordinal));
        Assert.StartsWith("HTTP", await HeardAsync(today), StringComparison.Ordinal);
        Assert.Equal(nonces, (await LabWorld.AnswersAsync(today)).Nonces);
        await lab.SetRulesAsync("today", Site.Replace("\"in tcp/80 from app\"", "\"in tcp/80 from web\"", StringComparison.Ordinal));
        Assert.StartsWith("HTTP", await HeardAsync(today), StringComparison.Ordinal);
        // The tier before it has no answer of the database any more.
        await Assert.ThrowsAnyAsync<Exception>(() => LabWorld.AskAsync(today));

        // What a foreign hand takes away of them is told and put back.
        Assert.DoesNotContain("drift", (await lab.WeaveAsync("doctor")), StringComparison.OrdinalIgnoreCase);
        foreach (var line in (await Shell.RunAsync("nft", "list", "tables", "bridge")).Succeeded("nft").Output.Split('\n').Where(l => l.Contains(LabWorld.Prefix, StringComparison.Ordinal)))
            (await Shell.RunAsync("nft", ["flush", "table", .. line.Split(' ')[1..3]])).Succeeded("nft flush");
        await Shell.UntilAsync("the site's rules are gone", async () => (await LabWorld.AskAsync(today)).Nonces == nonces);
        await lab.WeaveAsync("repair", $"{LabWorld.Environment}/today");
        await Assert.ThrowsAnyAsync<Exception>(() => LabWorld.AskAsync(today));

        // They go on with its history.
        await lab.WeaveAsync("create", LabWorld.Environment, "--from", "today", "--id", "later");
        Assert.StartsWith("HTTP", await HeardAsync(await lab.UrlAsync("later")), StringComparison.Ordinal);
        var later = $"http://{Outer("later", "web", await lab.ShowAsync("later"))}/";
        await Assert.ThrowsAnyAsync<Exception>(() => LabWorld.AskAsync(later));
        await lab.WeaveAsync("rules", "clear", LabWorld.Environment, "--weave", "later");
        Assert.Equal(nonces, (await LabWorld.AnswersAsync(later)).Nonces);
        await lab.WeaveAsync("env", "release", LabWorld.Environment, "--force");
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
    }

    /// <summary>What the web machine hears from the database itself, past the application between them; empty where it does not get there.</summary>
    private static async Task<string> HeardAsync(string url)
    {
        var answer = (await Shell.RunAsync("curl", "-fsS", "--noproxy", "*", "--max-time", "20", $"{url}reach/{Db}/80")).Succeeded("curl").Output;
        return JsonDocument.Parse(answer).RootElement.GetProperty("heard").GetString()!;
    }

    /// <summary>A machine of a weave answers this host at its outer address.</summary>
    private async Task<bool> AnswersAtAsync(string weave, string machine) => await LabWorld.GetsAsync($"http://{Outer(weave, machine, await lab.ShowAsync(weave))}/");

    private static string Outer(string weave, string machine, WeaveView view) => view.Machines.Single(m => m.Name == machine).Addresses.FirstOrDefault()?.Outer ?? throw new InvalidOperationException($"{weave}/{machine} has no outer address");
}
