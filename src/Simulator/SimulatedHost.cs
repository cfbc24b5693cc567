using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <summary>
/// An imaginary hypervisor host. It lives on when the driver object or the service is thrown away and made again, as a real one does. Disk files are real
/// (small raw files and qcow2 overlays under <see cref="Root"/>); what guests write is kept beside them, per file, as lines of text. Thread-safe.
/// </summary>
public sealed partial class SimulatedHost : IDisposable
{
    private readonly Lock _gate = new();
    private readonly bool _ownsRoot;

    /// <param name="root">Folder for all files; null: a temporary one, deleted with the host.</param>
    public SimulatedHost(string? root = null, TimeProvider? clock = null)
    {
        _ownsRoot = root is null;
        Root = root ?? Directory.CreateTempSubdirectory("weave-simulated").FullName;
        Clock = clock ?? TimeProvider.System;
        Directory.CreateDirectory(UserFolder);
    }

    public string Root { get; }
    public TimeProvider Clock { get; }
    /// <summary>The driver's own tree.</summary>
    public string Tree => Path.Combine(Root, "environments");
    /// <summary>Where users' machines have their disks.</summary>
    public string UserFolder => Path.Combine(Root, "user");
    /// <summary>What the host says is free.</summary>
    public long FreeBytes { get; set; } = 1L << 40;
    /// <summary>Pause that a capture reports for each running machine.</summary>
    public TimeSpan Pause { get; set; } = TimeSpan.FromMilliseconds(20);
    /// <summary>False: nothing answers, every call but host inspection is Unavailable.</summary>
    public bool IsUp { get; set; } = true;
    /// <summary>Called within calls at named points, such as "capture:paused:web" and "capture:switched:web"; may throw, to fail a call half way.</summary>
    public Func<string, CancellationToken, Task>? At { get; set; }
    /// <summary>Ports that programs of the host or other owners listen on: "tcp 8080".</summary>
    public HashSet<string> ForeignListeners { get; } = [];

    internal Dictionary<Guid, SimulatedMachine> Machines { get; } = [];
    internal Dictionary<NetworkName, NetworkBlueprint> Networks { get; } = [];
    /// <summary>Also those of which only the addresses are kept.</summary>
    internal Dictionary<FenceTag, SimulatedFence> Fences { get; } = [];
    internal Dictionary<FenceTag, List<string>> Damages { get; } = [];
    internal List<PublishedEndpoint> Published { get; set; } = [];
    /// <summary>Lines that were written into a file while it was the live one, and the file below it.</summary>
    internal Dictionary<string, List<string>> Content { get; } = [];
    internal Dictionary<string, string> Below { get; } = [];

    internal T Locked<T>(Func<T> act)
    {
        lock (_gate) return act();
    }

    internal void Locked(Action act)
    {
        lock (_gate) act();
    }

    /// <summary>Adds a network of the user's: gateway .1 of <paramref name="prefix"/> (such as "10.20.30"), /24, DHCP.</summary>
    public NetworkName AddNetwork(string name, string prefix) => Locked(() =>
    {
        var network = NetworkName.Parse(name);
        Networks[network] = new()
        {
            Name = network, Gateway = $"{prefix}.1", PrefixLength = 24, GatewayMac = $"52:54:00:00:00:{Networks.Count + 1:x2}", Dhcp = true, DhcpStart = $"{prefix}.100", DhcpEnd = $"{prefix}.200",
        };
        return network;
    });

    /// <summary>
    /// Adds a user's machine, running unless <paramref name="running"/> is false, with one NIC and one raw disk of 1 MiB per name in <paramref name="disks"/> (default "vda").
    /// </summary>
    public MachineRef AddUserMachine(string name, string address, string network = "lan", bool running = true, long memoryBytes = 64L << 20, string? memoryRefusal = null, params string[] disks)
    {
        if (!Locked(() => Networks.ContainsKey(NetworkName.Parse(network)))) AddNetwork(network, address[..address.LastIndexOf('.')]);
        if (disks.Length == 0) disks = ["vda"];
        var paths = disks.ToDictionary(d => d, d => Path.Combine(UserFolder, $"{name}-{d}.raw"));
        foreach (var path in paths.Values)
            DurableFile.Write(path, file => file.SetLength(1 << 20));
        return Locked(() =>
        {
            var mac = $"52:54:00:01:00:{Machines.Count + 1:x2}";
            var machine = new SimulatedMachine
            {
                Ref = new(MachineName.Parse(name), name, Guid.NewGuid()), RunState = running ? RunState.Running : RunState.Off, MemoryBytes = memoryBytes, MemoryRefusal = memoryRefusal,
                Nics = [new(mac, NetworkName.Parse(network), [address])],
            };
            foreach (var (target, path) in paths) machine.Disks[target] = new(path, DiskFormat.Raw, 1 << 20);
            if (running) machine.Boot();
            Machines[machine.Ref.Uuid] = machine;
            return machine.Ref;
        });
    }

