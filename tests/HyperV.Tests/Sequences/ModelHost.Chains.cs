using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.Sequences;

/// <summary>Chains of layers that are shortened, written to, and given back.</summary>
internal sealed partial class ModelHost
{
    /// <param name="Between">Layers that are no more afterwards, unless it is a pull.</param>
    private sealed record Fold(FoldRequest Request, ModelLayer Layer, IReadOnlyList<ModelLayer> Between, ModelLayer Parent);

    /// <summary>What the core would fold, and pulls of any length.</summary>
    private IEnumerable<Fold> Folds()
    {
        var (pinned, heads) = (Pinned(), Everybody.SelectMany(e => e.Machine.Volumes.Select(v => (e.Line, e.Machine, Volume: v, Chain: v.Head.Chain().ToList()))).ToList());
        bool Merges(ModelLayer layer) => !layer.IsAdopted && !pinned.Contains(layer) && _layers.Count(c => c.Parent == layer) == 1;
        bool IsLive(ModelLayer layer) => heads.Exists(h => h.Volume.Head == layer);
        foreach (var layer in _layers.Where(l => l.Parent is not null && !IsLive(l)))
        {
            if (Merges(layer) && !IsLive(_layers.Single(c => c.Parent == layer))) continue;
            var between = layer.Chain().Skip(1).TakeWhile(Merges).Reverse().ToList();
            var open = heads.Where(h => h.Machine.State != RunState.Off && h.Chain.Contains(layer)).ToList();
            if (between.Count == 0 || open.Count > 1) continue;
            var main = heads.Where(h => h.Line.IsMain && h.Chain[^1] == layer.Chain().Last()).ToList();
            var above = open.Count == 0 ? null : open[0].Chain[open[0].Chain.IndexOf(layer) - 1];
            yield return new(new()
            {
                Machine = open.Count == 0 ? null : open[0].Machine.Ref, Target = open.Count == 0 ? null : open[0].Volume.Target, Layer = layer.Ref, Between = [.. between.Select(l => l.Ref)], Parent = between[0].Parent!.Ref,
                Above = above?.Ref, Others = [.. _layers.Where(c => c.Parent == layer && c != above).Select(c => c.Ref)], Defined = main.Count == 0 ? null : main[0].Machine.Ref, DefinedTarget = main.Count == 0 ? null : main[0].Volume.Target,
            }, layer, between, between[0].Parent!);
        }
        foreach (var head in heads)
            for (var at = 2; at < head.Chain.Count; at++)
            {
                if (!pinned.Contains(head.Chain[at]) && !head.Chain[at].IsAdopted) continue;
                var known = head.Line.IsMain || head.Machine.State != RunState.Off;
                var main = heads.Where(h => h.Line.IsMain && h.Chain[^1] == head.Chain[^1]).ToList();
                var between = head.Chain.Take(at).Skip(1).Reverse().ToList();
                yield return new(new()
                {
                    Machine = known ? head.Machine.Ref : null, Target = known ? head.Volume.Target : null, Layer = head.Volume.Head.Ref, IsHead = true, Between = [.. between.Select(l => l.Ref)], Parent = head.Chain[at].Ref,
                    Defined = main.Count == 0 ? null : main[0].Machine.Ref, DefinedTarget = main.Count == 0 ? null : main[0].Volume.Target,
                }, head.Volume.Head, between, head.Chain[at]);
            }
    }

    private async Task<string> FoldAsync(Step step)
    {
        var folds = Folds().ToList();
        if (folds.Count == 0) return "of nothing";
        var fold = folds[step.A % folds.Count];
        var kind = fold.Request.IsHead ? "pull" : "merge";
        // Only what somebody has open may be in the way.
        var isOpen = Everybody.Any(e => e.Machine.State != RunState.Off && e.Machine.Volumes.Exists(v => v.Head.Chain().Any(l => l == fold.Layer || !fold.Request.IsHead && fold.Between.Contains(l))));
        FoldResult? result = null;
        var refused = false;
        try
        {
            if (!await TryAsync(step, async () => result = await _driver.FoldAsync(fold.Request, null, Stop))) result = null;
        }
        catch (WeaveException e) when (isOpen && e.Fault == Fault.Conflict)
        {
            refused = true;
        }
        if (result is null)
        {
            result = await _driver.EndFoldAsync(fold.Request, Stop);
            Assert.Equal(result, await _driver.EndFoldAsync(fold.Request, Stop));
            if (refused) Assert.False(result.Done);
            if (!result.Done) return refused ? $"{kind} refused" : $"{kind} undone";
        }
        Assert.True(result.Done);
        var unneeded = fold.Request.IsHead ? [] : fold.Between.Append(fold.Layer).Select(l => l.Ref.Path).Where(p => p != result.Layer.Path).ToList();
        (fold.Layer.Ref, fold.Layer.Parent) = (result.Layer, fold.Parent);
        if (!fold.Request.IsHead) foreach (var gone in fold.Between) _layers.Remove(gone);
        await _driver.DeleteFilesAsync(unneeded, Stop);
        return $"{kind} done";
    }

