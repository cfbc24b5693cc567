using System.Text.Json;
using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>Snapshots with memory of an idle machine of the largest size and of a weave of it, by turns with virsh's: what P4 and P14 read.</summary>
internal sealed class SnapshotTurns
{
    private readonly List<double> _pause = [], _told = [], _silence = [], _stored = [], _weavePause = [], _weaveStored = [], _handPause = [], _handSilence = [], _handStored = [];

    /// <summary>Ms of pause as the product measures it; as libvirt's events tell; the longest silence that a client sees.</summary>
    public Samples Pause => new(_pause);
    public Samples Told => new(_told);
    public Samples Silence => new(_silence);
    /// <summary>MiB of memory that a snapshot after the first stores.</summary>
    public Samples Stored => new(_stored);
    public Samples WeavePause => new(_weavePause);
    public Samples WeaveStored => new(_weaveStored);
    public Samples HandPause => new(_handPause);
    public Samples HandSilence => new(_handSilence);
    public Samples HandStored => new(_handStored);

    public static Task<SnapshotTurns> OfAsync(Bench bench, CancellationToken stop) => bench.Stage.OnceAsync("snapshots", async () =>
    {
        var turns = new SnapshotTurns();
        await turns.RunAsync(bench, stop);
        return turns;
    });

    private async Task RunAsync(Bench bench, CancellationToken stop)
    {
        var lab = await bench.Stage.LabAsync(stop);
        var twins = await lab.OneAsync(bench.Largest, stop);
        var machine = twins.Weave[0];
        string first = "";
        await Lab.AwakeAsync(twins.Weave, async () => first = (await lab.Product.SnapshotAsync(twins.Environment, "main", stop)).Result.GetProperty("snapshot").GetString()!, stop);
        await lab.Product.CopyAsync(twins.Environment, "running", first, machine.Role, stop);
        var copy = $"{Names.Weave}.{twins.Environment}.running.{machine.Role}";
        await Shell.VirshAsync(stop, "suspend", copy);
        for (var turn = 0; turn < bench.Repetitions; turn++)
        {
            bench.Log($"snapshots: turn {turn + 1} of {bench.Repetitions}");
            var sides = new[] { () => Lab.AwakeAsync(twins.Weave, () => WeaveTurnAsync(lab, twins.Environment, machine, stop), stop), () => Lab.AwakeAsync(twins.Virsh, () => HandTurnAsync(bench, lab, twins.Virsh[0], turn, stop), stop) };
            foreach (var side in turn % 2 == 0 ? sides : sides.Reverse()) await side();
            await Shell.VirshAsync(stop, "resume", copy);
            for (var i = 0; i < 2; i++)
            {
                var (pause, stored) = Read((await lab.Product.SnapshotAsync(twins.Environment, "running", stop)).Result);
                _weavePause.Add(pause);
                _weaveStored.Add(stored);
            }
            await Shell.VirshAsync(stop, "suspend", copy);
        }
        await lab.Product.DeleteWeaveAsync(twins.Environment, "running", withSnapshots: true, stop);
    }

    private async Task WeaveTurnAsync(Lab lab, string environment, Machine machine, CancellationToken stop)
    {
        var mark = lab.Events.Mark();
        Done? done = null;
        _silence.Add(await Guests.LongestSilenceAsync(machine.Address, async () => done = await lab.Product.SnapshotAsync(environment, "main", stop), stop));
        _told.Add((await lab.Events.PausesAsync(mark, [machine.Domain], stop))[machine.Domain]);
        Take(done!);
        // Once more, for a p99 of more values.
        Take(await lab.Product.SnapshotAsync(environment, "main", stop));
    }

    private void Take(Done done)
    {
        var (pause, stored) = Read(done.Result);
        _pause.Add(pause);
        _stored.Add(stored);
    }

    private static (double Pause, double Stored) Read(JsonElement result) => (result.GetProperty("longestPauseMs").GetDouble(), result.GetProperty("storedBytes").GetInt64() / 1048576.0);

    private async Task HandTurnAsync(Bench bench, Lab lab, Machine twin, int turn, CancellationToken stop)
    {
        var (pause, silence, stored) = await ByHand.SnapshotAsync(twin, lab.Events, bench.Folder, turn, stop);
        _handPause.Add(pause);
        _handSilence.Add(silence);
        _handStored.Add(stored);
    }
}

/// <summary>P4: how long the source stands still.</summary>
internal sealed class SourcePause : IFigure
{
    private const string Beside = "virsh snapshot-create-as --memspec";

    public string Id => "P4";
    public string Goal => "pause of the source during a memory snapshot ≥ 20× shorter, p99 ≤ 250 ms at 2 GiB";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var t = await SnapshotTurns.OfAsync(bench, stop);
        return
        [
            new($"pause, {CopyTurns.Size(bench.Largest)}, as the product tells", "ms", t.Pause, Beside, t.HandPause, Check.Faster(t.Pause, t.HandPause, 20)),
            new("pause, p99", "ms", t.Pause, Check: new("p99", t.Pause.P99, Sense.AtMost, 250, "ms"), Note: $"of {t.Pause.Values.Count} snapshots"),
            new("pause by libvirt's events", "ms", t.Told, Beside, t.HandPause, Note: "Suspended to the last Resumed, when virsh heard of them"),
            new("longest silence for a client", "ms", t.Silence, Beside, t.HandSilence, Note: "a datagram every 5 ms while the whole operation runs"),
        ];
    }
}

/// <summary>P14: what a snapshot after the first costs.</summary>
internal sealed class FurtherSnapshot : IFigure
{
    private const string Beside = "virsh snapshot-create-as --memspec";

    public string Id => "P14";
    public string Goal => "a further memory snapshot of a mostly idle 2 GiB machine stores ≤ 2 % of its RAM; of a running weave: pause p99 ≤ 150 ms";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var t = await SnapshotTurns.OfAsync(bench, stop);
        return
        [
            new("stored by a further snapshot", "MiB", t.Stored, Beside, t.HandStored, new("largest, of RAM", t.Stored.Max * 100 / bench.Largest, Sense.AtMost, 2, "%")),
            new("stored by one of a running weave", "MiB", t.WeaveStored, Beside, t.HandStored, new("largest, of RAM", t.WeaveStored.Max * 100 / bench.Largest, Sense.AtMost, 2, "%")),
            new("pause of a running weave", "ms", t.WeavePause, Beside, t.HandPause, new("p99", t.WeavePause.P99, Sense.AtMost, 150, "ms"), $"of {t.WeavePause.Values.Count} snapshots"),
        ];
    }
}