    /// <summary>Gives a user's machine a firmware that keeps variables.</summary>
    public void GiveNvram(Guid uuid, string content) => Locked(() =>
    {
        var machine = Machines[uuid];
        machine.Nvram = Path.Combine(UserFolder, $"{machine.Ref.HypervisorName}.nvram");
        File.WriteAllText(machine.Nvram, content);
    });

    /// <summary>The firmware's variables, the user's machine's or a copy's.</summary>
    public string ReadNvram(Guid uuid) => Locked(() => File.ReadAllText(Machines[uuid].Nvram!));

    /// <summary>The firmware writes its variables.</summary>
    public void WriteNvram(Guid uuid, string content) => Locked(() => File.WriteAllText(Machines[uuid].Nvram!, content));

    /// <summary>Makes a reason why examination must refuse a user's machine.</summary>
    public void RefuseAdoption(string hypervisorName, string reason) => Locked(() => Machines.Values.Single(m => m.Ref.HypervisorName == hypervisorName).Refusals.Add(reason));

    /// <summary>Places an order with a machine: written to its first disk and counted in its RAM. Conflict where it does not run.</summary>
    public void Order(Guid uuid, string order) => Locked(() =>
    {
        var machine = Machines.GetValueOrDefault(uuid);
        if (machine is not { RunState: RunState.Running }) throw new WeaveException(Fault.Conflict, $"Machine {uuid} does not run.");
        if (machine.Frozen) throw new WeaveException(Fault.Busy, $"The file systems of machine {uuid} are frozen.");
        ContentOf(machine.Disks.Values.First().Path).Add(order);
        machine.Counter++;
    });

    /// <summary>What a machine answers; null where it does not run.</summary>
    public SimulatedAnswer? Ask(Guid uuid) => Locked(() => Machines.GetValueOrDefault(uuid) is { RunState: RunState.Running } machine ? AnswerOf(machine) : null);

    /// <summary>What answers at a host address: an outer address of a fence, or the own address of a user's machine. Null where nothing does.</summary>
    public SimulatedAnswer? Ask(string address) => Locked(() =>
    {
        foreach (var fence in Fences.Values.Where(f => f.Stands))
            if (fence.Addresses.FirstOrDefault(a => a.Outer == address) is { } inner)
                return Machines.Values.FirstOrDefault(m => m.Tag == fence.Spec.Tag && m.RunState == RunState.Running && m.Nics.Any(n => n.Mac == inner.Mac)) is { } copy ? AnswerOf(copy) : null;
        return Machines.Values.FirstOrDefault(m => m.Tag is null && m.RunState == RunState.Running && m.Nics.Any(n => n.Addresses.Contains(address))) is { } machine ? AnswerOf(machine) : null;
    });

    /// <summary>What answers at a port of a host address, like <see cref="Ask(string)"/>, through the rules of a fence; null where nothing does.</summary>
    public SimulatedAnswer? Reach(string address, int port, RouteProtocol protocol = RouteProtocol.Tcp) => Locked(() =>
        Fences.Values.All(f => !f.Stands || f.Addresses.FirstOrDefault(a => a.Outer == address) is not { } at || f.LetsIn(at.Machine, protocol, port))) ? Ask(address) : null;

    /// <summary>What answers at a published port; null where nothing does, where it is not for the client, and where the fence that it leads into is not there.</summary>
    /// <param name="client">Who asks.</param>
    public SimulatedAnswer? AskPort(int port, RouteProtocol protocol = RouteProtocol.Tcp, string client = "192.0.2.99") =>
        Locked(() => Published.FirstOrDefault(e => e.ListenPort == port && e.Protocol == protocol)) is { } endpoint
        && (endpoint.Sources is not { } sources || AccessPolicy.TryParse(sources, out var policy) && policy.LetsIn(System.Net.IPAddress.Parse(client)))
        && (endpoint.Fence is not { } tag || Locked(() => Standing(tag)?.Addresses.Any(a => a.Outer == endpoint.TargetAddress) == true))
            ? Reach(endpoint.TargetAddress, endpoint.TargetPort, protocol) : null;

