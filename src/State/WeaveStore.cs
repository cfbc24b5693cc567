using Microsoft.EntityFrameworkCore;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;
using static WeaveHypervisor.State.Journal;

namespace WeaveHypervisor.State;

internal sealed class WeaveStore(StateEngine database) : IWeaveStore
{
    private static StateJson Json => StateJson.Default;

    public Task<IReadOnlyList<ManagedEnvironment>> ListEnvironmentsAsync(CancellationToken stop) => database.ReadAsync<IReadOnlyList<ManagedEnvironment>>("listing environments", async db =>
        [.. (await db.Environments.OrderBy(r => r.Id).Select(r => r.Document).ToListAsync(stop).ConfigureAwait(false)).Select(d => StateJson.Read(d, Json.ManagedEnvironment))]);

    public Task<ManagedEnvironment?> FindEnvironmentAsync(EnvironmentId id, CancellationToken stop) => database.ReadAsync("reading an environment", async db =>
    {
        var text = Need(id);
        var found = await db.Environments.Where(r => r.Id == text).Select(r => r.Document).FirstOrDefaultAsync(stop).ConfigureAwait(false);
        return found is null ? null : StateJson.Read(found, Json.ManagedEnvironment);
    });

    public Task<IReadOnlyList<Weave>> ListWeavesAsync(EnvironmentId environment, CancellationToken stop) => database.ReadAsync<IReadOnlyList<Weave>>("listing weaves", async db =>
    {
        var text = Need(environment);
        return [.. (await db.Weaves.Where(r => r.Environment == text).OrderBy(r => r.CreatedAt).ThenBy(r => r.Id).Select(r => r.Document).ToListAsync(stop).ConfigureAwait(false))
            .Select(d => StateJson.Read(d, Json.Weave))];
    });

    public Task<IReadOnlyList<Weave>> PageWeavesAsync(EnvironmentId environment, WeavePlace? after, int limit, CancellationToken stop) => database.ReadAsync<IReadOnlyList<Weave>>("listing weaves", async db =>
    {
        var text = Need(environment);
        var rows = db.Weaves.Where(r => r.Environment == text);
        if (after is { } place)
        {
            var (at, id) = (place.CreatedAt.UtcTicks, Need(place.Id));
            // The first condition says nothing more than the second, but it is one that an index is entered by.
            rows = rows.Where(r => r.CreatedAt >= at && (r.CreatedAt > at || string.Compare(r.Id, id) > 0));
        }
        return [.. (await rows.OrderBy(r => r.CreatedAt).ThenBy(r => r.Id).Take(Math.Max(0, limit)).Select(r => r.Document).ToListAsync(stop).ConfigureAwait(false))
            .Select(d => StateJson.Read(d, Json.Weave))];
    });

    public Task<(int Weaves, int Snapshots)> CountAsync(EnvironmentId environment, CancellationToken stop) => database.ReadAsync("counting weaves", async db =>
    {
        var text = Need(environment);
        return (await db.Weaves.CountAsync(r => r.Environment == text && !r.Id.StartsWith("verify-"), stop).ConfigureAwait(false), await db.Snapshots.CountAsync(r => r.Environment == text, stop).ConfigureAwait(false));
    });

    public Task<Weave?> FindWeaveAsync(EnvironmentId environment, WeaveId id, CancellationToken stop) => database.ReadAsync("reading a weave", async db =>
    {
        var (e, w) = (Need(environment), Need(id));
        var found = await db.Weaves.Where(r => r.Environment == e && r.Id == w).Select(r => r.Document).FirstOrDefaultAsync(stop).ConfigureAwait(false);
        return found is null ? null : StateJson.Read(found, Json.Weave);
    });

