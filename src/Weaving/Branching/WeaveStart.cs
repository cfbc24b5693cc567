using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving.Branching;

/// <summary>Starts the machines of a weave that is a copy, resumed where there is memory to resume from.</summary>
internal sealed class WeaveStart(Bench bench)
{
    /// <summary>
    /// Starts all machines as <paramref name="mode"/> says and records it. Machines that were off at the origin stay off when resuming;
    /// when booting (<paramref name="all"/>) every machine is started. Answers how each began.
    /// <paramref name="again"/>: an earlier attempt may have started machines that are gone by now, with something written to their disks. Those that are to
    /// resume get new live layers then: their memory fits no other disks than those of its instant.
    /// <paramref name="refused"/> is told of the hypervisor's own failure to start them, and of nothing else that fails here; it is thrown all the same.
    /// </summary>
    public async Task<IReadOnlyList<StartedMachine>> RunAsync(Weave weave, StartMode mode, bool all, bool again, IProgress<Progress> progress, Lease lease, CancellationToken stop, Action<WeaveException>? refused = null)
    {
        var layers = await bench.Store.LayersByIdAsync(weave.Environment, stop);
        var origin = weave.Origin is { } from ? await bench.Store.GetSnapshotAsync(from, stop) : null;
        var copies = new List<CopyMachine>();
        foreach (var machine in weave.Machines)
        {
            var blueprint = weave.Blueprint.Machine(machine.Name);
            var captured = origin?.Machines.FirstOrDefault(m => m.Name == machine.Name);
            var memory = mode == StartMode.Resume && Resumes(weave, machine) ? captured?.Memory : null;
            if (again && memory is not null) await RenewAsync(machine, captured!, layers, stop);
            var state = all ? RunState.Running : captured?.RunState ?? RunState.Running;
            copies.Add(new(machine.ToRef(), blueprint,
                [.. machine.Heads.Select(h => new CopyVolume(h.Volume, blueprint.Target(h.Volume), layers.Get(h.Layer).ToRef()))], memory, state) { States = machine.States });
        }
        IReadOnlyList<StartedMachine> started;
        try
        {
            started = await bench.Driver.InstantiateAsync(new InstantiateRequest
            {
                Environment = weave.Environment, Weave = weave.Id, Tag = weave.Tag, Networks = [.. weave.Blueprint.Networks.Select(n => n.Name)], Machines = copies,
            }, progress, stop);
        }
        catch (WeaveException e)
        {
            refused?.Invoke(e);
            throw;
        }
        var running = weave with
        {
            State = MainState(started),
            Machines = [.. weave.Machines.Select(m => started.FirstOrDefault(s => s.Name == m.Name) is { } s
                ? m with
                {
                    RunState = s.RunState,
                    StartedBy = s.Method == "kept" ? m.StartedBy ?? s.Method : s.Reason is null ? s.Method : $"{s.Method}: {s.Reason}",
                    // Booted or loaded machines map no image of ours any more.
                    MemoryFrom = s.Method is "shared" or "kept" ? m.MemoryFrom : null,
                } : m)],
        };
        await bench.Store.CommitAsync(new StoreChange { PutWeaves = [running] }, lease, stop);
        return started;
    }

    /// <summary>It has never run, and there is memory of its origin. One that ran has gone on since, on its disks.</summary>
    public static bool Resumes(Weave weave, WeaveMachine machine) => machine.MemoryFrom is { } image && image == weave.Origin && machine.StartedBy is null;

    private async Task RenewAsync(WeaveMachine machine, SnapshotMachine captured, IReadOnlyDictionary<LayerId, Layer> layers, CancellationToken stop)
    {
        if (await bench.Driver.InspectAsync(machine.ToRef(), stop) is not null) return;
        var heads = machine.Heads.Select(h => layers.Get(h.Layer)).ToList();
        await bench.Driver.DeleteFilesAsync([.. heads.Select(l => l.Path), .. machine.States.Select(s => s.Path)], stop);
        foreach (var head in heads) await bench.Driver.CreateOverlayAsync(head.ToRef(), layers.Get(head.Parent!.Value).ToRef(), stop);
        foreach (var state in machine.States)
            if (captured.States.FirstOrDefault(s => s.Kind == state.Kind) is { } from) await bench.Driver.CreateStateAsync(from, state.Path, stop);
    }

    private static WeaveState MainState(IReadOnlyList<StartedMachine> started) => Adoption.MainState.Of([.. started.Select(s => s.RunState)]);
}
