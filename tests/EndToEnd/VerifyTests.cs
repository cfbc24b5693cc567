using System.Diagnostics;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>A snapshot of real machines is revived, asked and removed again, also where the service dies in between; what came out stays with it.</summary>
[Collection("lab")]
public sealed class VerifyTests(LabWorld lab, ITestOutputHelper output)
{
    [Fact]
    public async Task A_snapshot_passes_by_its_service_fails_by_a_port_that_nobody_serves_and_a_kill_leaves_no_copy_behind()
    {
        await lab.AdoptedAsync();
        var before = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("snapshot", LabWorld.Environment);
        var id = (await lab.TimelineAsync()).Snapshots.Single().Id;
        var withSnapshot = await HostFootprint.TakeAsync(LabWorld.Pool);
        Task<SnapshotView> ShowAsync() => lab.WeaveJsonAsync<SnapshotView>("snapshot", "show", id);
        async Task NothingButTheOutcomeAsync()
        {
            Assert.Equal(["main"], await lab.WeavesAsync());
            Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(withSnapshot));
        }

        var clock = Stopwatch.StartNew();
        var passed = (await lab.WeaveJsonAsync<OperationView>("snapshot", "verify", id, "--probe", "http://web:80/")).Result!.Value;
        Assert.True(passed.GetProperty("passed").GetBoolean());
        Assert.InRange(passed.GetProperty("firstReplyMs").GetDouble(), 1, 60_000);
        var verification = (await ShowAsync()).Verification!;
        Assert.Equal((true, "service", "http://web:80/"), (verification.Passed, verification.Level, verification.Probe));
        Assert.All(verification.Machines, m => Assert.Equal(("running", "shared"), (m.RunState, m.Method)));
        Assert.Contains("[verified]", await lab.WeaveAsync("timeline", LabWorld.Environment, "--ascii"));
        await NothingButTheOutcomeAsync();
        output.WriteLine($"passed: {clock.Elapsed.TotalSeconds:0.0} s, first reply {verification.FirstReplyMs:0} ms");

        clock.Restart();
        var refused = await lab.TryWeaveAsync("snapshot", "verify", id, "--probe", "tcp://web:81", "--timeout", "3");
        Assert.Equal(1, refused.Exit);
        Assert.Contains("verification failed", refused.Output);
        Assert.Contains("next:", refused.Error);
        verification = (await ShowAsync()).Verification!;
        Assert.Equal((false, "tcp://web:81"), (verification.Passed, verification.Probe));
        Assert.NotNull(verification.Reason);
        await NothingButTheOutcomeAsync();
        output.WriteLine($"failed: {clock.Elapsed.TotalSeconds:0.0} s, {verification.Reason}");

        foreach (var moment in new[] { "snapshot.verify/start/after", "snapshot.verify/remove/doing" })
        {
            clock.Restart();
            await lab.Service.DisposeAsync();
            await lab.Service.StartAsync(killAt: moment);
            await lab.TryWeaveAsync("snapshot", "verify", id, "--probe", "http://web:80/", "--no-wait");
            await lab.Service.EndedAsync();
            await lab.Service.StartAsync();
            OperationView? operation = null;
            await Shell.UntilAsync("the verification that was cut off has ended", async () => (operation = (await lab.OperationsAsync()).First(o => o.Kind == "snapshot.verify")).IsEnded(), TimeSpan.FromMinutes(2));
            Assert.Equal(("succeeded", true), (operation!.State, operation.Resumptions >= 1));
            Assert.True((await ShowAsync()).Verification!.Passed);
            await NothingButTheOutcomeAsync();
            output.WriteLine($"killed at {moment}: {clock.Elapsed.TotalSeconds:0.0} s");
        }
        Assert.Equal(before.Nonces, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Nonces);
        await lab.WeaveAsync("snapshot", "delete", id);
        await lab.WeaveAsync("env", "release", LabWorld.Environment);
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
    }
}
