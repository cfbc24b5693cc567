using WeaveHypervisor.HyperV.Capturing;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>What the host does with frozen layers: whether an export stops it from merging them, and whether it keeps away from them while merging is off.</summary>
internal sealed class MergeTrial : IHostTrial
{
    /// <summary>A merge of layers of 16 MB is over by then.</summary>
    private static readonly TimeSpan Settles = TimeSpan.FromSeconds(15);

    public string Name => "merges";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        var things = run.Things;
        var suspends = await run.AskAsync(this, "an export without disks suspends the merging of the machine's disks", async () =>
        {
            var machine = await things.MachineAsync(stop);
            await run.Copies.ExportAsync(machine, things.Fresh("point"), ExportSettings.OneSnapshotForBackup, await things.CheckAsync(machine, stop), stop);
            var state = await MergingAsync(run, machine, stop);
            return Seen.If(state == 0, "EnabledState of its disk merge settings is 0 afterwards", $"EnabledState of its disk merge settings is {state} afterwards");
        }, stop);
        run.Found = run.Found with { ExportSuspendsMerges = suspends };
        await run.AskAsync(this, "merging can be switched off and on", async () =>
        {
            var machine = await things.MachineAsync(stop);
            foreach (var wanted in (uint[])[0, 1, 0])
            {
                await things.OnSystemsAsync(MachineEditor.Merges(machine.Id, wanted == 1), stop);
                if (await MergingAsync(run, machine, stop) is var state && state != wanted) return Seen.Not($"EnabledState is {state} after {wanted} was set");
            }
            return Seen.Of("off, on, off");
        }, stop);
        await run.AskAsync(this, "while merging is off, a frozen layer with somebody else's child outlives its checkpoint", async () =>
        {
            var machine = await things.MachineAsync(stop);
            var checkpoint = await things.CheckAsync(machine, stop);
            var child = things.Fresh("layer") + ".vhdx";
            await things.CreateDiskAsync(child, machine.Disk, stop);
            var length = (await run.Context.Files.FindAsync(machine.Disk, stop))?.Length;
            await things.OnSystemsAsync(MachineEditor.Merges(machine.Id, false), stop);
            await things.OnSnapshotsAsync(VirtualSystemSnapshotService.DestroySnapshot(checkpoint.Reference), stop);
            await Task.Delay(Settles, run.Context.Clock, stop);
            await things.OnImagesAsync(ImageManagementService.ValidateVirtualHardDisk(child), stop);
            var leaf = TrialThings.FileOf((await things.DisksAsync(await things.SettingsAsync(machine.System, stop), stop))[0]);
            var kept = !HostPath.Comparer.Equals(leaf, machine.Disk) && (await run.Context.Files.FindAsync(machine.Disk, stop))?.Length == length;
            return Seen.If(kept, $"{Settles.TotalSeconds:0} s later the layer is as it was, and the child is valid", "the layer was merged into");
        }, stop);
    }

    private static async Task<uint?> MergingAsync(TrialRun run, TrialMachine machine, CancellationToken stop) =>
        (await run.Context.Client.AssociatorsAsync(machine.System, ElementSettingData.ClassName, DiskMergeSettingData.ClassName, null, null, stop)).FirstOrDefault()?.Find(DiskMergeSettingData.EnabledState);
}