    /// <summary>The security groups that a fence enforces now; null where there is no such fence.</summary>
    public IReadOnlyList<SecurityGroup>? GroupsOf(FenceTag tag) => Locked(() => Standing(tag)?.Spec.Groups);

    /// <summary>The fence is there, whole or damaged.</summary>
    public bool HasFence(FenceTag tag) => Locked(() => Standing(tag) is not null);

    internal SimulatedFence? Standing(FenceTag tag) => Fences.GetValueOrDefault(tag) is { Stands: true } fence ? fence : null;

    /// <summary>Whom published ports are for, by port: canonical prefixes, or null for everyone.</summary>
    public IReadOnlyDictionary<int, string?> Sources => Locked(() => Published.ToDictionary(e => e.ListenPort, e => e.Sources));

    /// <summary>A foreign hand powers a machine off. Copies are gone with it, as transient machines are.</summary>
    public void KillMachine(Guid uuid) => Locked(() =>
    {
        if (Machines.GetValueOrDefault(uuid) is not { } machine) return;
        machine.RunState = RunState.Off;
        if (machine.Tag is not null) Machines.Remove(uuid);
    });

    /// <summary>A machine writes and there is no space: the hypervisor pauses it, until it is resumed when there is some again.</summary>
    public void RunOutOfSpace(Guid uuid) => Locked(() => (Machines[uuid].RunState, Machines[uuid].Trouble) = (RunState.Paused, DiskTrouble.NoSpace));

    /// <summary>A foreign hand removes a fence, with all that is kept of it.</summary>
    public void BreakFence(FenceTag tag) => Locked(() => Fences.Remove(tag));

    /// <summary>A foreign hand takes a part of a fence away: rules, a link, the name server.</summary>
    public void DamageFence(FenceTag tag, string what) => Locked(() =>
    {
        if (!Damages.TryGetValue(tag, out var parts)) Damages[tag] = parts = [];
        parts.Add(what);
    });

    /// <summary>A foreign hand flushes the rules of published ports.</summary>
    public void FlushEndpoints() => Locked(() => Published = []);

    /// <summary>A foreign hand removes a machine's definition.</summary>
    public void RemoveMachine(Guid uuid) => Locked(() => Machines.Remove(uuid));

    /// <summary>A foreign hand puts another file into a machine.</summary>
    public void MoveDisk(Guid uuid, string target, string path) => Locked(() =>
    {
        var machine = Machines[uuid];
        machine.Disks[target] = machine.Disks[target] with { Path = path };
    });

    /// <summary>Power cut: all machines off, copies and fences gone; files stay, and so does what says which addresses a fence has.</summary>
    public void Reboot() => Locked(() =>
    {
        foreach (var uuid in Machines.Keys.ToArray()) KillMachine(uuid);
        foreach (var (tag, fence) in Fences.ToArray()) Fences[tag] = fence with { Stands = false };
        Damages.Clear();
        Published = [];
    });

    /// <summary>A guest mounts a volume, which its agent tells, where it has one that answers.</summary>
    public void MountVolume(Guid uuid, string target) => Locked(() => Machines[uuid].Mounted.Add(target));

    /// <summary>A guest that does not let go of a volume when it is asked to.</summary>
    public void HoldVolume(Guid uuid, string target) => Locked(() => Machines[uuid].Held.Add(target));

    /// <summary>Run states by hypervisor name, for looking whether anything was left paused.</summary>
    public IReadOnlyDictionary<string, RunState> RunStates => Locked(() => Machines.Values.ToDictionary(m => m.Ref.HypervisorName, m => m.RunState));

    internal List<string> ContentOf(string path)
    {
        if (!Content.TryGetValue(path, out var lines)) Content[path] = lines = [];
        return lines;
    }

    /// <summary>What a disk with that file as its head reads: lines in the order in which they were written.</summary>
    public IReadOnlyList<string> ReadDisk(string head) => Locked(() => Lines(head));

