using WeaveHypervisor.HyperV.Agents;
using WeaveHypervisor.HyperV.Capturing;
using WeaveHypervisor.HyperV.Examining;
using WeaveHypervisor.HyperV.Fences;
using WeaveHypervisor.HyperV.Folding;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.HyperV.Returning;
using WeaveHypervisor.HyperV.Starting;
using WeaveHypervisor.HyperV.States;
using WeaveHypervisor.HyperV.Traffic;
using WeaveHypervisor.HyperV.Volumes;

namespace WeaveHypervisor.HyperV;

/// <summary>The parts of the driver that deal with machines, layers and memory, put together.</summary>
internal sealed class DriverParts : IDisposable
{
    private readonly CopyImporter _importer;

    public DriverParts(DriverContext context)
    {
        var states = new StateChange(context.Client, context.Jobs);
        var editor = new MachineEditor(context);
        Disks = new(context);
        Switches = new(context);
        Layers = new(context, Disks);
        Firmware = new(context);
        Signs = new(context);
        Host = new(context);
        var guests = new GuestNetworks(context.Client);
        Machines = new(context, Disks, guests);
        var rules = new PortRules(context);
        Examiner = new(context, Disks, Switches, guests, rules);
        var checkpoints = new Checkpoints(context, editor, Disks);
        var intents = new CaptureIntents(context);
        Cleanup = new(context, Disks, Layers, checkpoints, intents, editor, states);
        Capture = new(context, Disks, Layers, Firmware, Signs, guests, Switches, checkpoints, new MemoryRoutes(context), Cleanup, intents, editor, states);
        Copies = new(context, editor, states, Firmware);
        _importer = new(context, editor, Copies);
        Starter = new(context, Switches, Disks, Copies, _importer, new CopyDefiner(context, editor, Firmware, rules), states);
        Power = new(context, states, Copies);
        Owned = new(context, Copies, Layers);
        var merging = new MachineLayers(context, Disks, editor);
        Fences = new(context);
        Endpoints = new(context);
        Volumes = new(context);
        Returning = new(context, Disks, merging);
        Folding = new(context, Disks, merging, states);
    }

    public DiskFiles Disks { get; }
    public HostSwitches Switches { get; }
    public LayerKeeper Layers { get; }
    public StateKeeper Firmware { get; }
    public GuestSigns Signs { get; }
    public HostInspector Host { get; }
    public MachineInspector Machines { get; }
    public Examiner Examiner { get; }
    public CaptureCleanup Cleanup { get; }
    public CaptureRun Capture { get; }
    public CopyRemover Copies { get; }
    public CopyStarter Starter { get; }
    public PowerSwitch Power { get; }
    public OwnedRegister Owned { get; }
    public FenceKeeper Fences { get; }
    public EndpointPublisher Endpoints { get; }
    public VolumePlugger Volumes { get; }
    public VolumeReturner Returning { get; }
    public LayerFolder Folding { get; }

    public void Dispose()
    {
        Endpoints.Dispose();
        Fences.Dispose();
        _importer.Dispose();
    }
}
