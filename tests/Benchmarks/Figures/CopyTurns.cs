using System.Globalization;
using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>Copies of a machine of one size, by turns with the same work by hand: what P1, P2, P3 and P6 read.</summary>
internal sealed class CopyTurns(int mib)
{
    private readonly List<double> _past = [], _now = [], _ofWeave = [], _byHand = [], _create = [], _bare = [], _ram = [], _rest = [], _ramByHand = [], _restByHand = [];
    private readonly Dictionary<string, List<double>> _pastSteps = [], _nowSteps = [], _ofWeaveSteps = [];

    public int MiB => mib;
    /// <summary>Ms from request to first reply: from a snapshot of the past; from now, which takes a snapshot first, of the adopted machine and of a running weave of it.</summary>
    public Samples Past => new(_past);
    public Samples Now => new(_now);
    public Samples OfWeave => new(_ofWeave);
    public Samples ByHand => new(_byHand);
    /// <summary>Ms that libvirt takes to create the copy's machine, within a weave and bare.</summary>
    public Samples Create => new(_create);
    public Samples Bare => new(_bare);
    public Samples Ram => new(_ram);
    public Samples Rest => new(_rest);
    public Samples RamByHand => new(_ramByHand);
    public Samples RestByHand => new(_restByHand);
    /// <summary>Medians of the operation's steps.</summary>
    public string PastSteps => Text(_pastSteps);
    public string NowSteps => Text(_nowSteps);
    public string OfWeaveSteps => Text(_ofWeaveSteps);

    public static Task<CopyTurns> OfAsync(int mib, Bench bench, CancellationToken stop) => bench.Stage.OnceAsync($"copies of {mib} MiB", async () =>
    {
        var turns = new CopyTurns(mib);
        await turns.RunAsync(bench, stop);
        return turns;
    });

    public static string Size(int mib) => mib >= 1024 ? string.Create(CultureInfo.InvariantCulture, $"{mib / 1024} GiB") : $"{mib} MiB";

    private async Task RunAsync(Bench bench, CancellationToken stop)
    {
        var lab = await bench.Stage.LabAsync(stop);
        var twins = await lab.OneAsync(mib, stop);
        var (machine, twin) = (twins.Weave[0], twins.Virsh[0]);
        string? past = null;
        await Lab.AwakeAsync(twins.Weave, async () => past = (await lab.Product.SnapshotAsync(twins.Environment, "main", stop)).Result.GetProperty("snapshot").GetString(), stop);
        for (var turn = 0; turn < bench.Repetitions; turn++)
        {
            bench.Log($"copies of {Size(mib)}: turn {turn + 1} of {bench.Repetitions}");
            // Whoever comes second finds warmer caches.
            var sides = new[] { () => Lab.AwakeAsync(twins.Weave, () => WeaveTurnAsync(bench, lab, twins.Environment, machine, past!, stop), stop), () => Lab.AwakeAsync(twins.Virsh, () => HandTurnAsync(bench, twin, turn, stop), stop) };
            foreach (var side in turn % 2 == 0 ? sides : sides.Reverse()) await side();
        }
    }

    private async Task WeaveTurnAsync(Bench bench, Lab lab, string environment, Machine machine, string past, CancellationToken stop)
    {
        var nonce = await Guests.FirstReplyAsync(machine.Address, TimeSpan.FromSeconds(10), stop);
        var copy = await lab.Product.CopyAsync(environment, "past", past, machine.Role, stop);
        Take(copy, nonce, _past, _pastSteps);
        _create.Add(copy.CreateMs(machine.Role));
        await Waiting.PauseAsync(TimeSpan.FromSeconds(1), stop);
        var memory = PrivateMemory.Of(copy.Domain(machine.Role), mib);
        _ram.Add(memory.Ram);
        _rest.Add(memory.Rest);
        _bare.Add(await Hosts.ByHand.CreateAsync([copy.Domain(machine.Role)], bench.Folder, stop));
        copy = await lab.Product.CopyAsync(environment, "second", null, machine.Role, stop, source: "past");
        Take(copy, nonce, _ofWeave, _ofWeaveSteps);
        await lab.Product.DeleteWeaveAsync(environment, "second", false, stop);
        await lab.Product.DeleteWeaveAsync(environment, "past", false, stop);

        copy = await lab.Product.CopyAsync(environment, "now", null, machine.Role, stop);
        Take(copy, nonce, _now, _nowSteps);
        // The moment that was taken for it goes with it.
        await lab.Product.DeleteWeaveAsync(environment, "now", false, stop);
    }

    private static void Take(Copy copy, string nonce, List<double> times, Dictionary<string, List<double>> steps)
    {
        // A copy that was booted, or is another machine, must not be measured as one that goes on.
        if (copy.Said != nonce) throw new InvalidOperationException($"the copy says '{copy.Said}' and its original '{nonce}': it does not go on with its memory");
        times.Add(copy.Total);
        foreach (var (step, ms) in copy.Done.Steps.Append(("first reply", copy.Reply)))
        {
            if (!steps.TryGetValue(step, out var all)) steps[step] = all = [];
            all.Add(ms);
        }
    }

    private async Task HandTurnAsync(Bench bench, Machine twin, int turn, CancellationToken stop)
    {
        _byHand.Add(await Hosts.ByHand.CopyAsync(twin, bench.Folder, turn, stop));
        await Waiting.PauseAsync(TimeSpan.FromSeconds(1), stop);
        var memory = PrivateMemory.Of(twin.Domain, mib);
        _ramByHand.Add(memory.Ram);
        _restByHand.Add(memory.Rest);
    }

    private static string Text(Dictionary<string, List<double>> steps) => string.Join(", ", steps.Select(s => $"{s.Key} {new Samples(s.Value).Median.ToString("0", CultureInfo.InvariantCulture)}"));
}
