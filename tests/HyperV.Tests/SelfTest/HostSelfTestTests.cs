using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.SelfTest;
using WeaveHypervisor.HyperV.SelfTest.Trials;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.SelfTest;

public sealed class HostSelfTestTests
{
    private static readonly CaptureRoute[] Every = [CaptureRoute.Live, CaptureRoute.Files, CaptureRoute.Saved, CaptureRoute.Flat];
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static CaptureRoute[] Resuming(HostBehaviour b) => !b.ResumesOnOtherDisks ? [] : [.. Every.Where(r => (r != CaptureRoute.Live || b.ExportsMemoryOfCheckpoints) && (r != CaptureRoute.Files || b.ImportsCopiedCheckpoints))];

    /// <summary>What a host of this behaviour is to be recorded as: said here once more, in other words than the trials'.</summary>
    private static CapabilityRecord Expected(HostBehaviour b) => new()
    {
        Resumes = Resuming(b),
        Proven = b.OpensPipes ? Resuming(b) : [],
        SavesPaused = b.SavesPaused,
        ChecksPaused = b.ChecksPaused,
        TakesAvhdxAsParent = b.TakesAvhdxAsParent,
        Production = b.HonoursDiskSnapshots ? ProductionRequest.ByType : ProductionRequest.BySetting,
        ExportSuspendsMerges = b.SuspendsMerges,
        GrantsParents = b.GrantsParents,
        KeepsIdentity = b.KeepsBiosGuid,
    };

    /// <summary>Both builds of Windows by turns; with WEAVE_TESTS=full each with both.</summary>
    public static TheoryData<string, HostProfile> Hosts()
    {
        var full = Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full";
        var hosts = new TheoryData<string, HostProfile>();
        foreach (var (i, name) in Switches.Keys.Index())
            foreach (var profile in (HostProfile[])[HostProfile.Server2019, HostProfile.Server23H2])
                if (full || i == 0 || (profile == HostProfile.Server2019) == (i % 2 == 0)) hosts.Add(name, profile);
        return hosts;
    }

    private static readonly Dictionary<string, HostBehaviour> Switches = new()
    {
        ["all that one would like"] = new(),
        ["SavesPaused"] = new() { SavesPaused = false },
        ["ChecksPaused"] = new() { ChecksPaused = false },
        ["HonoursDiskSnapshots"] = new() { HonoursDiskSnapshots = false },
        ["TakesAvhdxAsParent"] = new() { TakesAvhdxAsParent = false },
        ["ExportsMemoryOfCheckpoints"] = new() { ExportsMemoryOfCheckpoints = false },
        ["ImportsCopiedCheckpoints"] = new() { ImportsCopiedCheckpoints = false },
        ["ResumesOnOtherDisks"] = new() { ResumesOnOtherDisks = false },
        ["KeepsBiosGuid"] = new() { KeepsBiosGuid = false },
        ["GrantsParents"] = new() { GrantsParents = false },
        ["SuspendsMerges"] = new() { SuspendsMerges = false },
        ["OpensPipes"] = new() { OpensPipes = false },
        ["TakesSeveralNats"] = new() { TakesSeveralNats = true },
        ["none"] = new()
        {
            SavesPaused = false, ChecksPaused = false, HonoursDiskSnapshots = false, TakesAvhdxAsParent = false, ExportsMemoryOfCheckpoints = false, ImportsCopiedCheckpoints = false, KeepsBiosGuid = false,
            GrantsParents = false, SuspendsMerges = false, OpensPipes = false,
        },
    };

