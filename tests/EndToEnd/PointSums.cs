using System.Security.Cryptography;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>What the disks of a snapshot read, through their chains, by QEMU's own reader; equal as long as the snapshot is.</summary>
internal static class PointSums
{
    /// <summary>"db/vdb 1f3a…" for each disk; null where the snapshot has gone, or its chain was being changed while it was read.</summary>
    public static async Task<string?> TryReadAsync(LabWorld lab, string snapshot)
    {
        var shown = await lab.TryWeaveAsync("snapshot", "show", snapshot, "--json");
        if (shown.Exit != 0) return null;
        var sums = new List<string>();
        foreach (var file in LabWorld.Read<SnapshotView>(shown.Output).Files!.Where(f => f.Kind is "layer" or "adopted").OrderBy(f => $"{f.Machine}/{f.Volume}", StringComparer.Ordinal))
        {
            var raw = Path.Combine(LabWorld.LabFolder, "sum.raw");
            try
            {
                // The machines have the files open; nobody writes to those below their heads but a merge, whose layer above hides what it writes.
                if ((await Shell.RunAsync("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", file.Path, raw)).Exit != 0) return null;
                await using var stream = File.OpenRead(raw);
                sums.Add($"{file.Machine}/{file.Volume} {Convert.ToHexStringLower(await SHA256.HashDataAsync(stream))}");
            }
            finally
            {
                File.Delete(raw);
            }
        }
        return string.Join(", ", sums);
    }

    /// <summary>As <see cref="TryReadAsync"/>, of a snapshot that nobody deletes.</summary>
    public static async Task<string> ReadAsync(LabWorld lab, string snapshot)
    {
        string? sums = null;
        await Shell.UntilAsync($"snapshot {snapshot} is read", async () => (sums = await TryReadAsync(lab, snapshot)) is not null);
        return sums!;
    }
}
