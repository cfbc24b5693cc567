using System.Text.Json;
using System.Text.RegularExpressions;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.HyperV.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.Sequences;

/// <summary>A simulated host with a driver, and what must be on it: lines of machines with what their disks hold, moments, layers, and published ports.</summary>
internal sealed partial class ModelHost(Stage stage) : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly HyperVBench _bench = Hosts.Driver(stage.Kind, stage.Profile, stage.Seed, gateway: stage.Gateway, jobTime: stage.JobTime);
    private readonly List<Line> _lines = [];
    private readonly List<Moment> _moments = [];
    private readonly List<ModelLayer> _layers = [];
    private readonly SortedDictionary<int, (Line Line, ModelMachine Machine)> _ports = [];
    private readonly HashSet<Guid> _boots = [];
    private readonly EnvironmentId _environment = EnvironmentId.Parse("shop");
    private readonly List<MachineRequest> _given = [];
    private IHypervisorDriver _driver = null!;
    private Examination _examined = null!;
    private IReadOnlyList<string> _files = [];
    private int _count;
    /// <summary>Disks of the user's machines were attached anew.</summary>
    private bool _attached;

    private SimulatedHost Host => _bench.Host;
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private Line Main => _lines[0];
    private IEnumerable<(Line Line, ModelMachine Machine)> Everybody => _lines.SelectMany(l => l.Machines.Select(m => (l, m)));

    public async Task BeginAsync()
    {
        for (var i = 0; i < stage.Disks.Count; i++) _given.Add(await _bench.GiveMachineAsync(i == 0 ? "web" : "db", stage.Disks[i], stage.Generation, Stop));
        _driver = _bench.NewDriver();
        _files = await FilesAsync();
        await AdoptAsync(null);
        await CheckAsync(true);
    }

    /// <summary>The user's machines are examined; the same ones as before, where they were once.</summary>
    private async Task AdoptAsync(Line? before)
    {
        var known = _examined;
        _examined = await _driver.ExamineAsync(_given, Stop);
        Assert.Empty(_examined.Refusals);
        if (known is not null)
        {
            Assert.Equal(Described(known), Described(_examined));
            // A guest that is off says no addresses.
            _examined = _examined with { Blueprint = known.Blueprint };
        }
        _lines.Clear();
        _lines.Add(new("main", FenceTag.New(), [.. _examined.Machines.Select(m => Adopt(m, before?.Machines.Single(b => b.Ref == m.Machine)))]));
    }

    /// <summary>What has to be the same after all was given back: not whether machines run, nor what guests say; and a disk that was attached anew is another device.</summary>
    private string Described(Examination examined) => string.Join("\n", examined.Blueprint.Machines.Select(m => JsonSerializer.Serialize(m with
    {
        Definition = _attached ? "" : IsSaved().Replace(m.Definition, ""), Nics = [.. m.Nics.Select(n => n with { Addresses = [] })],
    })));

    [GeneratedRegex("IsSaved.{0,80}?(true|false)")]
    private static partial Regex IsSaved();

    private ModelMachine Adopt(ExaminedMachine machine, ModelMachine? before)
    {
        var (targets, adopted) = (_examined.Blueprint.Machine(machine.Machine.Name).Volumes.ToDictionary(v => v.Name, v => v.Target), new List<ModelVolume>());
        foreach (var volume in machine.Volumes)
        {
            var head = new ModelLayer(new(LayerId.New(_bench.Clock), volume.Path, volume.Format, volume.VirtualSize), null, isAdopted: true);
            _layers.Add(head);
            adopted.Add(new(volume.Volume, targets[volume.Volume], head, before?.Volumes.Single(v => v.Name == volume.Volume).Content.Copy() ?? new()));
        }
        // Disks that were attached anew are the last ones of their machine.
        if (before is not null) adopted = [.. before.Volumes.Select(b => adopted.Single(v => v.Name == b.Name))];
        Assert.Equal(before?.State ?? RunState.Running, machine.RunState);
        return new(machine.Machine) { Volumes = adopted, State = machine.RunState, IsSaved = before?.IsSaved ?? false, Boot = before?.Boot, Count = before?.Count ?? 0, Firmware = before?.Firmware ?? "", Id = machine.Machine.Uuid };
    }

    public async Task<string> DoAsync(Step step)
    {
        var outcome = $"{step.Act} {await ActAsync(step)}";
        await CheckAsync(step.Trouble != Trouble.None || step.Act is Act.Fold or Act.Release or Act.Reboot);
        return outcome;
    }

    /// <summary>Every moment comes to life as it was; then all is given back, and nothing of ours is left.</summary>
    public async Task EndAsync()
    {
        foreach (var moment in _moments.ToList())
        {
            var proof = new Step(Act.Copy, 0, 0, Trouble.None, 0);
            await CopyAsync(proof, moment, memory: true, paused: false);
            await CheckAsync(true);
            await RetireAsync(proof, _lines[^1]);
        }
        await ReleaseAsync(new(Act.Release, 0, 0, Trouble.None, 0));
        await CheckAsync(true);
    }

    public async ValueTask DisposeAsync()
    {
        if (_driver is not null) await _driver.DisposeAsync();
        Host.Faults.Forget();
        try
        {
            await _bench.DisposeAsync();
        }
        catch (Xunit.Sdk.XunitException)
        {
            // What is left was told already, by the step that left it.
        }
    }

    private async Task<string> ActAsync(Step step)
    {
        var line = _lines[step.A % _lines.Count];
        var copy = _lines.Count == 1 ? null : _lines[1 + step.A % (_lines.Count - 1)];
        var machine = line.Machines[step.B % line.Machines.Count];
        var moment = _moments.Count == 0 ? null : _moments[step.B % _moments.Count];
        switch (step.Act)
        {
            case Act.Write: return Write(step, line);
            case Act.Firmware: return await MarkAsync(line, machine);
            case Act.Capture: return await CaptureAsync(step, line, memory: true);
            case Act.CaptureDisks: return await CaptureAsync(step, line, memory: false);
            case Act.Copy when moment is not null: return await CopyAsync(step, moment, memory: step.A % 4 > 0, paused: step.A % 5 == 0);
            case Act.Copy or Act.Branch:
                if (await CaptureAsync(step with { Trouble = Trouble.None, B = 1 }, line, memory: true) is not "done" and var why) return why;
                return await CopyAsync(step, _moments[^1], memory: true, paused: false);
            case Act.Thicken: return await ThickenAsync(step, line);
            case Act.Power: return await PowerAsync(step, line, machine);
            case Act.StartCopy: return copy is null ? "without a copy" : await StartAsync(step, copy);
            case Act.Retire: return copy is null ? "without a copy" : await RetireAsync(step, copy);
            case Act.Forget: return moment is null ? "without a moment" : await ForgetAsync(step, moment);
            case Act.Fold: return await FoldAsync(step);
            case Act.Sync: return await SyncAsync(step, Main.Machines[step.A % Main.Machines.Count]);
            case Act.Publish: return await PublishAsync(step, line, machine);
            case Act.Restart:
                await RestartAsync();
                return "done";
            case Act.RestartService:
                Host.RestartService(TimeSpan.FromSeconds(3));
                _bench.Clock.Advance(TimeSpan.FromSeconds(4));
                return "done";
            case Act.Reboot: return await RebootAsync();
            case Act.Kill: return await KillAsync(line, machine);
            case Act.Save: return await SaveAsync(line, machine);
            case Act.BreakFence: return copy is null ? "without a copy" : await BreakAsync(step, copy);
            default: return await ReleaseAsync(step);
        }
    }

    /// <summary>A driver as another process would have it.</summary>
    private async Task RestartAsync()
    {
        await _driver.DisposeAsync();
        _driver = _bench.NewDriver();
    }

    /// <summary>Does a step's calls in its trouble.</summary>
    /// <returns>False where they failed because of it; the host is well again then, and so is the driver.</returns>
    private async Task<bool> TryAsync(Step step, Func<Task> calls)
    {
        Host.Faults.Forget();
        if (step.Trouble == Trouble.Dies) Host.Faults.Cut(step.At);
        else if (step.Trouble != Trouble.None) Host.Faults.AddNext(step.At, Enum.Parse<CallFault>(step.Trouble.ToString()));
        try
        {
            await calls();
            return true;
        }
        catch (WeaveException e) when (step.Trouble != Trouble.None)
        {
            Assert.False(string.IsNullOrWhiteSpace(e.Message));
            return false;
        }
        finally
        {
            Host.Faults.Forget();
            if (step.Trouble != Trouble.None) _bench.Clock.Advance(TimeSpan.FromSeconds(10));
            if (step.Trouble == Trouble.Dies) await RestartAsync();
        }
    }

    /// <summary>The same for calls that end at their repeat as if they had been made once.</summary>
    private async Task<string> TwiceAsync(Step step, Func<Task> calls)
    {
        if (await TryAsync(step, calls)) return "done";
        await calls();
        return "done again";
    }

    /// <summary>Moments that are taken and forgotten leave layers that nobody needs.</summary>
    private async Task<string> ThickenAsync(Step step, Line line)
    {
        for (var left = 2 + step.B % 2; left > 0; left--)
        {
            Write(step with { B = step.B + left }, line);
            if (await CaptureAsync(step with { Trouble = Trouble.None, B = 1 }, line, memory: step.A % 3 == 0) is not "done" and var why) return why;
        }
        foreach (var moment in _moments.TakeLast(step.B % 2 + 1).ToList()) await ForgetAsync(step with { Trouble = Trouble.None }, moment);
        return "done";
    }

    private string Write(Step step, Line line)
    {
        var running = line.Machines.Where(m => m.State == RunState.Running).ToList();
        if (running.Count == 0) return "of nobody";
        var machine = running[step.B % running.Count];
        for (var i = 0; i < 2; i++)
        {
            var (disk, slot) = ((step.A + i) % machine.Volumes.Count, (step.B + 5 * i) % Content.Slots);
            var value = (byte)(_count++ % 255 + 1);
            Assert.True(Host.WriteAsGuest(machine.Id!.Value, disk, Content.OffsetOf(slot), [value]));
            machine.Volumes[disk].Content[slot] = value;
        }
        return "done";
    }

    private async Task<string> MarkAsync(Line line, ModelMachine machine)
    {
        if (stage.Generation == 1 || machine.Id is null) return "of nobody";
        machine.Firmware = $"{line.Name}{_count++}";
        await _bench.MarkStateAsync(machine.Ref, machine.Firmware, Stop);
        return "done";
    }

    /// <summary>A user turns a machine off in Hyper-V Manager; of a copy that is off nothing is kept.</summary>
    private async Task<string> KillAsync(Line line, ModelMachine machine)
    {
        if (machine.State == RunState.Off) return "of nobody";
        await _bench.KillAsync(machine.Ref, Stop);
        await GoneAsync(line, machine);
        return "done";
    }

    private async Task GoneAsync(Line line, ModelMachine machine)
    {
        machine.TurnOff();
        if (line.IsMain) return;
        Assert.Null(await _driver.InspectAsync(machine.Ref, Stop));
        await _driver.RetireAsync(machine.Ref, Stop);
        machine.Id = null;
    }

    /// <summary>A user saves a machine in Hyper-V Manager.</summary>
    private async Task<string> SaveAsync(Line line, ModelMachine machine)
    {
        if (machine.State != RunState.Running) return "of nobody";
        await _bench.RequestAsync(machine.Id!.Value, StateChange.Save, Stop);
        (machine.State, machine.IsSaved) = line.IsMain ? (RunState.Off, true) : (RunState.Paused, false);
        return "done";
    }

    private async Task<string> RebootAsync()
    {
        Host.Reboot(TimeSpan.FromSeconds(20));
        _bench.Clock.Advance(TimeSpan.FromSeconds(21));
        await RestartAsync();
        foreach (var (line, machine) in Everybody.Where(e => e.Machine.State != RunState.Off).ToList())
            if (line.IsMain) (machine.State, machine.IsSaved) = (RunState.Off, true);
            else if (Host.StateOf(machine.Id!.Value) == 3) await GoneAsync(line, machine);
            else Assert.Equal((RunState.Paused, (ushort)6), (machine.State, Host.StateOf(machine.Id!.Value)));
        foreach (var line in _lines.Where(l => !l.IsMain)) Assert.Equal(line.Facts!.Addresses, (await _driver.MakeFenceAsync(line.Fence!, Stop)).Addresses);
        return "done";
    }

    private async Task<string> BreakAsync(Step step, Line line)
    {
        var damages = _bench.Damages(line.Tag);
        await damages[stage.Gateway ? step.B % damages.Count : 0].Do(Stop);
        Assert.NotEmpty(await _driver.InspectFenceAsync(line.Fence!, Stop));
        var outcome = await TwiceAsync(step, async () => line.Facts = await _driver.MakeFenceAsync(line.Fence!, Stop));
        Assert.Empty(await _driver.InspectFenceAsync(line.Fence!, Stop));
        return outcome;
    }

    private async Task<string> PublishAsync(Step step, Line line, ModelMachine machine)
    {
        var (one, two) = _bench.FreePorts;
        var port = step.B % 2 == 0 ? one : two;
        if (!_ports.Remove(port) || step.A % 3 > 0)
        {
            if (!line.IsMain && !stage.Gateway) return "of no gateway";
            _ports[port] = (line, machine);
        }
        return await TwiceAsync(step, SetPortsAsync);
    }

    private Task SetPortsAsync() => _driver.PublishAsync([.. _ports.Select(p => new PublishedEndpoint(RouteId.New(_bench.Clock), RouteProtocol.Tcp, "0.0.0.0", p.Key, AddressOf(p.Value.Line, p.Value.Machine), _bench.ServicePort))], Stop);

    private string AddressOf(Line line, ModelMachine machine) => line.IsMain ? _examined.Blueprint.Machine(machine.Ref.Name).Nics[0].Addresses[0] : line.Facts!.Addresses.Single(a => a.Machine == machine.Ref.Name).Outer;
}
