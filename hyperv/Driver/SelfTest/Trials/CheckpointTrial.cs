using WeaveHypervisor.HyperV.Capturing;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>In which states of a machine checkpoints with memory can be made, and whether a paused one can be saved.</summary>
internal sealed class CheckpointTrial : IHostTrial
{
    public string Name => "checkpoints";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        await run.AskAsync(this, "the checkpoint of a running machine has its memory", async () => await LooksAsync(run, await RunningAsync(run, stop), stop), stop);
        var paused = await run.AskAsync(this, "the checkpoint of a paused machine has its memory", async () =>
        {
            var machine = await RunningAsync(run, stop);
            await run.Things.RequestAsync(machine.System, StateChange.Pause, MachineStates.Paused, stop);
            return await LooksAsync(run, machine, stop);
        }, stop);
        await run.AskAsync(this, "the checkpoint of a saved machine has its memory", async () =>
        {
            var machine = await RunningAsync(run, stop);
            await run.Things.RequestAsync(machine.System, StateChange.Save, MachineStates.Saved, stop);
            return await LooksAsync(run, machine, stop);
        }, stop);
        var saves = await run.AskAsync(this, "a paused machine can be saved", async () =>
        {
            var machine = await RunningAsync(run, stop);
            await run.Things.RequestAsync(machine.System, StateChange.Pause, MachineStates.Paused, stop);
            await run.Things.RequestAsync(machine.System, StateChange.Save, MachineStates.Saved, stop);
            return Seen.Of("it is saved");
        }, stop);
        var byType = await run.AskAsync(this, "a disk snapshot (type 3) is made without memory, whatever the machine is set to", async () =>
        {
            var made = await run.Things.CheckAsync(await RunningAsync(run, stop), stop, Checkpoints.DisksOnly);
            return Seen.If(made.Find(VirtualSystemSettingData.IsSaved) is not true, "a checkpoint without memory", "a checkpoint with memory");
        }, stop);
        run.Found = run.Found with { ChecksPaused = paused, SavesPaused = saves, Production = byType ? ProductionRequest.ByType : ProductionRequest.BySetting };
    }

    private static async Task<TrialMachine> RunningAsync(TrialRun run, CancellationToken stop)
    {
        var machine = await run.Things.MachineAsync(stop);
        await run.Things.RequestAsync(machine.System, StateChange.Start, MachineStates.Running, stop);
        return machine;
    }

    private static async Task<Seen> LooksAsync(TrialRun run, TrialMachine machine, CancellationToken stop) =>
        Seen.If((await run.Things.CheckAsync(machine, stop)).Find(VirtualSystemSettingData.IsSaved) is true, "IsSaved of the checkpoint is true", "a checkpoint was made, without memory");
}
