using System.Globalization;
using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>
/// P5: three guests send each other numbered frames all the time while snapshots are taken. Each snapshot is revived: had a guest's memory held a frame that its
/// sender's memory had not sent yet, the sender would send that number again, and the receiver counts numbers that it has had.
/// </summary>
internal sealed class CutSkew : IFigure
{
    public string Id => "P5";
    public string Goal => "skew of the cut over all machines ≤ 20 ms, and no message received before it was sent in 100,000 numbered frames";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var frames = bench.Quick ? 10_000 : 100_000;
        var lab = await bench.Stage.LabAsync(stop);
        var twins = await lab.ThreeAsync(stop);
        List<double> skew = [], told = [], loop = [];
        long sent = 0, before = 0, pairs = 0;
        await Lab.AwakeAsync(twins.Weave, async () =>
        {
            var start = await SentAsync(twins.Weave, stop);
            for (var turn = 0; turn < bench.Repetitions || sent < frames && turn < 4 * bench.Repetitions; turn++)
            {
                var mark = lab.Events.Mark();
                var done = await lab.Product.SnapshotAsync(twins.Environment, "main", stop);
                skew.Add(done.Result.GetProperty("skewMs").GetDouble());
                told.Add(await lab.Events.SkewAsync(mark, [.. twins.Weave.Select(m => m.Domain)], stop));
                var snapshot = done.Result.GetProperty("snapshot").GetString()!;
                var copy = await lab.Product.CopyAsync(twins.Environment, "revived", snapshot, "a", stop);
                var counts = await RevivedAsync(twins.Weave, copy, stop);
                pairs += counts.Count;
                before += counts.Sum(c => c.Repeated);
                await lab.Product.DeleteWeaveAsync(twins.Environment, "revived", false, stop);
                sent = await SentAsync(twins.Weave, stop) - start;
                bench.Log($"frames: snapshot {turn + 1}, {sent} frames");
                if (turn < bench.Repetitions) await SuspendLoopAsync();
            }
        }, stop);
        async Task SuspendLoopAsync()
        {
            // The other three have both processors for themselves, like ours.
            foreach (var machine in twins.Weave) await Shell.VirshAsync(stop, "suspend", machine.Domain);
            await Lab.AwakeAsync(twins.Virsh, async () =>
            {
                await SentAsync(twins.Virsh, stop);
                var mark = lab.Events.Mark();
                foreach (var machine in twins.Virsh) await Shell.VirshAsync(stop, "suspend", machine.Domain);
                loop.Add(await lab.Events.SkewAsync(mark, [.. twins.Virsh.Select(m => m.Domain)], stop));
            }, stop);
            foreach (var machine in twins.Weave) await Shell.VirshAsync(stop, "resume", machine.Domain);
        }
        Samples ours = new(skew), events = new(told), theirs = new(loop);
        return
        [
            new("skew of three machines, as the product tells", "ms", ours, "virsh suspend, one after the other", theirs, new("largest", ours.Max, Sense.AtMost, 20, "ms")),
            new("skew by libvirt's events", "ms", events, "virsh suspend, one after the other", theirs, Note: "first machine that stood still to the last, when virsh heard of it"),
            new("frames received before they were sent", "", Samples.Of(before), Check: new($"of {sent.ToString("N0", CultureInfo.InvariantCulture)} frames", before, Sense.AtMost, 0),
                Note: string.Create(CultureInfo.InvariantCulture, $"{skew.Count} snapshots under load, all revived, {pairs} pairs of guests looked at")),
            new("frames sent meanwhile", "", Samples.Of(sent), Check: new("frames", sent, Sense.AtLeast, frames)),
        ];
    }

    /// <summary>Frames that all of them have sent.</summary>
    private static async Task<long> SentAsync(IReadOnlyList<Machine> machines, CancellationToken stop)
    {
        var sent = 0L;
        foreach (var machine in machines) sent += (await Guests.CountsAsync(machine.Address, stop)).Sum(c => c.Sent);
        return sent;
    }

    /// <summary>What the guests of a revived snapshot have counted once each has had a frame of each other that was sent after the instant.</summary>
    private static async Task<IReadOnlyList<PeerCount>> RevivedAsync(IReadOnlyList<Machine> machines, Copy copy, CancellationToken stop)
    {
        var first = new Dictionary<string, IReadOnlyList<PeerCount>>();
        foreach (var machine in machines) first[machine.Role] = await Guests.CountsAsync(copy.Address(machine.Role), stop);
        return await Waiting.ForAsync("the revived guests have frames of each other", async () =>
        {
            var counts = new List<PeerCount>();
            foreach (var machine in machines)
                foreach (var (now, then) in (await Guests.CountsAsync(copy.Address(machine.Role), stop)).Zip(first[machine.Role]))
                {
                    if (now.Received <= then.Received) return null;
                    counts.Add(now);
                }
            return counts.Count == machines.Count * (machines.Count - 1) ? counts : null;
        }, TimeSpan.FromSeconds(30), TimeSpan.FromMilliseconds(50), stop);
    }
}
