using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <content>
/// Bytes of disks, in their real files. Lines (orders) are kept beside the files; bytes are what differences and syncs see. A file is written anew for each write: disks here are small.
/// </content>
public sealed partial class SimulatedHost
{
    /// <summary>Of files that hold bytes: by this they are told from empty overlays.</summary>
    internal const int ClusterBytes = 4096;

    /// <summary>A guest writes to a disk. Conflict where the machine does not run.</summary>
    public void WriteBytes(Guid uuid, string target, long offset, ReadOnlyMemory<byte> bytes) => Locked(() =>
    {
        if (Machines.GetValueOrDefault(uuid) is not { RunState: RunState.Running } machine) throw new WeaveException(Fault.Conflict, $"Machine {uuid} does not run.");
        var disk = machine.Disks[target];
        if (disk.Format == DiskFormat.Raw)
        {
            using var file = File.OpenHandle(disk.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            RandomAccess.Write(file, bytes.Span, offset);
            return;
        }
        Rewrite(disk.Path, disk.Path, 1, Below[disk.Path], disk.VirtualSize, (offset, bytes));
    });

    /// <summary>What a disk with that file as its head reads.</summary>
    public byte[] ReadBytes(string head) => Locked(() => Do(async () =>
    {
        await using var chain = await OpenAsync(head);
        var bytes = new byte[chain.Capacity];
        await chain.ReadAsync(0, bytes, default);
        return bytes;
    }));

    /// <summary>A short digest of what a disk with that file as its head reads, " #1a2b3c4d"; empty where it is all zeroes.</summary>
    public string Digest(string head)
    {
        var written = Locked(() =>
        {
            for (string? path = head; path is not null; path = Below.GetValueOrDefault(path))
                if (SimulatedHypervisor.HoldsBytes([path]) || FormatOf(path) == DiskFormat.Raw && File.Exists(path) && FileFacts.Read(path).AllocatedBytes > 0) return true;
            return false;
        });
        // A copied file may hold zeroes where it had a hole.
        return written && ReadBytes(head) is var bytes && bytes.AsSpan().ContainsAnyExcept((byte)0) ? " #" + Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes))[..8] : "";
    }

    /// <summary>Writes <paramref name="path"/> anew, whole or not at all: on <paramref name="parent"/>, with what the <paramref name="depth"/> uppermost files of the disk <paramref name="head"/> hold, and one more range over it.</summary>
    internal void Rewrite(string path, string head, int depth, string parent, long capacity, (long Offset, ReadOnlyMemory<byte> Bytes)? over = null) => Do(async () =>
    {
        await using var chain = await OpenAsync(head);
        var own = new List<DiskRange>();
        await foreach (var extent in chain.ExtentsAsync(0, chain.Capacity, Math.Min(depth, chain.Layers.Count), default))
            if (extent.Layer >= 0) own.Add(new(extent.Offset, extent.Length));
        if (over is { } more) own.Add(new(more.Offset, more.Bytes.Length));
        var content = new byte[chain.Capacity];
        await chain.ReadAsync(0, content, default);
        if (over is { } written) written.Bytes.CopyTo(content.AsMemory((int)written.Offset));
        DiskReader reader = (offset, into, _) =>
        {
            content.AsMemory((int)offset, into.Length).CopyTo(into);
            return ValueTask.CompletedTask;
        };
        // The reader answers for the whole disk: what is in the same cluster as a range comes with it.
        var part = path + ".new";
        DurableFile.TryDelete(part);
        try
        {
            await Qcow2Writer.WriteAsync(part, new(capacity, parent, parent.EndsWith(".raw", StringComparison.Ordinal) ? DiskFormat.Raw : DiskFormat.Qcow2, ClusterBytes), Union(own).ToAsyncEnumerable(), reader, reader, null, default);
            File.Move(part, path, overwrite: true);
        }
        finally
        {
            DurableFile.TryDelete(part);
        }
        return true;
    });

    /// <summary>Writes what the files above an adopted one hold into that one, which is raw.</summary>
    internal void Return(string head, int above, string adopted) => Do(async () =>
    {
        await using var chain = await OpenAsync(head);
        using var file = File.OpenHandle(adopted, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        await foreach (var extent in chain.ExtentsAsync(0, chain.Capacity, above, default))
        {
            if (extent.Layer < 0) continue;
            var bytes = new byte[extent.Length];
            await chain.ReadAsync(extent.Offset, bytes, default);
            RandomAccess.Write(file, bytes, extent.Offset);
        }
        return true;
    });

    private ValueTask<DiskChain> OpenAsync(string head)
    {
        var known = new Dictionary<string, DiskFormat>();
        for (string? path = head; path is not null; path = Below.GetValueOrDefault(path)) known[path] = FormatOf(path);
        return DiskChain.OpenAsync(head, FormatOf(head), new CatalogueLocator(known), default);
    }

    private static DiskFormat FormatOf(string path) => path.EndsWith(".raw", StringComparison.Ordinal) ? DiskFormat.Raw : DiskFormat.Qcow2;

    private static List<DiskRange> Union(IEnumerable<DiskRange> ranges)
    {
        var union = new List<DiskRange>();
        foreach (var range in ranges.OrderBy(r => r.Offset))
            if (union.Count > 0 && range.Offset <= union[^1].End) union[^1] = union[^1] with { Length = Math.Max(union[^1].End, range.End) - union[^1].Offset };
            else union.Add(range);
        return union;
    }

    /// <summary>Nothing here waits for anything but files, and the host is locked by its thread.</summary>
    private static T Do<T>(Func<Task<T>> work) => Task.Run(work).GetAwaiter().GetResult();
}
