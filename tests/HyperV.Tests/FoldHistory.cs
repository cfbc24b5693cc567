using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>A machine with four points and a byte of its own at each, the last one in its head.</summary>
internal sealed class FoldHistory(CoreBench bench)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    public List<LayerRef> Layers { get; } = [];
    public MachineRef Machine { get; private set; } = null!;
    public string Target { get; private set; } = "";

    public static async Task<FoldHistory> MakeAsync(CoreBench bench, int points = 4, int disks = 1)
    {
        await bench.AdoptAsync(1, disks: disks);
        var history = new FoldHistory(bench);
        history.Machine = bench.Examined.Machines[0].Machine;
        history.Layers.Add(history.Head);
        for (var point = 0; point < points; point++)
        {
            history.Write(point);
            history.Target = (await bench.CaptureAsync(memory: false)).Request.Machines[0].Volumes[0].Target;
            history.Layers.Add(history.Head);
        }
        history.Write(points);
        return history;
    }

    private LayerRef Head => bench.Heads[(Machine.Name, bench.Examined.Machines[0].Volumes[0].Volume)];

    public void Write(int point) => Assert.True(bench.Host.WriteAsGuest(bench[0], 0, point * 4096, [(byte)('a' + point)]));

    /// <summary>The bytes that the machine reads.</summary>
    public string Read(Guid? machine = null) => new([.. Enumerable.Range(0, Layers.Count).Select(i => (char)bench.Host.ReadDisk(machine ?? bench[0], 0, i * 4096, 1)[0]).TakeWhile(c => c != 0)]);

    public async Task<string> FileAsync() => (await bench.Context.Machines.ReadAsync((await bench.Context.Machines.FindAsync(Machine, Stop))!.Settings, Stop)).Disks[0].File;

    public Task PowerAsync(PowerChange change) => bench.Parts.Power.ChangeAsync([Machine], change, TimeSpan.FromMinutes(1), Stop);

    /// <summary>The layer of point 2 goes into that of point 3.</summary>
    public FoldRequest Merge(bool running = true) => new() { Machine = running ? Machine : null, Target = running ? Target : null, Defined = Machine, DefinedTarget = Target, Layer = Layers[2], Between = [Layers[1]], Parent = Layers[0], Above = running ? Layers[3] : null };

    public FoldRequest Pull() => new() { Machine = Machine, Target = Target, Defined = Machine, DefinedTarget = Target, Layer = Layers[4], IsHead = true, Between = [Layers[1], Layers[2], Layers[3]], Parent = Layers[0] };

    /// <summary>An empty layer of a weave's on a layer.</summary>
    public async Task<LayerRef> StandOnAsync(LayerRef layer)
    {
        var id = LayerId.New(bench.Clock);
        var overlay = new LayerRef(id, bench.Context.Paths.PlaceLayer(bench.Environment, FenceTag.New(), id), DiskFormat.Vhdx, layer.VirtualSize);
        await bench.Parts.Layers.CreateOverlayAsync(overlay, layer, Stop);
        return overlay;
    }

    /// <summary>What a machine that is made on a layer reads.</summary>
    public async Task<string> ReadLayerAsync(LayerRef layer)
    {
        var overlay = await StandOnAsync(layer);
        var reader = bench.Host.AddMachine("reader", [CoreBench.DiskBytes]);
        var machine = (await bench.Context.Machines.FindAsync(reader, Stop))!;
        var disk = (await bench.Context.Machines.ReadAsync(machine.Settings, Stop)).Disks[0];
        await bench.Context.Jobs.RunAsync(await bench.Context.Services.SystemsAsync(Stop), VirtualSystemManagementService.ModifyResourceSettings([new CimObject(StorageAllocationSettingData.ClassName)
            .With(StorageAllocationSettingData.InstanceID, disk.Settings.Get(StorageAllocationSettingData.InstanceID)).With(StorageAllocationSettingData.HostResource, [overlay.Path])]), TimeSpan.FromMinutes(1), Stop);
        var read = Read(reader);
        await bench.Context.Jobs.RunAsync(await bench.Context.Services.SystemsAsync(Stop), VirtualSystemManagementService.DestroySystem(machine.System), TimeSpan.FromMinutes(1), Stop);
        await bench.Parts.Layers.DeleteAsync([overlay.Path], Stop);
        return read;
    }

    public ReturnedVolume Returned(params LayerRef[] chain) => new(bench.Examined.Machines[0].Volumes[0].Volume, Target, Layers[0], chain);

    /// <summary>Deletes what a fold has left over, as the core does.</summary>
    public static async Task DeleteUnneededAsync(CoreBench bench, FoldRequest request, FoldResult result) =>
        await bench.Parts.Layers.DeleteAsync([.. request.Between.Append(request.Layer).Select(l => l.Path).Where(p => p != result.Layer.Path)], Stop);
}
