using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>Small, whole entities for rules that need no store.</summary>
internal static class Samples
{
    public static readonly EnvironmentId Lab = EnvironmentId.Parse("lab");
    public static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    public static readonly EnvironmentBlueprint Empty = new() { Machines = [], Networks = [] };

    public static SnapshotId SnapshotNumber(int n) => new(new Guid(n, 0, 0, new byte[8]));

    public static Snapshot Snapshot(int n, string weave, DateTimeOffset at, int? parent = null, SnapshotState state = SnapshotState.Ready) => new()
    {
        Id = SnapshotNumber(n), Environment = Lab, Weave = WeaveId.Parse(weave), Parent = parent is { } p ? SnapshotNumber(p) : null, At = at, State = state,
        Consistency = Consistency.Machine, Blueprint = Empty, Machines = [],
    };

    public static Weave Weave(string id, int? origin = null, string? source = null, WeaveState state = WeaveState.Running) => new()
    {
        Environment = Lab, Id = WeaveId.Parse(id), Tag = FenceTag.New(), State = state, CreatedAt = Noon, Blueprint = Empty, Machines = [],
        Origin = origin is { } o ? SnapshotNumber(o) : null, Source = source is null ? null : WeaveId.Parse(source),
    };

    public static ManagedEnvironment Environment(string active = "main") => new()
    {
        Id = Lab, Host = HostId.Parse("local"), AdoptedAt = Noon, ActiveWeave = WeaveId.Parse(active), State = EnvironmentState.Managed, AdoptedVolumes = [],
    };
}
