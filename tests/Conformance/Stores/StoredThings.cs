using WeaveHypervisor.Model;

namespace WeaveHypervisor.Conformance.Stores;

/// <summary>Entities with every member set, so that one that a store loses is missed.</summary>
public static class StoredThings
{
    public static readonly EnvironmentId Lab = EnvironmentId.Parse("lab"), Other = EnvironmentId.Parse("other");
    public static readonly DateTimeOffset Noon = new(2030, 1, 1, 12, 0, 0, TimeSpan.Zero);

    private static readonly MachineName Web = MachineName.Parse("Web.1");
    private static readonly VolumeName Vda = VolumeName.Parse("vda");

    public static SnapshotId SnapshotNumber(int n) => new(new Guid(n, 0, 0, new byte[8]));
    public static LayerId LayerNumber(int n) => new(new Guid(n, 0, 0, new byte[8]));
    public static RouteId RouteNumber(int n) => new(new Guid(n, 0, 0, new byte[8]));

    public static EnvironmentBlueprint Blueprint { get; } = new()
    {
        Machines =
        [
            new()
            {
                Name = Web, Definition = "<domain>ö ]]> \u202e \ud83d\ude00 '\"\\</domain>", MemoryBytes = 1L << 41, VirtualCpus = 3, MemoryRefusal = "a host device",
                Volumes = [new() { Name = Vda, Target = "vda", VirtualSize = long.MaxValue }], Nics = [new("52:54:00:00:00:01", NetworkName.Parse("n"), ["10.0.0.2"])],
            },
        ],
        Networks =
        [
            new()
            {
                Name = NetworkName.Parse("n"), Gateway = "10.0.0.1", PrefixLength = 24, GatewayMac = "52:54:00:00:00:02", DomainName = "lab", Dhcp = true, DhcpStart = "10.0.0.100", DhcpEnd = "10.0.0.200",
                LeaseSeconds = 60, Hosts = [new(null, "10.0.0.9", ["db", "data"])], Mtu = 9000,
            },
        ],
        Rules = new()
        {
            Groups = [new() { Name = GroupName.Parse("front"), Description = "ö '", Machines = [Web], Rules = [SecurityRule.Parse("in tcp/80,8000-8100 from outside"), SecurityRule.Parse("out any to front")] }],
            Access = new() { Sources = [RulePrefix.Parse("10.0.0.0/8")] },
        },
    };

    public static ManagedEnvironment Environment(string id = "lab", string active = "main") => new()
    {
        Id = EnvironmentId.Parse(id), Host = HostId.Parse("local"), AdoptedAt = Noon, ActiveWeave = WeaveId.Parse(active), PreviousActive = WeaveId.Parse("before"), State = EnvironmentState.Managed,
        AdoptedVolumes = [new(Web, Vda, LayerNumber(1), "/images/web, 'old'.qcow2", DiskFormat.Qcow2)],
    };

    /// <param name="minutes">Made that long after noon.</param>
    public static Weave Weave(string id, string environment = "lab", int minutes = 0, string? tag = null) => new()
    {
        Environment = EnvironmentId.Parse(environment), Id = WeaveId.Parse(id), Tag = tag is null ? FenceTag.New() : FenceTag.Parse(tag), State = WeaveState.Paused, CreatedAt = Noon.AddMinutes(minutes),
        Origin = SnapshotNumber(1), Source = Model.Weave.Main, Blueprint = Blueprint, Uplink = UplinkMode.Nat, Addresses = [new(Web, "52:54:00:00:00:01", "10.0.0.2", "100.64.1.2")],
        ExpiresAt = Noon.AddDays(1).AddTicks(1), Verifies = SnapshotNumber(3), Drift = [new(DriftKind.Gone, "web is gone", Noon)],
        Machines =
        [
            new()
            {
                Name = Web, HypervisorName = "w.lab.past.web", Uuid = new Guid(1, 2, 3, new byte[8]), Heads = [new(Vda, LayerNumber(2))], RunState = RunState.Paused, StartedBy = "memory shared",
                MemoryFrom = SnapshotNumber(1),
            },
        ],
    };

    public static Snapshot Snapshot(int n, string environment = "lab", double milliseconds = 0) => new()
    {
        Id = SnapshotNumber(n), Environment = EnvironmentId.Parse(environment), Weave = Model.Weave.Main, Parent = n > 1 ? SnapshotNumber(n - 1) : null, At = Noon.AddMilliseconds(milliseconds), Label = "before \"it\"",
        State = SnapshotState.Ready, Consistency = Consistency.Filesystem, Blueprint = Blueprint, Skew = TimeSpan.FromTicks(12345), ForWeave = true,
        Verification = new()
        {
            At = Noon.AddTicks(2), Passed = false, Level = VerificationLevel.Agent, Probe = "guest agent of Web.1", Reason = "silence", FirstReply = TimeSpan.FromTicks(777),
            Machines = [new(Web, RunState.Running, "whole", "hugepages")],
        },
        Machines =
        [
            new()
            {
                Name = Web, RunState = RunState.Running, Frozen = [new(Vda, LayerNumber(n))], Method = "background", Reason = "why", Pause = TimeSpan.FromTicks(67891),
                Memory = new() { FlatPath = "/pool/a.ram", DeviceStatePath = "/pool/a.state", RamBytes = 1L << 40, StoredBytes = 1, SharesBase = true, MainBlock = "pc.ram" },
            },
        ],
    };

    public static Layer Layer(int n, string environment = "lab", LayerState state = LayerState.Live) => new()
    {
        Id = LayerNumber(n), Environment = EnvironmentId.Parse(environment), Machine = Web, Volume = Vda, Parent = n > 1 ? LayerNumber(n - 1) : null, Path = $"/pool/{n}.qcow2", Format = DiskFormat.Qcow2,
        VirtualSize = 1L << 40, State = state, Adopted = n == 1, CreatedAt = Noon.AddMinutes(n), FrozenBytes = 1L << 41,
    };

    public static Route Route(int n, int port, string environment = "lab", RouteProtocol protocol = RouteProtocol.Tcp, string address = "127.0.0.1") => new()
    {
        Id = RouteNumber(n), Environment = EnvironmentId.Parse(environment), Weave = WeaveId.Parse("past"), Machine = Web, Protocol = protocol, ListenAddress = address, ListenPort = port, TargetPort = 80,
        CreatedAt = Noon.AddMinutes(n),
    };
}