    [Fact]
    public void Every_switch_of_the_simulated_host_is_among_these() =>
        Assert.Equal(typeof(HostBehaviour).GetProperties().Select(p => p.Name).Order(StringComparer.Ordinal), Switches.Keys.Except(["all that one would like", "none"]).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Hosts))]
    public async Task The_record_says_what_the_host_is_like_and_nothing_stays_behind(string withouts, HostProfile profile)
    {
        using var bench = new TrialBench(new() { Behaviour = Switches[withouts], Profile = profile });
        var before = await bench.EverythingAsync();
        var told = new List<TrialAnswer>();
        var record = await bench.RunAsync(told.Add);
        Assert.Equal(before, await bench.EverythingAsync());
        var expected = Expected(Switches[withouts]);
        Assert.Equal(expected.Resumes, record.Resumes);
        Assert.Equal(expected.Proven, record.Proven);
        Assert.Equal(expected with { Resumes = record.Resumes, Proven = record.Proven, TestedAt = record.TestedAt, Build = profile == HostProfile.Server2019 ? "17763" : "25398", Answers = record.Answers }, record);
        Assert.Equal(record.Answers, told);
        Assert.Equal((11, "schema", "sweep"), (record.Answers.Select(a => a.Trial).Distinct().Count(), record.Answers[0].Trial, record.Answers[^1].Trial));
        Assert.All(record.Answers, a => Assert.False(string.IsNullOrWhiteSpace(a.Seen)));
        var kept = await bench.Context.Record.ReadAsync(Stop);
        Assert.Equal(record.Answers, kept.Answers);
        Assert.Equal(record.Resumes, kept.Resumes);
        Assert.Equal(record.Proven, kept.Proven);
        Assert.Equal(record with { Answers = kept.Answers, Resumes = kept.Resumes, Proven = kept.Proven }, kept);
    }

    [Fact]
    public async Task A_host_without_translation_or_with_somebody_elses_is_not_asked_to_translate()
    {
        using var without = new TrialBench(new() { HasNat = false });
        Assert.Equal(TrialOutcome.Skipped, Assert.Single((await without.RunAsync()).Answers, a => a.Trial == "translation").Outcome);
        using var taken = new TrialBench();
        await taken.Host.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, "docker").With(NetNat.InternalIPInterfaceAddressPrefix, "172.20.0.0/16"), Stop);
        var before = await taken.EverythingAsync();
        var answer = Assert.Single((await taken.RunAsync()).Answers, a => a.Trial == "translation");
        Assert.Equal(TrialOutcome.Skipped, answer.Outcome);
        Assert.Contains("'docker' (172.20.0.0/16)", answer.Seen, StringComparison.Ordinal);
        Assert.Equal(before, await taken.EverythingAsync());
    }

    [Fact]
    public async Task An_account_without_rights_is_told_so_before_anything_is_made()
    {
        using var bench = new TrialBench(new() { HasRights = false });
        var error = await Assert.ThrowsAsync<WeaveException>(() => bench.RunAsync());
        Assert.Equal(Fault.Unavailable, error.Fault);
        Assert.Contains("Hyper-V Administrators", error.NextStep, StringComparison.Ordinal);
        Assert.DoesNotContain("Define", string.Join(' ', bench.Host.Faults.Calls.Keys), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_record_of_another_build_counts_as_none()
    {
        using var bench = new TrialBench();
        await bench.Context.Record.WriteAsync(new() { TestedAt = bench.Clock.GetUtcNow(), Build = "17763", Resumes = [CaptureRoute.Live] }, Stop);
        var stale = await bench.Context.Record.ReadAsync(Stop);
        Assert.Equal((null, "25398", CaptureRoute.Flat), (stale.TestedAt, stale.Build, stale.Route(outageAllowed: false)));
        await bench.RunAsync();
        Assert.Equal(CaptureRoute.Live, (await bench.Context.Record.ReadAsync(Stop)).Route(outageAllowed: false));
    }

    [Fact]
    public async Task A_start_that_is_no_restore_is_no_resume()
    {
        using var bench = new TrialBench(client: inner => new BootingClient(inner));
        var asked = await bench.AskAsync(new RouteTrial());
        Assert.Empty(asked.Found.Resumes);
        Assert.All(asked.Answers, a => Assert.Contains("type 12", a.Seen, StringComparison.Ordinal));
    }

    /// <summary>A host whose copies are not what it says of them: those that are heard, the original's aside, have another boot, or say nothing.</summary>
    private sealed class PretendingFiles(IHostFiles inner, string? boot) : PassingFiles(inner)
    {
        private readonly HashSet<string> _heard = [];

        public override async Task<string> ListenAsync(string pipe, int length, TimeSpan patience, CancellationToken stop)
        {
            _heard.Add(pipe);
            var heard = await base.ListenAsync(pipe, length, patience, stop);
            // The first question has an original alone, each other one an original, and then a copy.
            return _heard.Count == 1 || _heard.Count % 2 == 0 ? heard : boot is null ? "" : System.Text.RegularExpressions.Regex.Replace(heard, "WEAVE [0-9A-F]{8}", "WEAVE " + boot);
        }
    }

    [Theory]
    [InlineData("0BADB007", "it did not resume, whatever the host says")]
    [InlineData(null, "the copy says nothing")]
    public async Task A_copy_whose_guest_does_not_count_on_did_not_resume_whatever_the_host_says_of_it(string? boot, string told)
    {
        using var bench = new TrialBench(new() { Behaviour = new() { ExportsMemoryOfCheckpoints = false, ImportsCopiedCheckpoints = false } }, files: inner => new PretendingFiles(inner, boot));
        var asked = await bench.AskAsync(new RouteTrial(), new ProofTrial());
        Assert.Equal(2, asked.Answers.Count(a => a.Trial == "routes" && a.Outcome == TrialOutcome.Ok));
        Assert.Equal((0, 0), (asked.Found.Resumes.Count, asked.Found.Proven.Count));
        Assert.All(asked.Answers.Where(a => a.Trial == "proof").Skip(1), a => Assert.EndsWith(told, a.Seen, StringComparison.Ordinal));
        Assert.Null((asked.Found with { TestedAt = bench.Clock.GetUtcNow() }).Route(outageAllowed: true));
    }
}
