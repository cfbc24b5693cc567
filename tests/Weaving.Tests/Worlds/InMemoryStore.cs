using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving.Tests.Worlds;

/// <summary>A store without a disk, for very many worlds: a change is whole or absent, because nothing fails here. Leases are the journal's to check.</summary>
public sealed class InMemoryStore : IWeaveStore
{
    private readonly Lock _gate = new();
    private readonly List<ManagedEnvironment> _environments = [];
    private readonly List<Weave> _weaves = [];
    private readonly List<Snapshot> _snapshots = [];
    private readonly List<Layer> _layers = [];
    private readonly List<Route> _routes = [];
    private readonly List<Activation> _activations = [];

    public Task<IReadOnlyList<ManagedEnvironment>> ListEnvironmentsAsync(CancellationToken stop) => Read<ManagedEnvironment>(() => _environments);
    public Task<ManagedEnvironment?> FindEnvironmentAsync(EnvironmentId id, CancellationToken stop) => Find(_environments, e => e.Id == id);
    public Task<IReadOnlyList<Weave>> ListWeavesAsync(EnvironmentId environment, CancellationToken stop) => Read(() => _weaves.Where(w => w.Environment == environment));
    public Task<Weave?> FindWeaveAsync(EnvironmentId environment, WeaveId id, CancellationToken stop) => Find(_weaves, w => w.Environment == environment && w.Id == id);
    public Task<IReadOnlyList<Snapshot>> ListSnapshotsAsync(EnvironmentId environment, DateTimeOffset? from, DateTimeOffset? to, CancellationToken stop) =>
        Read(() => _snapshots.Where(s => s.Environment == environment && (from is null || s.At >= from) && (to is null || s.At <= to)).OrderBy(s => s.At).ThenBy(s => s.Id.Text, StringComparer.Ordinal));
    public Task<Snapshot?> FindSnapshotAsync(SnapshotId id, CancellationToken stop) => Find(_snapshots, s => s.Id == id);
    public Task<IReadOnlyList<Layer>> ListLayersAsync(EnvironmentId environment, CancellationToken stop) => Read(() => _layers.Where(l => l.Environment == environment));
    public Task<IReadOnlyList<Route>> ListRoutesAsync(EnvironmentId? environment, CancellationToken stop) => Read(() => _routes.Where(r => environment is null || r.Environment == environment));
    public Task<IReadOnlyList<Activation>> ListActivationsAsync(EnvironmentId environment, CancellationToken stop) => Read(() => _activations.Where(a => a.Environment == environment));

    public Task<IReadOnlyList<Weave>> PageWeavesAsync(EnvironmentId environment, WeavePlace? after, int limit, CancellationToken stop) =>
        Read(() => _weaves.Where(w => w.Environment == environment).OrderBy(w => w.CreatedAt).ThenBy(w => w.Id.Text, StringComparer.Ordinal)
            .Where(w => after is not { } place || w.CreatedAt > place.CreatedAt || (w.CreatedAt == place.CreatedAt && string.CompareOrdinal(w.Id.Text, place.Id.Text) > 0)).Take(limit));
    public Task<(int Weaves, int Snapshots)> CountAsync(EnvironmentId environment, CancellationToken stop)
    {
        lock (_gate)
            return Task.FromResult((_weaves.Count(w => w.Environment == environment && !w.Id.Text.StartsWith("verify-", StringComparison.Ordinal)), _snapshots.Count(s => s.Environment == environment)));
    }
    public Task<IReadOnlyDictionary<SnapshotId, DateTimeOffset>> FindInstantsAsync(IReadOnlyCollection<SnapshotId> ids, CancellationToken stop)
    {
        lock (_gate)
            return Task.FromResult<IReadOnlyDictionary<SnapshotId, DateTimeOffset>>(_snapshots.Where(s => ids.Contains(s.Id)).ToDictionary(s => s.Id, s => s.At));
    }

    public Task CommitAsync(StoreChange change, Lease? lease, CancellationToken stop)
    {
        lock (_gate)
        {
            if (change.AddRoutes.FirstOrDefault(r => _routes.Any(o => (o.ListenPort, o.Protocol, o.ListenAddress) == (r.ListenPort, r.Protocol, r.ListenAddress) && !change.DeleteRoutes.Contains(o.Id))) is { } taken)
                throw new WeaveException(Fault.AlreadyExists, $"Another route listens on {taken.ListenAddress}:{taken.ListenPort} already.");
            foreach (var id in change.DeleteEnvironments)
            {
                _environments.RemoveAll(e => e.Id == id);
                _weaves.RemoveAll(w => w.Environment == id);
                _snapshots.RemoveAll(s => s.Environment == id);
                _layers.RemoveAll(l => l.Environment == id);
                _routes.RemoveAll(r => r.Environment == id);
                _activations.RemoveAll(a => a.Environment == id);
            }
            _weaves.RemoveAll(w => change.DeleteWeaves.Contains((w.Environment, w.Id)));
            _snapshots.RemoveAll(s => change.DeleteSnapshots.Contains(s.Id));
            _layers.RemoveAll(l => change.DeleteLayers.Contains(l.Id));
            _routes.RemoveAll(r => change.DeleteRoutes.Contains(r.Id));
            if (change.AddEnvironment is { } added) _environments.Add(added);
            _weaves.AddRange(change.AddWeaves);
            _snapshots.AddRange(change.AddSnapshots);
            _routes.AddRange(change.AddRoutes);
            _activations.AddRange(change.AddActivations);
            Put(_environments, change.PutEnvironments, e => e.Id);
            Put(_weaves, change.PutWeaves, w => (w.Environment, w.Id));
            Put(_snapshots, change.PutSnapshots, s => s.Id);
            Put(_layers, change.PutLayers, l => l.Id);
        }
        return Task.CompletedTask;
    }

    private static void Put<T, TKey>(List<T> all, IReadOnlyList<T> changed, Func<T, TKey> key) where TKey : notnull
    {
        foreach (var one in changed)
        {
            var at = all.FindIndex(o => key(o).Equals(key(one)));
            if (at < 0) all.Add(one);
            else all[at] = one;
        }
    }

    private Task<IReadOnlyList<T>> Read<T>(Func<IEnumerable<T>> read)
    {
        lock (_gate) return Task.FromResult<IReadOnlyList<T>>([.. read()]);
    }

    private Task<T?> Find<T>(List<T> all, Func<T, bool> wanted) where T : class
    {
        lock (_gate) return Task.FromResult(all.FirstOrDefault(wanted));
    }
}
