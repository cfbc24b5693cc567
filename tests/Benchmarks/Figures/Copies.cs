using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>P1: from the request to the first TCP reply of the copy's guest.</summary>
internal sealed class CloneTime : IFigure
{
    private const string Beside = "virsh save + edited XML + virsh restore";

    public string Id => "P1";
    public string Goal => "weave of a running machine with memory, request to first TCP reply: ≥ 8× faster at 2 GiB than save and restore by hand, the ratio growing with RAM";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        List<Row> past = [], weave = [], now = [];
        CopyTurns? before = null;
        foreach (var mib in bench.Sizes)
        {
            var t = await CopyTurns.OfAsync(mib, bench, stop);
            var top = mib == bench.Largest;
            past.Add(new($"from the past, {CopyTurns.Size(mib)}", "ms", t.Past, Beside, t.ByHand, top ? Check.Faster(t.Past, t.ByHand, 8) : null, "steps in ms: " + t.PastSteps));
            weave.Add(new($"from now of a weave, {CopyTurns.Size(mib)}", "ms", t.OfWeave, Beside, t.ByHand, top ? Check.Faster(t.OfWeave, t.ByHand, 8) : null, "takes a durable snapshot of a running copy first; steps in ms: " + t.OfWeaveSteps));
            now.Add(new($"from now, {CopyTurns.Size(mib)}", "ms", t.Now, Beside, t.ByHand, top ? Check.Faster(t.Now, t.ByHand, 8) : null, "takes a durable snapshot first; steps in ms: " + t.NowSteps));
            if (before is { } b)
            {
                past[^1] = Growing(past[^1], b.ByHand.Median / b.Past.Median, t.ByHand.Median / t.Past.Median);
                weave[^1] = Growing(weave[^1], b.ByHand.Median / b.OfWeave.Median, t.ByHand.Median / t.OfWeave.Median);
                now[^1] = Growing(now[^1], b.ByHand.Median / b.Now.Median, t.ByHand.Median / t.Now.Median);
            }
            before = t;
        }
        return [.. past, .. weave, .. now];
    }

    private static Row Growing(Row row, double small, double large) => row with { Note = $"ratio {Numbers.Text(large)} {(large > small ? "grows from" : "DOES NOT GROW FROM")} {Numbers.Text(small)}; {row.Note}" };
}

/// <summary>P2: the same, at the largest size against the smallest.</summary>
internal sealed class RamIndependence : IFigure
{
    public string Id => "P2";
    public string Goal => "the time of a weave does not depend on RAM: 2 GiB / 256 MiB ≤ 1.25";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var sizes = bench.Sizes;
        var (small, large) = (await CopyTurns.OfAsync(sizes[0], bench, stop), await CopyTurns.OfAsync(sizes[^1], bench, stop));
        var size = CopyTurns.Size(large.MiB);
        Row Of(string name, Samples atLarge, Samples atSmall) => new(name, "ms", atLarge, "the same at 256 MiB", atSmall, new($"{size} / 256 MiB, medians", atLarge.Median / atSmall.Median, Sense.AtMost, 1.25));
        return
        [
            Of($"from the past, {size}", large.Past, small.Past),
            Of($"from now of a weave, {size}", large.OfWeave, small.OfWeave),
            Of($"from now, {size}", large.Now, small.Now) with { Note = "QEMU sends all used RAM once for the snapshot that this begins with" },
            new($"virsh, {size}", "ms", large.ByHand, "the same at 256 MiB", small.ByHand),
        ];
    }
}

/// <summary>P3: what the product adds to libvirt's own creation of a machine.</summary>
internal sealed class StartCost : IFigure
{
    public string Id => "P3";
    public string Goal => "≤ 1.3× a bare `virsh create --paused` of the same XML per machine; machines of a weave start in parallel";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var rows = new List<Row>();
        foreach (var mib in bench.Sizes)
        {
            var t = await CopyTurns.OfAsync(mib, bench, stop);
            rows.Add(new($"one machine, {CopyTurns.Size(mib)}", "ms", t.Create, "virsh create --paused", t.Bare, Ratio(t.Create, t.Bare), "of an operation's step start; the bare one has virsh's own start in it"));
        }
        rows.Add(await ThreeAsync(bench, stop));
        return rows;
    }

    private static Check Ratio(Samples ours, Samples theirs) => new("ours / theirs, medians", ours.Median / theirs.Median, Sense.AtMost, 1.3, "×");

    private static async Task<Row> ThreeAsync(Bench bench, CancellationToken stop)
    {
        var lab = await bench.Stage.LabAsync(stop);
        var twins = await lab.ThreeAsync(stop);
        string snapshot = "";
        await Lab.AwakeAsync(twins.Weave, async () => snapshot = (await lab.Product.SnapshotAsync(twins.Environment, "main", stop)).Result.GetProperty("snapshot").GetString()!, stop);
        List<double> ours = [], theirs = [];
        for (var turn = 0; turn < bench.Repetitions; turn++)
        {
            bench.Log($"three machines: turn {turn + 1} of {bench.Repetitions}");
            var copy = await lab.Product.CopyAsync(twins.Environment, "trio", snapshot, "a", stop);
            ours.Add(copy.Done.Steps.First(s => s.Step == "start").Ms);
            // Their frames would take processor time from what stands beside them.
            var domains = twins.Weave.Select(m => copy.Domain(m.Role)).ToList();
            foreach (var domain in domains) await Shell.VirshAsync(stop, "suspend", domain);
            theirs.Add(await ByHand.CreateAsync(domains, bench.Folder, stop));
            await lab.Product.DeleteWeaveAsync(twins.Environment, "trio", false, stop);
        }
        Samples mine = new(ours), hand = new(theirs);
        return new("three machines of a weave, whole step with memory", "ms", mine, "three virsh create --paused at once", hand, Ratio(mine, hand), "ours loads their memory too, and sets them going");
    }
}

/// <summary>P6: what an idle copy keeps for itself.</summary>
internal sealed class PrivatePages : IFigure
{
    public string Id => "P6";
    public string Goal => "private memory of an idle weave ≤ 1/8 of an ordinary restored copy (private pages of the guest's RAM mapping; under TCG the translator's code cache apart)";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var rows = new List<Row>();
        foreach (var mib in bench.Sizes)
        {
            var t = await CopyTurns.OfAsync(mib, bench, stop);
            rows.Add(new($"RAM of the guest, {CopyTurns.Size(mib)}", "MiB", t.Ram, "virsh restore", t.RamByHand, new("ours / theirs, medians", t.Ram.Median / t.RamByHand.Median, Sense.AtMost, 0.125)));
            rows.Add(new($"the rest of QEMU, {CopyTurns.Size(mib)}", "MiB", t.Rest, "virsh restore", t.RestByHand, Note: "under TCG mostly the translator's code cache"));
        }
        return rows;
    }
}
