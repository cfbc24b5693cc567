using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Layers;

/// <summary>What Hyper-V says of disk files, and whose names they are. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.</summary>
internal sealed class DiskFiles(DriverContext context)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    /// <summary>Longest chain that is followed; a circle is longer.</summary>
    private const int LongestChain = 200;

    /// <summary>Msvm_VirtualHardDiskSettingData: Type, Format.</summary>
    private const ushort Differencing = 4, Vhdx = 3;

    /// <summary>Settings of an empty layer that is to be made on a parent, whose sizes it has.</summary>
    public static CimObject LayerOn(string parent, string path) => new CimObject(VirtualHardDiskSettingData.ClassName).With(VirtualHardDiskSettingData.Type, Differencing).With(VirtualHardDiskSettingData.Format, Vhdx)
        .With(VirtualHardDiskSettingData.Path, path).With(VirtualHardDiskSettingData.ParentPath, parent).With(VirtualHardDiskSettingData.MaxInternalSize, 0ul)
        .With(VirtualHardDiskSettingData.BlockSize, 0u).With(VirtualHardDiskSettingData.LogicalSectorSize, 0u).With(VirtualHardDiskSettingData.PhysicalSectorSize, 0u);

    /// <summary>A new disk, written by us, that begins with these bytes and is empty behind them: whole or absent.</summary>
    public async Task WriteAsync(string path, long size, ReadOnlyMemory<byte> bytes, CancellationToken stop) =>
        await VhdxWriter.WriteAsync(context.Files.Local(path), new(size, BlockBytes: 1 << 20), new[] { new DiskRange(0, bytes.Length) }.ToAsyncEnumerable(), (at, into, _) =>
        {
            bytes.Slice((int)at, into.Length).CopyTo(into);
            return ValueTask.CompletedTask;
        }, null, null, stop);

    /// <summary>True for a name of the kind that Hyper-V gives to layers of its own (<c>…_GUID.avhdx</c>).</summary>
    public static bool IsHypervisorsName(string path) => HostPath.Ending(path).Equals(".avhdx", StringComparison.OrdinalIgnoreCase);

    /// <summary>What a disk file says of itself; <see cref="HostErrorKind.NotFound"/> where it is not there.</summary>
    public async Task<CimObject> ReadAsync(string path, CancellationToken stop)
    {
        var images = await context.Services.ImagesAsync(stop);
        var outcome = await context.Jobs.RunAsync(images, ImageManagementService.GetVirtualHardDiskSettingData(path), Deadline, stop);
        return EmbeddedInstance.Read(outcome.Answer.Get(ImageManagementService.GetVirtualHardDiskSettingDataAnswer.SettingData) ?? throw new HostException(HostErrorKind.Failed, $"Hyper-V says nothing of '{path}'"));
    }

    /// <summary>A disk file and all that it stands on, the file first.</summary>
    public async Task<IReadOnlyList<string>> ChainAsync(string path, CancellationToken stop)
    {
        var chain = new List<string>();
        for (var at = path; at is { Length: > 0 }; at = (await ReadAsync(at, stop)).Get(VirtualHardDiskSettingData.ParentPath))
        {
            if (chain.Count == LongestChain) throw new HostException(HostErrorKind.Damaged, $"The chain of '{path}' has no end");
            chain.Add(at);
        }
        return chain;
    }

    /// <summary>Gives a machine the right to what its disk stands on, where the host does not do that as it attaches the disk.</summary>
    public async Task GrantParentsAsync(string path, Guid machine, CancellationToken stop)
    {
        if ((await context.Record.ReadAsync(stop)).GrantsParents) return;
        foreach (var file in (await ChainAsync(path, stop)).Skip(1)) await context.Files.GrantAsync(file, machine, stop);
    }

    /// <summary>True where two paths lead to one file.</summary>
    public async Task<bool> IsSameAsync(string path, string other, CancellationToken stop) =>
        HostPath.Comparer.Equals(path, other) || (await context.Files.NamesAsync(path, stop)).Contains(other, HostPath.Comparer);

    /// <summary>
    /// The name by which machines are to open a file: Hyper-V's own, where it has given it one, else the path itself. Only that keeps a layer in its machine's chain of checkpoints; and what the host merges it deletes
    /// under the name that it knows, so that another one would be left.
    /// </summary>
    public async Task<string> OpenedAsAsync(string path, CancellationToken stop) => (await context.Files.NamesAsync(path, stop)).FirstOrDefault(IsHypervisorsName) ?? path;

    /// <summary>The name that the rest of the product knows a file by: the layer's, where it is one of ours, else the path itself.</summary>
    public async Task<string> NameAsync(string path, CancellationToken stop) =>
        context.Paths.IsOurs(path) ? context.Paths.Canonical(path)
        : (await context.Files.NamesAsync(path, stop)).Where(context.Paths.IsOurs).Select(context.Paths.Canonical).FirstOrDefault() ?? path;
}
