using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>A question what two moments of an environment's disks differ by.</summary>
/// <param name="Left">A weave's id, `active`, or a snapshot's id; likewise <paramref name="Right"/>.</param>
/// <param name="Volume">Null: all volumes that both sides have.</param>
/// <param name="From">Ranges are told from this offset on; totals are of the whole disk in any case.</param>
/// <param name="Limit">At most so many ranges of each volume are told.</param>
public sealed record DiffRequest(EnvironmentId Environment, string Left, string Right, VolumeId? Volume, long From, int Limit);

/// <param name="LeftInstant">Which instant was looked at, for people; likewise <paramref name="RightInstant"/>.</param>
/// <param name="Unseen">What is not in the answer, because a machine is writing it; a sentence each.</param>
/// <param name="More">There are more ranges: ask again from the end of the last one.</param>
public sealed record VolumeDiff(VolumeId Volume, string LeftInstant, string RightInstant, DifferenceTotals Totals, IReadOnlyList<RangeFound> Ranges, bool More, IReadOnlyList<string> Unseen);

/// <summary>Compares volumes by their files alone; nothing on the host is changed, and no hypervisor is asked.</summary>
internal sealed class VolumeDiffs(Bench bench)
{
    /// <summary>Comparisons of this service at one time: each may read whole disks.</summary>
    private const int AtOnce = 2;
    private readonly SemaphoreSlim _free = new(AtOnce, AtOnce);

    public async Task<IReadOnlyList<VolumeDiff>> RunAsync(DiffRequest request, WeaveId active, IProgress<(VolumeId Volume, long Done, long Total)>? progress, CancellationToken stop)
    {
        if (await bench.Store.GetEnvironmentAsync(request.Environment, stop) is var environment && !bench.IsHere(environment))
            throw new WeaveException(Fault.Conflict, $"The disks of '{environment.Id}' are on the host '{environment.Host}', not on '{bench.Host}'.", $"Ask a service of '{environment.Host}'.");
        if (!await _free.WaitAsync(TimeSpan.Zero, stop))
            throw new WeaveException(Fault.Busy, $"{AtOnce} comparisons of disks are at work already.", "Try again when one of them has ended.");
        try
        {
            return await CompareAsync(request, active, await bench.Store.ReadHistoryAsync(request.Environment, stop), progress, stop);
        }
        finally
        {
            _free.Release();
        }
    }

    /// <summary>No lease is held: what looks like damage may be an operation that was moving layers meanwhile.</summary>
    private async Task<IReadOnlyList<VolumeDiff>> CompareAsync(DiffRequest request, WeaveId active, StoredHistory history, IProgress<(VolumeId Volume, long Done, long Total)>? progress, CancellationToken stop)
    {
        try
        {
            var (left, right) = (Find(request.Left), Find(request.Right));
            var volumes = request.Volume is { } only ? [only] : VolumesOf(left).Intersect(VolumesOf(right)).ToList();
            var reader = new VolumeReader(history.Layers);
            var found = new List<VolumeDiff>();
            foreach (var volume in volumes)
            {
                var (a, b) = (PointOf(left, volume), PointOf(right, volume));
                var (ranges, more) = (new List<RangeFound>(), false);
                var totals = await reader.CompareAsync(a.Top, b.Top, VolumeReader.Step, range =>
                {
                    if (range.Offset + range.Length <= request.From) return;
                    if (ranges.Count < request.Limit) ranges.Add(range);
                    else more = true;
                }, progress is null ? null : new Of(volume, progress), stop);
                IEnumerable<string> unseen = new[] { (Point: a, Name: request.Left), (Point: b, Name: request.Right) }.Where(s => s.Point.Newer is not null)
                    .Select(s => $"{volume} of {s.Name} is being written by a machine that runs: it was looked at {s.Point.Words}, and what was written since is not seen").Distinct();
                found.Add(new(volume, a.Words, b.Words, totals, ranges, more, [.. unseen]));
            }
            return found;

            (Weave? Weave, Snapshot? Snapshot) Find(string text)
            {
                if (SnapshotId.TryCreate(text, out var snapshot))
                    return (null, history.Snapshots.FirstOrDefault(s => s.Id == snapshot) ?? throw new WeaveException(Fault.NotFound, $"Environment '{request.Environment}' has no snapshot '{snapshot}'.", $"List them with `weave timeline {request.Environment}`."));
                var id = text == Weave.ActiveAlias ? active : WeaveId.Parse(text);
                return (history.Weaves.FirstOrDefault(w => w.Id == id) ?? throw new WeaveException(Fault.NotFound, $"Environment '{request.Environment}' has no weave '{id}'.", $"List its weaves with `weave list {request.Environment}`."), null);
            }
            static IEnumerable<VolumeId> VolumesOf((Weave? Weave, Snapshot? Snapshot) side) => side.Weave?.Machines.SelectMany(m => m.Heads.Select(h => new VolumeId(m.Name, h.Volume)))
                ?? side.Snapshot!.Machines.SelectMany(m => m.Frozen.Select(f => new VolumeId(m.Name, f.Volume)));
            VolumePoint PointOf((Weave? Weave, Snapshot? Snapshot) side, VolumeId volume) =>
                side.Weave is { } weave ? VolumePoints.Of(weave, volume, history.Layers, history.Snapshots) : VolumePoints.Of(side.Snapshot!, volume, history.Layers);
        }
        catch (WeaveException e) when (e.Fault is Fault.DataLoss or Fault.Unsupported or Fault.NotFound)
        {
            if (Same(history, await bench.Store.ReadHistoryAsync(request.Environment, stop))) throw;
            throw new WeaveException(Fault.Busy, $"An operation moved layers of '{request.Environment}' while they were compared.", "Try again when it has ended.", e);
        }
    }

    private static bool Same(StoredHistory before, StoredHistory now) =>
        before.Layers.Values.Select(l => (l.Id, l.Parent, l.Path)).ToHashSet().SetEquals(now.Layers.Values.Select(l => (l.Id, l.Parent, l.Path)));

    private sealed class Of(VolumeId volume, IProgress<(VolumeId, long, long)> progress) : IProgress<(long Done, long Total)>
    {
        public void Report((long Done, long Total) value) => progress.Report((volume, value.Done, value.Total));
    }
}
