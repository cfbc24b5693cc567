namespace WeaveHypervisor.Model;

/// <summary>
/// The metadata of an environment at one instant: what is needed to make all of its machines and networks again. Versioned with
/// every snapshot (invariant 11). <see cref="Schema"/> is the version of this document; readers accept every older one.
/// </summary>
public sealed record EnvironmentBlueprint
{
    public const int CurrentSchema = 1;
    // The first schema is 1: what says nothing is of that, also when there is a newer one.
    public int Schema { get; init => field = value == 0 ? 1 : value; } = CurrentSchema;
    public required IReadOnlyList<MachineBlueprint> Machines { get; init; }
    public required IReadOnlyList<NetworkBlueprint> Networks { get; init; }
    /// <summary>Security groups and the access policy: what `main` has now, or a snapshot had then, or a weave has. Nothing in documents of before 2026-11-30.</summary>
    public EnvironmentRules Rules { get; init => field = value ?? EnvironmentRules.None; } = EnvironmentRules.None;

    /// <summary>The machine of that name; <see cref="Fault.NotFound"/> with the names there are.</summary>
    public MachineBlueprint Machine(MachineName name) => Machines.FirstOrDefault(m => m.Name == name)
        ?? throw new WeaveException(Fault.NotFound, $"No machine '{name}' in this environment.", $"Use one of: {string.Join(", ", Machines.Select(m => m.Name))}.");
}

/// <summary>One machine as the driver read it. <see cref="Definition"/> is the driver's own text (domain XML), opaque elsewhere.</summary>
public sealed record MachineBlueprint
{
    public required MachineName Name { get; init; }
    public required string Definition { get; init; }
    /// <summary>Bytes of guest RAM.</summary>
    public required long MemoryBytes { get; init; }
    public required int VirtualCpus { get; init; }
    public required IReadOnlyList<VolumeBlueprint> Volumes { get; init; }
    public required IReadOnlyList<NicBlueprint> Nics { get; init; }
    /// <summary>What state the machine keeps beside its disks.</summary>
    public IReadOnlyList<StateKind> States { get; init => field = value ?? []; } = [];
    /// <summary>Null where a copy with memory can be made; otherwise why not (host devices, shared folders…).</summary>
    public string? MemoryRefusal { get; init; }
}

/// <summary>One writable virtual disk of a machine. Read-only media stay in the definition and are shared as they are.</summary>
public sealed record VolumeBlueprint
{
    public required VolumeName Name { get; init; }
    /// <summary>The hypervisor's name of the device in the machine (libvirt: target dev).</summary>
    public required string Target { get; init; }
    /// <summary>Bytes that the guest sees.</summary>
    public required long VirtualSize { get; init; }
}

/// <summary>One network interface: MAC, the environment network that it is on, its index among the machine's NICs, IPv4 addresses known at that instant.</summary>
public sealed record NicBlueprint(string Mac, NetworkName Network, IReadOnlyList<string> Addresses);

/// <summary>One network of the environment as the driver read it.</summary>
public sealed record NetworkBlueprint
{
    public required NetworkName Name { get; init; }
    /// <summary>IPv4 address that the gateway has inside; null for a network without one.</summary>
    public string? Gateway { get; init; }
    /// <summary>Length of the IPv4 prefix, 1–30; 0 where there is no gateway.</summary>
    public int PrefixLength { get; init; }
    /// <summary>MAC of the gateway's bridge, which resumed guests hold in their neighbour tables.</summary>
    public string? GatewayMac { get; init; }
    /// <summary>DNS domain, or null.</summary>
    public string? DomainName { get; init; }
    public bool Dhcp { get; init; }
    /// <summary>First and last address that DHCP gives out freely; null where there are only fixed entries.</summary>
    public string? DhcpStart { get; init; }
    public string? DhcpEnd { get; init; }
    /// <summary>Of what DHCP gives out; 0 is no length, and taken for the default.</summary>
    public int LeaseSeconds { get; init => field = value == 0 ? DefaultLease : value; } = DefaultLease;
    private const int DefaultLease = 3600;
    /// <summary>Fixed DHCP entries, and names for DNS.</summary>
    public IReadOnlyList<HostEntry> Hosts { get; init => field = value ?? []; } = [];
    /// <summary>Maximum transmission unit in bytes; 0 for the default.</summary>
    public int Mtu { get; init; }
}

/// <summary>MAC (null for a name only), IPv4 address, host names.</summary>
public sealed record HostEntry(string? Mac, string Address, IReadOnlyList<string> Names);
