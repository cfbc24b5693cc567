using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>What can be the parent of a layer, and who may read it.</summary>
internal sealed class LayerTrial : IHostTrial
{
    public string Name => "layers";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        var things = run.Things;
        await run.AskAsync(this, "a layer can be made on a .vhdx", async () =>
        {
            var parent = things.Fresh("disk") + ".vhdx";
            await run.Context.Files.CreateFolderAsync(HostPath.Folder(parent), stop);
            await things.CreateDiskAsync(parent, null, stop);
            await things.CreateDiskAsync(things.Fresh("layer") + ".vhdx", parent, stop);
            return Seen.Of("it was made");
        }, stop);
        var takes = await run.AskAsync(this, "a layer can be made on the .avhdx of a checkpoint", async () =>
        {
            await things.CreateDiskAsync(things.Fresh("layer") + ".vhdx", await FrozenAsync(things, stop), stop);
            return Seen.Of("it was made");
        }, stop);
        run.Found = run.Found with { TakesAvhdxAsParent = takes };
        await run.AskAsync(this, "a layer can be made on a second name (.vhdx) of such a file", async () =>
        {
            await new TrialCopies(things, takesAvhdx: false, grantsParents: true, savesPaused: false).LayerAsync(things.Fresh("layer") + ".vhdx", await FrozenAsync(things, stop), stop);
            return Seen.Of("it was made");
        }, stop);
        var grants = await run.AskAsync(this, "a machine may read the parents of a disk that is attached to it", async () =>
        {
            var machine = await StandingOnAnothersAsync(run, stop);
            await things.RequestAsync(machine.System, StateChange.Start, MachineStates.Running, stop);
            return Seen.Of("it started");
        }, stop);
        run.Found = run.Found with { GrantsParents = grants };
        if (grants) run.Skip(this, "it may read them when they are granted to it", "the host grants them itself");
        else
            await run.AskAsync(this, "it may read them when they are granted to it", async () =>
            {
                var machine = await StandingOnAnothersAsync(run, stop);
                await run.Copies.GrantAsync(machine.Disk, machine.Id, stop);
                await things.RequestAsync(machine.System, StateChange.Start, MachineStates.Running, stop);
                return Seen.Of("it started");
            }, stop);
    }

    /// <summary>The layer between two checkpoints of a machine, named by the host.</summary>
    private static async Task<string> FrozenAsync(TrialThings things, CancellationToken stop)
    {
        var machine = await things.MachineAsync(stop);
        await things.CheckAsync(machine, stop);
        var second = await things.CheckAsync(machine, stop);
        return TrialThings.FileOf((await things.DisksAsync(second, stop))[0]);
    }

    /// <summary>A machine whose disk is a layer on a frozen one of another machine.</summary>
    private static async Task<TrialMachine> StandingOnAnothersAsync(TrialRun run, CancellationToken stop)
    {
        var owner = await run.Things.MachineAsync(stop);
        await run.Things.CheckAsync(owner, stop);
        var layer = run.Things.Fresh("layer") + ".vhdx";
        await run.Things.CreateDiskAsync(layer, owner.Disk, stop);
        return (await run.Things.MachineAsync(stop, layer)) with { Disk = layer };
    }
}
