using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>A simulated host with machines of a user's, and the parts of the driver that capture and copy them; paths are the host's. Each bench has a folder of its own.</summary>
internal sealed class CoreBench : IDisposable
{
    public const long DiskBytes = 8 << 20;
    private readonly string _root = Directory.CreateTempSubdirectory("wvhv").FullName;
    private readonly List<Guid> _machines = [];

    public CoreBench(SimulatedHostOptions? host = null, CapabilityRecord? record = null, bool outage = false, Func<ICimClient, ICimClient>? client = null, Func<IHostFiles, IHostFiles>? files = null)
    {
        Host = new(_root, Clock, host);
        Options = new() { AllowOutage = outage };
        Context = new(Options, client?.Invoke(Host.Client) ?? Host.Client, files?.Invoke(Host.Files) ?? Host.Files, Clock, NullLoggerFactory.Instance);
        Parts = new(Context);
        Lan = Host.AddSwitch("LAN");
        Record = record;
    }

    public LeapingClock Clock { get; } = new();
    public SimulatedHost Host { get; }
    public HyperVOptions Options { get; }
    public DriverContext Context { get; }
    public DriverParts Parts { get; private set; }
    public CapabilityRecord? Record { get; }
    public CimPath Lan { get; }
    public EnvironmentId Environment { get; } = EnvironmentId.Parse("shop");
    public FenceTag Main { get; } = FenceTag.New();
    public Examination Examined { get; private set; } = null!;
    public Dictionary<(MachineName, VolumeName), LayerRef> Heads { get; } = [];
    public Guid this[int i] => _machines[i];
    public static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Running machines on one switch, adopted.</summary>
    public async Task AdoptAsync(int count, int generation = 2, bool running = true, int disks = 2)
    {
        if (Record is not null)
        {
            await Context.Record.WriteAsync(Record, Stop);
            // One that does not count would have every test go the untested way.
            Assert.Equal(Record.TestedAt, (await Context.Record.ReadAsync(Stop)).TestedAt);
        }
        for (var i = 0; i < count; i++)
        {
            var name = i == 0 ? "web" : "db" + i;
            _machines.Add(Host.AddMachine(name, [.. Enumerable.Repeat(DiskBytes, i == 0 ? disks : 1)], [Lan], generation, memoryMegabytes: 64, checkpoints: 3));
            Host.SetAddress(_machines[^1], 0, $"10.0.0.{i + 10}", gateway: "10.0.0.1");
            if (running) await Parts.Power.ChangeAsync([new(MachineName.Parse(name), name, _machines[^1])], PowerChange.Start, TimeSpan.FromMinutes(1), Stop);
        }
        await ExamineAsync();
        foreach (var machine in Examined.Machines)
            foreach (var volume in machine.Volumes) Heads[(machine.Machine.Name, volume.Volume)] = new(LayerId.New(Clock), volume.Path, volume.Format, volume.VirtualSize);
    }

    /// <summary>Reads what the machines are now; their heads stay those of the adoption and of captures.</summary>
    public async Task ExamineAsync()
    {
        Examined = await Parts.Examiner.ExamineAsync([.. _machines.Select((id, i) => new MachineRequest(MachineName.Parse(i == 0 ? "web" : "db" + i), id.ToString()))], Stop);
        Assert.Empty(Examined.Refusals);
    }

    public CaptureRequest Plan(bool memory, bool quiesce = false)
    {
        var snapshot = SnapshotId.New(Clock);
        return new()
        {
            Environment = Environment, Snapshot = snapshot, Memory = memory, Quiesce = quiesce,
            Machines = [.. Examined.Machines.Select(m =>
            {
                var (flat, state) = Context.Paths.PlaceMemory(Environment, snapshot, m.Machine.Name);
                return new CaptureMachine(m.Machine, true, [.. m.Volumes.Select(v => NewHead(v.Volume, Heads[(m.Machine.Name, v.Volume)], Main))], flat, state)
                {
                    States = [.. Examined.Blueprint.Machine(m.Machine.Name).States.Select(k => new CaptureState(k, Context.Paths.PlaceState(Environment, snapshot, m.Machine.Name, k), null))],
                };
            })],
        };
    }