    public Task<IReadOnlyList<Snapshot>> ListSnapshotsAsync(EnvironmentId environment, DateTimeOffset? from, DateTimeOffset? to, CancellationToken stop) =>
        database.ReadAsync<IReadOnlyList<Snapshot>>("listing snapshots", async db =>
        {
            var text = Need(environment);
            var (first, last) = (from?.UtcTicks ?? long.MinValue, to?.UtcTicks ?? long.MaxValue);
            return [.. (await db.Snapshots.Where(r => r.Environment == text && r.At >= first && r.At <= last).OrderBy(r => r.At).ThenBy(r => r.Id)
                .Select(r => r.Document).ToListAsync(stop).ConfigureAwait(false)).Select(d => StateJson.Read(d, Json.Snapshot))];
        });

    public Task<Snapshot?> FindSnapshotAsync(SnapshotId id, CancellationToken stop) => database.ReadAsync("reading a snapshot", async db =>
    {
        var text = Need(id);
        var found = await db.Snapshots.Where(r => r.Id == text).Select(r => r.Document).FirstOrDefaultAsync(stop).ConfigureAwait(false);
        return found is null ? null : StateJson.Read(found, Json.Snapshot);
    });

    public Task<IReadOnlyDictionary<SnapshotId, DateTimeOffset>> FindInstantsAsync(IReadOnlyCollection<SnapshotId> ids, CancellationToken stop) =>
        database.ReadAsync<IReadOnlyDictionary<SnapshotId, DateTimeOffset>>("reading snapshots", async db =>
        {
            var texts = ids.Select(Need).Distinct().ToList();
            return (await db.Snapshots.Where(r => texts.Contains(r.Id)).Select(r => new { r.Id, r.At }).ToListAsync(stop).ConfigureAwait(false))
                .ToDictionary(r => Ids.Parse<SnapshotId>(r.Id), r => new DateTimeOffset(r.At, TimeSpan.Zero));
        });

    public Task<IReadOnlyList<Layer>> ListLayersAsync(EnvironmentId environment, CancellationToken stop) => database.ReadAsync<IReadOnlyList<Layer>>("listing layers", async db =>
    {
        var text = Need(environment);
        return [.. (await db.Layers.Where(r => r.Environment == text).OrderBy(r => r.CreatedAt).ThenBy(r => r.Id).Select(r => r.Document).ToListAsync(stop).ConfigureAwait(false))
            .Select(d => StateJson.Read(d, Json.Layer))];
    });

    public Task<IReadOnlyList<Route>> ListRoutesAsync(EnvironmentId? environment, CancellationToken stop) => database.ReadAsync<IReadOnlyList<Route>>("listing routes", async db =>
    {
        var rows = db.Routes.AsNoTracking();
        if (environment is { } e)
        {
            var text = Need(e);
            rows = rows.Where(r => r.Environment == text);
        }
        return [.. (await rows.OrderBy(r => r.CreatedAt).ThenBy(r => r.Id).Select(r => r.Document).ToListAsync(stop).ConfigureAwait(false)).Select(d => StateJson.Read(d, Json.Route))];
    });

    public Task<IReadOnlyList<Activation>> ListActivationsAsync(EnvironmentId environment, CancellationToken stop) => database.ReadAsync<IReadOnlyList<Activation>>("listing activations", async db =>
    {
        var text = Need(environment);
        return [.. (await db.Activations.AsNoTracking().Where(r => r.Environment == text).OrderBy(r => r.From).ThenBy(r => r.Number).ToListAsync(stop).ConfigureAwait(false))
            .Select(r => new Activation(environment, WeaveId.Parse(r.Weave), new(r.From, TimeSpan.Zero)))];
    });

    public Task CommitAsync(StoreChange change, Lease? lease, CancellationToken stop) => database.WriteAsync("storing a change", Locks(change, lease), async db =>
    {
        if (lease is not null) await CheckAsync(db, lease, stop).ConfigureAwait(false);
        // Deletes first: one change may take a name or a port and give it to another.
        await DeleteAsync(db, change, stop).ConfigureAwait(false);
        await AddAsync(db, change, stop).ConfigureAwait(false);
        await db.SaveChangesAsync(stop).ConfigureAwait(false);
        await PutAsync(db, change, stop).ConfigureAwait(false);
        return 0;
    }, stop);

