using System.Globalization;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.SelfTest;

/// <summary>Whatever goes wrong in the middle: no wrong record is kept, and nothing stays on the host.</summary>
public sealed class BrokenRunTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static readonly string[] Calls =
        ["DefineSystem", "AddResourceSettings", "ModifyResourceSettings", "ModifySystemSettings", "CreateVirtualHardDisk", "CreateSnapshot", "ExportSystemDefinition", "ImportSystemDefinition", "RealizePlannedSystem", "RequestStateChange",
            "DestroySystem", "ModifyDiskMergeSettings", "Create", "Delete", "Query", "Associators", "Get", "Files.Copy", "Files.Listen", "Files.Delete", "Files.List", "Files.Write"];

    /// <summary>After these a host answers again by itself.</summary>
    private static readonly CallFault[] Passing = [CallFault.RestartAfter, CallFault.JobFails, CallFault.JobVanishes, CallFault.RefusedBefore, CallFault.LostBefore];

    private static bool Full => Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full";

    /// <summary>Every call with its answer lost, or with one other fault; with WEAVE_TESTS=full both.</summary>
    public static TheoryData<string, CallFault, int> Faults()
    {
        var data = new TheoryData<string, CallFault, int>();
        for (var i = 0; i < Calls.Length; i++)
        {
            var most = Calls[i] switch { "Create" or "Delete" or "Files.Write" => 1, "Files.Copy" or "Files.Listen" => 2, "ImportSystemDefinition" or "RealizePlannedSystem" or "ModifySystemSettings" or "Files.List" => 6, _ => 19 };
            if (Full || i % 2 == 0) data.Add(Calls[i], CallFault.LostAfter, 1 + i % most);
            if (Full || i % 2 != 0) data.Add(Calls[i], Passing[i % Passing.Length], 1 + i * 7 % most);
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_call_that_goes_wrong_leaves_no_wrong_record_and_nothing_behind(string call, CallFault fault, int nth)
    {
        // Guests that can be heard are asked for each route again.
        using var bench = new TrialBench(new() { Behaviour = new() { SavesPaused = false, ExportsMemoryOfCheckpoints = false, OpensPipes = Full } });
        var before = await bench.EverythingAsync();
        bench.Host.Faults.Forget();
        bench.Host.Faults.Add(call, nth, fault);
        var run = bench.RunAsync();
        var ended = await Task.WhenAny(run);
        if (ended.Exception is { InnerException: var e }) Assert.IsType<WeaveException>(e);
        Assert.True(bench.Host.Faults.Calls[call] >= nth, string.Create(CultureInfo.InvariantCulture, $"{call} was called {bench.Host.Faults.Calls[call]} times only"));
        Assert.Equal(before, await bench.EverythingAsync());
        var record = await bench.Context.Record.ReadAsync(Stop);
        if (ended.IsCompletedSuccessfully) Assert.NotNull(record.TestedAt);
        if (record.TestedAt is null) return;
        Assert.Equal([CaptureRoute.Files, CaptureRoute.Saved, CaptureRoute.Flat], record.Resumes);
        Assert.Equal(Full ? record.Resumes : [], record.Proven);
        Assert.Equal((false, true, true, true, true), (record.SavesPaused, record.ChecksPaused, record.TakesAvhdxAsParent, record.GrantsParents, record.KeepsIdentity));
    }

    [Fact]
    public async Task A_run_that_is_cancelled_clears_up_before_it_ends()
    {
        using var bench = new TrialBench();
        var before = await bench.EverythingAsync();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var answers = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => bench.RunAsync(_ =>
        {
            if (++answers == 9) stop.Cancel();
        }, stop.Token));
        Assert.Equal(before, await bench.EverythingAsync());
        Assert.Null((await bench.Context.Record.ReadAsync(Stop)).TestedAt);
    }

    [Fact]
    public async Task What_a_run_could_not_remove_the_next_one_removes_first()
    {
        using var bench = new TrialBench();
        var before = await bench.EverythingAsync();
        // A machine on which a job never ends cannot be removed.
        bench.Host.Faults.Add("CreateSnapshot", 3, CallFault.JobHangs);
        await Assert.ThrowsAsync<WeaveException>(() => bench.RunAsync());
        Assert.NotEqual(before, await bench.EverythingAsync());
        bench.Host.RestartService(TimeSpan.FromSeconds(1));
        bench.Clock.Advance(TimeSpan.FromSeconds(2));
        var record = await bench.RunAsync();
        Assert.Equal(4, record.Resumes.Count);
        Assert.Equal(before, await bench.EverythingAsync());
    }
}