    private List<string> Lines(string head)
    {
        var files = new Stack<string>();
        for (string? path = head; path is not null; path = Below.GetValueOrDefault(path)) files.Push(path);
        return [.. files.SelectMany(f => Content.GetValueOrDefault(f) ?? [])];
    }

    private SimulatedAnswer AnswerOf(SimulatedMachine machine)
    {
        return new(machine.Ref.Name, machine.Ref.Uuid, machine.Nonce, machine.Counter, Lines(machine.Disks.Values.First().Path));
    }

    public void Dispose()
    {
        if (_ownsRoot && Directory.Exists(Root)) Directory.Delete(Root, recursive: true);
    }
}

/// <summary>What a simulated machine says of itself.</summary>
/// <param name="Nonce">Made at boot and kept in RAM: equal for a machine and its copies with memory.</param>
/// <param name="Counter">Orders since boot, in RAM.</param>
/// <param name="Orders">Orders on disk.</param>
public sealed record SimulatedAnswer(MachineName Machine, Guid Uuid, string Nonce, int Counter, IReadOnlyList<string> Orders);

internal sealed record SimulatedDisk(string Path, DiskFormat Format, long VirtualSize);

internal sealed class SimulatedMachine
{
    public required MachineRef Ref { get; init; }
    public required RunState RunState { get; set; }
    public required long MemoryBytes { get; init; }
    public required IReadOnlyList<NicBlueprint> Nics { get; init; }
    public string? MemoryRefusal { get; init; }
    /// <summary>The fence of a copy; null for a user's machine.</summary>
    public FenceTag? Tag { get; init; }
    /// <summary>The file of its firmware's variables; null where its firmware keeps none.</summary>
    public string? Nvram { get; set; }
    public Dictionary<string, SimulatedDisk> Disks { get; } = [];
    public List<string> Refusals { get; } = [];
    public HashSet<string> Held { get; } = [];
    public HashSet<string> Mounted { get; } = [];
    /// <summary>A capture has paused it and has not resumed it yet: after a crash it is let go only where this stands, because its user may have paused it.</summary>
    public bool PausedByCapture { get; set; }
    /// <summary>The flat memory file that its RAM is a private map of; null where it was booted.</summary>
    public string? Maps { get; set; }
    public DiskTrouble? Trouble { get; set; }
    /// <summary>A capture is at work on it in this process.</summary>
    public bool Capturing { get; set; }
    public SimulatedAgent Agent { get; set; }
    public bool Frozen { get; set; }
    /// <summary>A capture has asked its agent to freeze, and nobody has said since that it is thawed.</summary>
    public bool FrozenByCapture { get; set; }
    public string Nonce { get; set; } = "";
    public int Counter { get; set; }

    public SimulatedMachine Clone()
    {
        var clone = new SimulatedMachine
        {
            Ref = Ref, RunState = RunState, MemoryBytes = MemoryBytes, Nics = Nics, MemoryRefusal = MemoryRefusal, Tag = Tag, PausedByCapture = PausedByCapture, Nonce = Nonce, Counter = Counter, Maps = Maps, Nvram = Nvram, Trouble = Trouble,
            Agent = Agent, Frozen = Frozen, FrozenByCapture = FrozenByCapture,
        };
        foreach (var (target, disk) in Disks) clone.Disks[target] = disk;
        clone.Refusals.AddRange(Refusals);
        clone.Held.UnionWith(Held);
        clone.Mounted.UnionWith(Mounted);
        return clone;
    }

    public void Boot()
    {
        Nonce = Guid.NewGuid().ToString("N");
        Counter = 0;
        Maps = null;
        Frozen = false;
    }
}

/// <param name="Spec">As it was made last.</param>
internal sealed record SimulatedFence(int Block, IReadOnlyList<MachineAddress> Addresses, FenceSpec Spec)
{
    /// <summary>False: only its addresses are kept.</summary>
    public bool Stands { get; init; } = true;
    /// <summary>Its groups let somebody from outside in.</summary>
    public bool LetsIn(MachineName machine, RouteProtocol protocol, int port) =>
        new Reachability(Spec.Groups, Spec.Networks, [.. Spec.Machines.Select(m => (m.Name, m.Nics))]).AskFromOutside(machine, protocol, port).Allowed;
}
