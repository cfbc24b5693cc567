using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>P7: the file that a new weave adds per volume, beside the same overlay of qemu-img.</summary>
internal sealed class OverlayCost : IFigure
{
    private static readonly int[] Sizes = [1, 100, 2048];

    public string Id => "P7";
    public string Goal => "disk cost of a new weave per volume ≤ 24 KiB, qemu-img check clean";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var rows = new List<Row>();
        foreach (var gib in Sizes)
        {
            var disk = Path.Combine(bench.Folder, $"disk-{gib}.qcow2");
            (await Shell.RunAsync("qemu-img", ["create", "-q", "-f", "qcow2", disk, $"{gib}G"], stop)).Succeeded();
            List<double> ours = [], theirs = [];
            for (var turn = 0; turn < bench.Repetitions; turn++)
            {
                var overlay = Path.Combine(bench.Folder, $"{gib}-{turn}");
                Qcow2OverlayWriter.Write(overlay + "-weave", disk, DiskFormat.Qcow2, gib * (1L << 30));
                (await Shell.RunAsync("qemu-img", ["check", "-q", overlay + "-weave"], stop)).Succeeded();
                ours.Add(FileFacts.Read(overlay + "-weave").AllocatedBytes / 1024.0);
                (await Shell.RunAsync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, overlay + "-qemu"], stop)).Succeeded();
                theirs.Add(FileFacts.Read(overlay + "-qemu").AllocatedBytes / 1024.0);
            }
            var mine = new Samples(ours);
            rows.Add(new($"new layer on a disk of {gib} GiB", "KiB", mine, "qemu-img create -b", new(theirs), new("largest", mine.Max, Sense.AtMost, 24, "KiB"), "allocated blocks; qemu-img check is clean of each"));
        }
        return rows;
    }
}
