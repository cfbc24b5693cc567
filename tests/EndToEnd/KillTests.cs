using System.Diagnostics;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>SIGKILL of the service in the middle of its work on real machines: it goes on or goes back by itself, says so, and leaves nothing over.</summary>
/// <remarks>
/// A fresh lab for each moment would take most of an hour; so the moments of one kind of work follow each other on one environment. Of the many moments of snapshots, weaves and syncs the usual run takes
/// some, and all with WEAVE_TESTS=full; on the simulator every one is tried in every run (the crash matrix of Weaving.Tests).
/// </remarks>
[Collection("lab")]
public sealed class KillTests(LabWorld lab, ITestOutputHelper output)
{
    private static readonly bool Full = Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full";

    [Theory]
    [InlineData("env.adopt/examine/after")]
    [InlineData("env.adopt/record/doing")]
    [InlineData("env.adopt/record/after")]
    public async Task Killed_while_it_adopts(string at)
    {
        await lab.FreshAsync();
        await KillingAsync(at);
        await lab.TryWeaveAsync([.. LabWorld.AdoptArguments, "--no-wait"]);
        var operation = await RestartedAsync("env.adopt");
        Assert.Equal(operation.State == "succeeded", (await lab.EnvironmentsAsync()).Contains(LabWorld.Environment));
        if (operation.State != "succeeded") await lab.WeaveAsync(LabWorld.AdoptArguments);
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Killed_while_it_takes_a_snapshot()
    {
        await lab.AdoptedAsync();
        var nonces = (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Nonces;
        (string Moment, Func<Task<bool>>? When)[] moments =
        [
            ("snapshot/prepare/after", null), ("snapshot/capture/doing", null),
            ("memory is written", () => Task.FromResult(Files("*.part").Any(f => Length(f) > 1 << 20))),
            ("snapshot/capture/after", null), ("snapshot/record/doing", null), ("snapshot/record/after", null),
        ];
        foreach (var (moment, when) in Full ? moments : [moments[1], moments[2], moments[4]])
        {
            var clock = Stopwatch.StartNew();
            var known = (await lab.TimelineAsync()).Snapshots.Select(s => s.Id).ToHashSet();
            var before = await LabWorld.OrderAsync(LabWorld.MainWeb);
            if (when is null) await KillingAsync(moment);
            await lab.TryWeaveAsync("snapshot", LabWorld.Environment, "--label", "cut", "--no-wait");
            if (when is not null) await KillWhenAsync(when);
            var operation = await RestartedAsync("snapshot");
            var taken = (await lab.TimelineAsync()).Snapshots.Where(s => !known.Contains(s.Id)).ToList();
            Assert.Equal(operation.State == "succeeded" ? 1 : 0, taken.Count);

            // The originals were not rebooted, run on, and have what they acknowledged.
            var after = await LabWorld.OrderAsync(LabWorld.MainWeb);
            Assert.Equal((nonces, before.Orders + 1), (after.Nonces, after.Orders));
            Assert.True(after.Ticks >= before.Ticks);

            // What is there is whole: a weave made from it answers as of its time. What is not there has no files.
            if (taken.Count == 1)
            {
                await lab.WeaveAsync("create", LabWorld.Environment, "--snapshot", taken[0].Id, "--id", "proof");
                var proof = await LabWorld.AnswersAsync(await lab.UrlAsync("proof"));
                Assert.Equal((nonces, before.Orders), (proof.Nonces, proof.Orders));
                await lab.WeaveAsync("delete", $"{LabWorld.Environment}/proof");
            }
            // Each image has its device state; those after the first stand on its RAM, where little has changed.
            Assert.Equal((known.Count + taken.Count) * 3, Files("*.state").Count());
            Assert.Equal(known.Count + taken.Count > 0, Files("*.ram").Any());
            Assert.Empty(Files("*.part").Concat(Files("*.held")));
            output.WriteLine($"{moment}: {operation.State}, {clock.Elapsed.TotalSeconds:0.0} s");
        }
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Killed_while_memory_is_sent_by_live_migration()
    {
        await lab.AdoptedAsync();
        var before = await LabWorld.OrderAsync(LabWorld.MainWeb);
        const string Setting = "/proc/sys/vm/unprivileged_userfaultfd";
        var was = await File.ReadAllTextAsync(Setting);
        // Without it QEMU has no background snapshot.
        await File.WriteAllTextAsync(Setting, "0");
        try
        {
            await lab.TryWeaveAsync("snapshot", LabWorld.Environment, "--no-wait");
            await KillWhenAsync(() => Task.FromResult(Files("*.part").Any(f => Length(f) > 1 << 20)));
            Assert.Equal("undone", (await RestartedAsync("snapshot")).State);
            var after = await LabWorld.OrderAsync(LabWorld.MainWeb);
            Assert.Equal((before.Nonces, before.Orders + 1), (after.Nonces, after.Orders));
            Assert.Empty(Files("*.part").Concat(Files("*.held")));
            await lab.WeaveAsync("snapshot", LabWorld.Environment);
        }
        finally
        {
            await File.WriteAllTextAsync(Setting, was);
        }
        var taken = (await lab.TimelineAsync()).Snapshots.Single();
        Assert.All(taken.Machines, m => Assert.Equal("live", m.Method));
        output.WriteLine(string.Join(", ", taken.Machines.Select(m => $"{m.Name} paused {m.PauseMs} ms")));
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Killed_while_a_copys_own_pages_are_captured()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
        var url = await lab.UrlAsync("copy");
        await LabWorld.AnswersAsync(url);
        foreach (var moment in new[] { "snapshot/capture/doing", "snapshot/capture/after" })
        {
            var before = await LabWorld.OrderAsync(url);
            await KillingAsync(moment);
            await lab.TryWeaveAsync("snapshot", $"{LabWorld.Environment}/copy", "--no-wait");
            Assert.Equal("undone", (await RestartedAsync("snapshot")).State);
            var after = await LabWorld.OrderAsync(url);
            Assert.Equal((before.Nonces, before.Orders + 1), (after.Nonces, after.Orders));
            Assert.Empty(Files("*.part").Concat(Files("*.held")));
        }
        await lab.WeaveAsync("snapshot", $"{LabWorld.Environment}/copy");
        var taken = (await lab.TimelineAsync()).Snapshots.Single(s => s.Weave == "copy");
        Assert.All(taken.Machines, m => Assert.Equal("private", m.Method));
        output.WriteLine(string.Join(", ", taken.Machines.Select(m => $"{m.Name} paused {m.PauseMs} ms")));
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Killed_while_it_makes_and_deletes_weaves()
    {
        await lab.AdoptedAsync();
        var nonces = (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Nonces;
        (string Create, string Delete)[] moments =
        [
            ("weave.create/capture/after", "weave.delete/mark/after"), ("weave.create/layers/doing", "weave.delete/retire/after"), ("weave.create/fence/after", "weave.delete/forget/after"),
            ("weave.create/start/doing", "weave.delete/collect/doing"), ("weave.create/start/after", ""), ("", "weave.delete/retire/doing"),
        ];
        foreach (var (create, delete) in Full ? moments : [moments[0], moments[2], moments[3], moments[5]])
        {
            var clock = Stopwatch.StartNew();
            var before = await LabWorld.OrderAsync(LabWorld.MainWeb);
            if (create.Length > 0) await KillingAsync(create);
            await lab.TryWeaveAsync("create", LabWorld.Environment, "--id", "copy", "--no-wait");
            if (create.Length == 0) await KillWhenAsync(async () => (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count > 3);
            var made = await RestartedAsync("weave.create", killAt: delete.Length > 0 ? delete : null);
            Assert.Equal(made.State == "succeeded", (await lab.WeavesAsync()).Contains("copy"));
            if (made.State != "succeeded") await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
            var copy = await LabWorld.AnswersAsync(await lab.UrlAsync("copy"));
            Assert.Equal((nonces, before.Orders), (copy.Nonces, copy.Orders));

            await lab.TryWeaveAsync("delete", $"{LabWorld.Environment}/copy", "--no-wait");
            if (delete.Length == 0) await KillWhenAsync(async () => (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count < 6);
            var deleted = await RestartedAsync("weave.delete");
            Assert.Equal(("succeeded", "main"), (deleted.State, string.Join(' ', await lab.WeavesAsync())));
            Assert.DoesNotContain((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab), t => !t.StartsWith("file ", StringComparison.Ordinal));

            var after = await LabWorld.AnswersAsync(LabWorld.MainWeb);
            Assert.Equal((nonces, before.Orders), (after.Nonces, after.Orders));
            output.WriteLine($"{create} {made.State}, {delete} {deleted.State}, {clock.Elapsed.TotalSeconds:0.0} s");
        }
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Killed_in_every_other_kind_of_work()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
        var url = await lab.UrlAsync("copy");
        var (nonces, before) = ((await LabWorld.AnswersAsync(url)).Nonces, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Orders);
        var orders = (await LabWorld.OrderAsync(url)).Orders;
        var active = $"http://{await lab.RouteAsync("active", 80)}/";
        var copy = $"{LabWorld.Environment}/copy";
        string? route = null;
        async Task<string> WithdrawnAsync() => route ??= (await lab.WeaveJsonAsync<OperationView>("route", copy, "81", "--machine", "web")).Result!.Value.GetProperty("route").GetString()!;
        (string Moment, Func<Task<string[]>> Line, Func<bool, Task> Check)[] moments =
        [
            ("route.publish/publish/doing", () => Task.FromResult<string[]>(["route", copy, "80", "--machine", "web", "--listen", "127.0.0.1:28081"]), async done => { if (done) await LabWorld.AnswersAsync("http://127.0.0.1:28081/"); }),
            ("route.withdraw/withdraw/after", async () => ["route", "delete", LabWorld.Environment, await WithdrawnAsync()], done => Task.CompletedTask),
            ("weave.rules/fence/after", () => Task.FromResult<string[]>(["rules", "set", LabWorld.Environment, "--weave", "copy", "--file", LabWorld.RulesFile("""{ "groups": [{ "name": "db", "machines": ["db"], "rules": ["in tcp/80 from outside"] }], "access": null }""")]), async done =>
            {
                // The tier before the database gets nothing from it with the new rules, and all with the old.
                if (done) await Assert.ThrowsAnyAsync<Exception>(() => LabWorld.AskAsync(url));
                else await LabWorld.AnswersAsync(url);
                await lab.WeaveAsync("rules", "clear", LabWorld.Environment, "--weave", "copy");
                await LabWorld.AnswersAsync(url);
            }),
            ("weave.activate/switch/doing", () => Task.FromResult<string[]>(["activate", copy]), async done => Assert.Equal(done ? orders : before, (await LabWorld.AnswersAsync(active)).Orders)),
            ("weave.activate/switch/after", () => Task.FromResult<string[]>(["activate", $"{LabWorld.Environment}/main"]), async done => Assert.Equal(done ? before : orders, (await LabWorld.AnswersAsync(active)).Orders)),
            ("weave.power/power/after", () => Task.FromResult<string[]>(["stop", copy, "--power-off"]), async done => Assert.Equal("stopped", (await lab.ShowAsync("copy")).State)),
            ("weave.power/power/doing", () => Task.FromResult<string[]>(["start", copy]), async done =>
            {
                if (!done) await lab.WeaveAsync("start", copy);
                var booted = await LabWorld.AnswersAsync(url);
                Assert.Equal(orders, booted.Orders);
                Assert.NotEqual(nonces, booted.Nonces);
            }),
            ("weave.delete/mark/doing", () => Task.FromResult<string[]>(["delete", copy]), done => Task.CompletedTask),
            ("snapshot.delete/forget/doing", async () =>
            {
                // The moment of a weave from now has gone with it.
                await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
                return ["snapshot", "delete", (await lab.TimelineAsync()).Snapshots.Single().Id];
            }, async done => Assert.Equal(done ? 0 : 1, (await lab.TimelineAsync()).Snapshots.Count)),
            ("env.release/end-history/after", () => Task.FromResult<string[]>(["env", "release", LabWorld.Environment, "--force"]), done => Task.CompletedTask),
        ];
        foreach (var (moment, line, check) in moments)
        {
            var clock = Stopwatch.StartNew();
            var arguments = await line();
            await KillingAsync(moment);
            await lab.TryWeaveAsync([.. arguments, "--no-wait"]);
            var ended = await RestartedAsync(moment.Split('/')[0]);
            await check(ended.State == "succeeded");
            output.WriteLine($"{moment}: {ended.State}, {clock.Elapsed.TotalSeconds:0.0} s");
        }
        Assert.Empty(await lab.EnvironmentsAsync());
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
        // Killed while the volumes are given back.
        await lab.WeaveAsync(LabWorld.AdoptArguments);
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
        await KillingAsync("env.release/return-volumes/after");
        await lab.TryWeaveAsync("env", "release", LabWorld.Environment, "--no-wait");
        Assert.Equal("succeeded", (await RestartedAsync("env.release")).State);
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
    }

    [Fact]
    public async Task Killed_while_it_syncs_a_volume_between_machines_that_run()
    {
        await lab.AdoptedAsync();
        var last = (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Orders;
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "past");
        var url = await lab.UrlAsync("past");
        var nonces = (await LabWorld.AnswersAsync(url)).Nonces;
        var db = $"http://{(await lab.ShowAsync("past")).Machines.Single(m => m.Name == "db").Addresses[0].Outer}/";
        string[] moments = ["check/after", "capture/doing", "capture/after", "freeze/doing", "free/doing", "free/after", "write/doing", "write/after", "switch/doing", "switch/after", "attach/doing", "attach/after", "collect/doing"];
        foreach (var moment in moments.Where((_, i) => Full || i % 2 == 0))
        {
            var orders = (await LabWorld.OrderAsync(LabWorld.MainWeb)).Orders;
            await Shell.UntilAsync("the guest has left its disk", () => PostAsync(db + "data/leave"));
            await KillingAsync("volume.sync/" + moment);
            await lab.TryWeaveAsync("sync", LabWorld.Environment, "main", "past", "db/vdb", "--no-wait");
            var operation = await RestartedAsync("volume.sync");
            await Shell.UntilAsync("the guest has its disk again", () => PostAsync(db + "data/return"));
            var answer = await LabWorld.AnswersAsync(url);
            output.WriteLine($"killed at {moment}: {operation.State}");
            Assert.Equal((moment, operation.State == "succeeded" ? orders : last, nonces), (moment, answer.Orders, answer.Nonces));
            last = answer.Orders;
        }
        await NothingIsLeftAsync();
    }

    private static async Task<bool> PostAsync(string url)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        using var answer = await http.PostAsync(new Uri(url), null);
        return answer.IsSuccessStatusCode;
    }

    private async Task KillingAsync(string at)
    {
        await lab.Service.DisposeAsync();
        await lab.Service.StartAsync(killAt: at);
    }

    private async Task KillWhenAsync(Func<Task<bool>> when)
    {
        await Shell.UntilAsync("the middle of the work", when);
        await lab.Service.KillAsync();
    }

    /// <summary>Waits for the death, starts the service again, and waits until the operation has ended, without any further request.</summary>
    /// <param name="killAt">Where it is to die next.</param>
    private async Task<OperationView> RestartedAsync(string kind, string? killAt = null)
    {
        await lab.Service.EndedAsync();
        await lab.Service.StartAsync(killAt);
        OperationView? operation = null;
        await Shell.UntilAsync($"the {kind} that was cut off has ended", async () =>
        {
            operation = (await lab.OperationsAsync()).First(o => o.Kind == kind);
            return operation.IsEnded();
        }, TimeSpan.FromMinutes(2));
        Assert.Contains(operation!.State, new[] { "succeeded", "undone" });
        Assert.True(operation.Resumptions >= 1, "the operation says that it was taken up again");
        return operation;
    }

    private async Task NothingIsLeftAsync()
    {
        await lab.WeaveAsync("env", "release", LabWorld.Environment, "--force");
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
        Assert.Empty(Files("*"));
        foreach (var machine in new[] { "web", "app", "db" })
        {
            var disks = (await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "domblklist", $"{LabWorld.Prefix}-{machine}")).Succeeded("domblklist").Output;
            Assert.Contains(Path.Combine(LabWorld.LabFolder, machine + ".qcow2"), disks);
            Assert.DoesNotContain(LabWorld.Pool, disks);
        }
    }

    private static IEnumerable<string> Files(string pattern)
    {
        var environments = Path.Combine(LabWorld.Pool, "environments");
        return Directory.Exists(environments) ? Directory.EnumerateFiles(environments, pattern, SearchOption.AllDirectories) : [];
    }

    /// <summary>0 where it has just gone.</summary>
    private static long Length(string file) => new FileInfo(file) is { Exists: true } f ? f.Length : 0;
}
