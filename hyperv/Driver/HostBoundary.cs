using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV;

/// <summary>
/// Between the paths of the contract, which are those by which this process reaches files, and those of the host's calls. On the host itself they are the same; with a host that is simulated they are not, and everything
/// above the driver (readers of disks, the catalogue of layers) still opens what it is told. Pure.
/// </summary>
internal sealed class HostBoundary(IHostFiles files)
{
    public string ToHost(string path) => files.Hosted(path);
    public string ToLocal(string path) => files.Local(path);
    public IReadOnlyList<string> ToHost(IReadOnlyList<string> paths) => [.. paths.Select(ToHost)];

    public LayerRef ToHost(LayerRef layer) => layer with { Path = ToHost(layer.Path) };
    public LayerRef ToLocal(LayerRef layer) => layer with { Path = ToLocal(layer.Path) };
    private IReadOnlyList<LayerRef> ToHost(IReadOnlyList<LayerRef> layers) => [.. layers.Select(ToHost)];

    public StateFile ToHost(StateFile state) => state with { Path = ToHost(state.Path) };
    private MemoryImage? ToHost(MemoryImage? image) => image is null ? null : image with { FlatPath = ToHost(image.FlatPath), DeviceStatePath = ToHost(image.DeviceStatePath) };

    public CaptureRequest ToHost(CaptureRequest request) => request with
    {
        Machines = [.. request.Machines.Select(m => m with
        {
            FlatPath = ToHost(m.FlatPath), DeviceStatePath = ToHost(m.DeviceStatePath), Base = ToHost(m.Base), Newest = ToHost(m.Newest),
            Volumes = [.. m.Volumes.Select(v => v with { Head = ToHost(v.Head), NewHead = ToHost(v.NewHead) })],
            States = [.. m.States.Select(s => s with { Path = ToHost(s.Path), Own = s.Own is null ? null : ToHost(s.Own) })],
        })],
    };

    public InstantiateRequest ToHost(InstantiateRequest request) => request with
    {
        Machines = [.. request.Machines.Select(m => m with { Heads = [.. m.Heads.Select(h => h with { Head = ToHost(h.Head) })], Memory = ToHost(m.Memory), States = [.. m.States.Select(ToHost)] })],
    };

    public FoldRequest ToHost(FoldRequest request) => request with
    {
        Layer = ToHost(request.Layer), Between = ToHost(request.Between), Parent = ToHost(request.Parent), Above = request.Above is null ? null : ToHost(request.Above), Others = ToHost(request.Others),
    };

    public IReadOnlyList<ReturnedVolume> ToHost(IReadOnlyList<ReturnedVolume> volumes) => [.. volumes.Select(v => v with { Adopted = ToHost(v.Adopted), Chain = ToHost(v.Chain) })];

    public AttachedVolume ToHost(AttachedVolume volume) => volume with { Layer = ToHost(volume.Layer) };

    public OwnedThing ToHost(OwnedThing thing) => thing.Kind == OwnedKind.File ? thing with { Key = ToHost(thing.Key) } : thing;
    public OwnedThing ToLocal(OwnedThing thing) => thing.Kind == OwnedKind.File ? thing with { Key = ToLocal(thing.Key) } : thing;

    public Examination ToLocal(Examination examined) => examined with
    {
        Machines = [.. examined.Machines.Select(m => m with { Volumes = [.. m.Volumes.Select(v => v with { Path = ToLocal(v.Path) })] })],
    };

    public MachineFacts? ToLocal(MachineFacts? facts) => facts is null ? null : facts with { VolumePaths = facts.VolumePaths.ToDictionary(v => v.Key, v => ToLocal(v.Value), StringComparer.Ordinal) };

    public CaptureResult ToLocal(CaptureResult result) => result with
    {
        Machines = [.. result.Machines.Select(m => m with
        {
            Memory = m.Memory is null ? null : m.Memory with { FlatPath = ToLocal(m.Memory.FlatPath), DeviceStatePath = ToLocal(m.Memory.DeviceStatePath) },
            States = [.. m.States.Select(s => s with { Path = ToLocal(s.Path) })],
        })],
    };

    public FoldResult ToLocal(FoldResult result) => result with { Layer = ToLocal(result.Layer) };
}