    /// <summary>The environments that a change touches. Names that are one for all of them (tags, listening ports) are kept apart by the tables' own indexes.</summary>
    private static List<string> Locks(StoreChange change, Lease? lease)
    {
        IEnumerable<EnvironmentId?> touched =
        [
            lease?.Environment, change.AddEnvironment?.Id, .. change.AddWeaves.Select(w => (EnvironmentId?)w.Environment), .. change.AddSnapshots.Select(s => (EnvironmentId?)s.Environment),
            .. change.AddRoutes.Select(r => (EnvironmentId?)r.Environment), .. change.AddActivations.Select(a => (EnvironmentId?)a.Environment), .. change.PutEnvironments.Select(e => (EnvironmentId?)e.Id),
            .. change.PutWeaves.Select(w => (EnvironmentId?)w.Environment), .. change.PutSnapshots.Select(s => (EnvironmentId?)s.Environment), .. change.PutLayers.Select(l => (EnvironmentId?)l.Environment),
            .. change.DeleteEnvironments.Select(e => (EnvironmentId?)e), .. change.DeleteWeaves.Select(w => (EnvironmentId?)w.Environment),
        ];
        return [.. touched.Where(e => e is not null).Select(e => Of(e!.Value)).Distinct()];
    }

    private static async Task DeleteAsync(WeaveDbContext db, StoreChange change, CancellationToken stop)
    {
        foreach (var environment in change.DeleteEnvironments)
        {
            var text = Need(environment);
            await db.Routes.Where(r => r.Environment == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
            await db.Activations.Where(r => r.Environment == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
            await db.Snapshots.Where(r => r.Environment == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
            await db.Weaves.Where(r => r.Environment == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
            await db.Layers.Where(r => r.Environment == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
            await db.Environments.Where(r => r.Id == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
        }
        foreach (var (environment, weave) in change.DeleteWeaves)
        {
            var (e, w) = (Need(environment), Need(weave));
            await db.Weaves.Where(r => r.Environment == e && r.Id == w).ExecuteDeleteAsync(stop).ConfigureAwait(false);
        }
        foreach (var text in change.DeleteSnapshots.Select(Need)) await db.Snapshots.Where(r => r.Id == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
        foreach (var text in change.DeleteLayers.Select(Need)) await db.Layers.Where(r => r.Id == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
        foreach (var text in change.DeleteRoutes.Select(Need)) await db.Routes.Where(r => r.Id == text).ExecuteDeleteAsync(stop).ConfigureAwait(false);
    }

    /// <summary>Written one by one, so that the check of each sees those before it: one change may name a thing twice.</summary>
    private static async Task AddAsync(WeaveDbContext db, StoreChange change, CancellationToken stop)
    {
        if (change.AddEnvironment is { } environment)
        {
            var row = Row(environment);
            if (await db.Environments.AnyAsync(r => r.Id == row.Id, stop).ConfigureAwait(false)) throw Exists($"An environment '{row.Id}' exists already.");
            await InsertAsync(db, row, stop).ConfigureAwait(false);
        }
        foreach (var row in change.AddWeaves.Select(Row))
        {
            if (await db.Weaves.AnyAsync(r => r.Environment == row.Environment && r.Id == row.Id, stop).ConfigureAwait(false))
                throw Exists($"A weave '{row.Id}' exists already in environment '{row.Environment}'.");
            if (await db.Weaves.AnyAsync(r => r.Tag == row.Tag, stop).ConfigureAwait(false)) throw Exists($"The fence tag {row.Tag} is taken.");
            await InsertAsync(db, row, stop).ConfigureAwait(false);
        }
        foreach (var row in change.AddSnapshots.Select(Row))
        {
            if (await db.Snapshots.AnyAsync(r => r.Id == row.Id, stop).ConfigureAwait(false)) throw Exists($"The snapshot '{row.Id}' exists already.");
            await InsertAsync(db, row, stop).ConfigureAwait(false);
        }
        foreach (var row in change.AddRoutes.Select(Row))
        {
            if (await db.Routes.AnyAsync(r => r.Id == row.Id, stop).ConfigureAwait(false)) throw Exists($"The route '{row.Id}' exists already.");
            if (await db.Routes.AnyAsync(r => r.ListenAddress == row.ListenAddress && r.ListenPort == row.ListenPort && r.Protocol == row.Protocol, stop).ConfigureAwait(false))
                throw Exists($"Another route listens on {row.ListenAddress}:{row.ListenPort} ({row.Protocol.ToLowerInvariant()}) already.");
            await InsertAsync(db, row, stop).ConfigureAwait(false);
        }
        foreach (var a in change.AddActivations)
            db.Add(new ActivationRow { Environment = Need(a.Environment), Weave = Need(a.Weave), From = a.From.UtcTicks });
    }

    private static async Task InsertAsync<T>(WeaveDbContext db, T row, CancellationToken stop) where T : class
    {
        db.Add(row);
        await db.SaveChangesAsync(stop).ConfigureAwait(false);
    }

    private static async Task PutAsync(WeaveDbContext db, StoreChange change, CancellationToken stop)
    {
        foreach (var row in change.PutEnvironments.Select(Row))
            await PutAsync(db, await db.Environments.FindAsync([row.Id], stop).ConfigureAwait(false), row).ConfigureAwait(false);
        foreach (var row in change.PutWeaves.Select(Row))
            await PutAsync(db, await db.Weaves.FindAsync([row.Environment, row.Id], stop).ConfigureAwait(false), row).ConfigureAwait(false);
        foreach (var row in change.PutSnapshots.Select(Row))
            await PutAsync(db, await db.Snapshots.FindAsync([row.Id], stop).ConfigureAwait(false), row).ConfigureAwait(false);
        foreach (var row in change.PutLayers.Select(Row))
            await PutAsync(db, await db.Layers.FindAsync([row.Id], stop).ConfigureAwait(false), row).ConfigureAwait(false);
    }

    private static Task PutAsync<T>(WeaveDbContext db, T? stored, T row) where T : class
    {
        if (stored is null) db.Add(row);
        else db.Entry(stored).CurrentValues.SetValues(row);
        return Task.CompletedTask;
    }

    private static WeaveException Exists(string message) => new(Fault.AlreadyExists, message, "Choose another one.");

    private static EnvironmentRow Row(ManagedEnvironment e) => new() { Id = Need(e.Id), Document = StateJson.Write(e, Json.ManagedEnvironment) };
    private static WeaveRow Row(Weave w) => new() { Environment = Need(w.Environment), Id = Need(w.Id), Tag = Need(w.Tag), CreatedAt = w.CreatedAt.UtcTicks, Document = StateJson.Write(w, Json.Weave) };
    private static SnapshotRow Row(Snapshot s) => new() { Id = Need(s.Id), Environment = Need(s.Environment), At = s.At.UtcTicks, Document = StateJson.Write(s, Json.Snapshot) };
    private static LayerRow Row(Layer l) => new() { Id = Need(l.Id), Environment = Need(l.Environment), CreatedAt = l.CreatedAt.UtcTicks, Document = StateJson.Write(l, Json.Layer) };
    private static RouteRow Row(Route r) => new()
    {
        Id = Need(r.Id), Environment = Need(r.Environment), ListenAddress = r.ListenAddress, ListenPort = r.ListenPort, Protocol = r.Protocol.ToString(),
        CreatedAt = r.CreatedAt.UtcTicks, Document = StateJson.Write(r, Json.Route),
    };
}