    /// <summary>A volume of the user's gets a layer that was written beside it, as a sync does it.</summary>
    private async Task<string> SyncAsync(Step step, ModelMachine machine)
    {
        var volume = machine.Volumes[step.B % machine.Volumes.Count];
        if (machine.State == RunState.Paused || machine.IsSaved || machine.State == RunState.Running && volume.Target.StartsWith("ide", StringComparison.Ordinal)) return "of nobody";
        var (head, value, slot) = (Place(Main.Tag, volume.Head), (byte)(_count++ % 255 + 1), step.B % Content.Slots);
        var content = volume.Content.Copy();
        content[slot] = value;
        ValueTask ReadAsync(Content from, long offset, Memory<byte> into)
        {
            into.Span.Clear();
            for (var s = 0; s < Content.Slots; s++)
                if (Content.OffsetOf(s) - offset is >= 0 and var at && at < into.Length) into.Span[(int)at] = from[s];
            return ValueTask.CompletedTask;
        }
        var written = new LayerContent(new[] { new DiskRange(Content.OffsetOf(slot), 512) }.ToAsyncEnumerable(), (o, into, _) => ReadAsync(content, o, into), (o, into, _) => ReadAsync(volume.Content, o, into), 512);
        var outcome = await TwiceAsync(step, async () =>
        {
            await _driver.DetachVolumeAsync(machine.Ref, volume.Target, Patience, Stop);
            await _driver.WriteLayerAsync(head.Ref, volume.Head.Ref, written, null, Stop);
            await _driver.AttachVolumeAsync(machine.Ref, new(volume.Name, volume.Target, head.Ref) { Blueprint = _examined.Blueprint.Machine(machine.Ref.Name) }, Stop);
        });
        _layers.Add(head);
        _attached = true;
        machine.Volumes.Remove(volume);
        machine.Volumes.Add(new(volume.Name, volume.Target, head, content));
        return outcome;
    }

    /// <summary>All copies and moments go, the user's machines have their own disks again, and are adopted once more.</summary>
    private async Task<string> ReleaseAsync(Step step)
    {
        var well = step with { Trouble = Trouble.None };
        foreach (var line in _lines.Skip(1).ToList()) await RetireAsync(well, line);
        foreach (var moment in _moments.ToList()) await ForgetAsync(well, moment);
        _ports.Clear();
        await SetPortsAsync();
        var outcome = "done";
        foreach (var machine in Main.Machines)
        {
            ReturnedVolume[] volumes = [.. machine.Volumes.Select(v => new ReturnedVolume(v.Name, v.Target, v.Head.Chain().Last().Ref, [.. v.Head.Chain().SkipLast(1).Reverse().Select(l => l.Ref)]))];
            Task ReturnAsync() => _driver.ReturnVolumesAsync(machine.Ref, volumes, null, Stop);
            try
            {
                outcome = await TwiceAsync(step, ReturnAsync);
            }
            catch (WeaveException e) when (e.Fault == Fault.Conflict && (machine.State != RunState.Off || machine.IsSaved))
            {
                // What the host does not merge by itself is merged while the machine is off.
                if (machine.IsSaved) await _driver.ChangePowerAsync([machine.Ref], PowerChange.Start, Patience, Stop);
                await _driver.ChangePowerAsync([machine.Ref], PowerChange.PowerOff, Patience, Stop);
                machine.TurnOff();
                await ReturnAsync();
                outcome = "done while off";
            }
            await ReturnAsync();
        }
        await DeleteAsync(_layers.Where(l => !l.IsAdopted));
        _layers.Clear();
        await CheckReleasedAsync();
        await AdoptAsync(Main);
        return outcome;
    }
}
