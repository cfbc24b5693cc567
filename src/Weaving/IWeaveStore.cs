using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving;

/// <summary>
/// Everything that the product knows of environments, weaves, snapshots, layers and routes. Reads never wait for a hypervisor (invariant 7).
/// Implemented by the stores; a conformance suite holds what is promised here. <c>default</c> ids are refused (<see cref="Fault.InvalidRequest"/>).
/// </summary>
public interface IWeaveStore
{
    Task<IReadOnlyList<ManagedEnvironment>> ListEnvironmentsAsync(CancellationToken stop);
    Task<ManagedEnvironment?> FindEnvironmentAsync(EnvironmentId id, CancellationToken stop);

    /// <summary>All weaves of an environment, oldest first.</summary>
    Task<IReadOnlyList<Weave>> ListWeavesAsync(EnvironmentId environment, CancellationToken stop);
    /// <summary>
    /// A part of <see cref="ListWeavesAsync"/>: at most <paramref name="limit"/> that come after <paramref name="after"/>, from the first on where null. The place needs no weave of its own any more,
    /// so pages that are read one after the other show each weave once that is there all the while, whatever is made and deleted between them; none costs more than the first.
    /// </summary>
    Task<IReadOnlyList<Weave>> PageWeavesAsync(EnvironmentId environment, WeavePlace? after, int limit, CancellationToken stop);
    /// <summary>How many weaves, without those of verifications (their ids begin with `verify-`), and snapshots an environment has.</summary>
    Task<(int Weaves, int Snapshots)> CountAsync(EnvironmentId environment, CancellationToken stop);
    Task<Weave?> FindWeaveAsync(EnvironmentId environment, WeaveId id, CancellationToken stop);

    /// <summary>Snapshots of an environment in order of their instants, then ids; both limits inclusive.</summary>
    Task<IReadOnlyList<Snapshot>> ListSnapshotsAsync(EnvironmentId environment, DateTimeOffset? from, DateTimeOffset? to, CancellationToken stop);
    Task<Snapshot?> FindSnapshotAsync(SnapshotId id, CancellationToken stop);
    /// <summary>When the snapshots of those ids were taken; ids that are gone are left out.</summary>
    Task<IReadOnlyDictionary<SnapshotId, DateTimeOffset>> FindInstantsAsync(IReadOnlyCollection<SnapshotId> ids, CancellationToken stop);

    Task<IReadOnlyList<Layer>> ListLayersAsync(EnvironmentId environment, CancellationToken stop);

    /// <summary>Routes of one environment, or of all where null.</summary>
    Task<IReadOnlyList<Route>> ListRoutesAsync(EnvironmentId? environment, CancellationToken stop);

    /// <summary>Which weave was active since when, oldest first.</summary>
    Task<IReadOnlyList<Activation>> ListActivationsAsync(EnvironmentId environment, CancellationToken stop);

    /// <summary>
    /// Writes all of <paramref name="change"/> or nothing, durably. With <paramref name="lease"/>: refused (<see cref="Fault.Conflict"/>) where a newer
    /// holder has the environment. Adding what exists: <see cref="Fault.AlreadyExists"/>; upserts replace; deletes of what is gone succeed.
    /// </summary>
    Task CommitAsync(StoreChange change, Lease? lease, CancellationToken stop);
}

/// <summary>Where a weave stands in the list of its environment's.</summary>
public readonly record struct WeavePlace(DateTimeOffset CreatedAt, WeaveId Id)
{
    public static WeavePlace Of(Weave weave) => new(weave.CreatedAt, weave.Id);
}

/// <summary>One atomic change of the store. Deleting an environment deletes all that belongs to it.</summary>
public sealed record StoreChange
{
    /// <summary>Must not exist yet.</summary>
    public ManagedEnvironment? AddEnvironment { get; init; }
    public IReadOnlyList<Weave> AddWeaves { get; init; } = [];
    public IReadOnlyList<Snapshot> AddSnapshots { get; init; } = [];
    public IReadOnlyList<Route> AddRoutes { get; init; } = [];
    public IReadOnlyList<Activation> AddActivations { get; init; } = [];

    public IReadOnlyList<ManagedEnvironment> PutEnvironments { get; init; } = [];
    public IReadOnlyList<Weave> PutWeaves { get; init; } = [];
    public IReadOnlyList<Snapshot> PutSnapshots { get; init; } = [];
    public IReadOnlyList<Layer> PutLayers { get; init; } = [];

    public IReadOnlyList<EnvironmentId> DeleteEnvironments { get; init; } = [];
    public IReadOnlyList<(EnvironmentId Environment, WeaveId Weave)> DeleteWeaves { get; init; } = [];
    public IReadOnlyList<SnapshotId> DeleteSnapshots { get; init; } = [];
    public IReadOnlyList<LayerId> DeleteLayers { get; init; } = [];
    public IReadOnlyList<RouteId> DeleteRoutes { get; init; } = [];
}