    private CaptureVolume NewHead(VolumeName volume, LayerRef head, FenceTag tag)
    {
        var id = LayerId.New(Clock);
        return new(volume, volume.Text, head, new(id, Context.Paths.PlaceLayer(Environment, tag, id), DiskFormat.Vhdx, head.VirtualSize));
    }

    public async Task<(CaptureRequest Request, CaptureResult Result)> CaptureAsync(bool memory, bool quiesce = false)
    {
        var request = Plan(memory, quiesce);
        var result = await Parts.Capture.RunAsync(request, null, Stop);
        Switched(request);
        return (request, result);
    }

    public void Switched(CaptureRequest request)
    {
        foreach (var machine in request.Machines)
            foreach (var volume in machine.Volumes) Heads[(machine.Machine.Name, volume.Volume)] = volume.NewHead;
    }

    public async Task<InstantiateRequest> PlanCopyAsync(CaptureRequest capture, CaptureResult result, bool memory = true)
    {
        var tag = FenceTag.New();
        var weave = WeaveId.Parse("w" + tag);
        foreach (var network in Examined.Blueprint.Networks) await AddFenceSwitchAsync(tag, network.Name);
        var copies = new List<CopyMachine>();
        foreach (var machine in capture.Machines)
        {
            var heads = new List<CopyVolume>();
            foreach (var volume in machine.Volumes)
            {
                var id = LayerId.New(Clock);
                var layer = new LayerRef(id, Context.Paths.PlaceLayer(Environment, tag, id), DiskFormat.Vhdx, volume.Head.VirtualSize);
                await Parts.Layers.CreateOverlayAsync(layer, volume.Head, Stop);
                heads.Add(new(volume.Volume, volume.Target, layer));
            }
            var copy = new MachineRef(machine.Machine.Name, Context.Paths.NameCopy(Environment, weave, machine.Machine.Name), Guid.NewGuid());
            var captured = result.Machines.Single(m => m.Name == copy.Name);
            var states = new List<StateFile>();
            foreach (var state in captured.States)
            {
                states.Add(state with { Path = Context.Paths.PlaceState(Environment, tag, copy, state.Kind) });
                await Parts.Firmware.CreateAsync(state, states[^1].Path, Stop);
            }
            copies.Add(new(copy, Examined.Blueprint.Machine(copy.Name), heads, memory ? captured.Memory : null, RunState.Running) { States = states });
        }
        return new() { Environment = Environment, Weave = weave, Tag = tag, Networks = [.. Examined.Blueprint.Networks.Select(n => n.Name)], Machines = copies };
    }

    public async Task AddFenceSwitchAsync(FenceTag tag, NetworkName network)
    {
        var settings = new CimObject(VirtualEthernetSwitchSettingData.ClassName).With(VirtualEthernetSwitchSettingData.ElementName, Context.Paths.NameSwitch(tag, network))
            .With(VirtualEthernetSwitchSettingData.Notes, new OwnedMark(Options.Prefix, MarkKind.Switch, tag.Text, network.Text).ToNotes());
        await Context.Jobs.RunAsync(await Context.Services.SwitchesAsync(Stop), VirtualEthernetSwitchManagementService.DefineSystem(systemSettings: settings), TimeSpan.FromMinutes(1), Stop);
    }

    /// <summary>Hyper-V's id of a copy.</summary>
    public async Task<Guid> IdOfAsync(MachineRef copy) => (await Context.Machines.FindAsync(copy, Stop))!.Id;

    public void Dispose()
    {
        Parts.Dispose();
        Directory.Delete(_root, recursive: true);
    }
}
