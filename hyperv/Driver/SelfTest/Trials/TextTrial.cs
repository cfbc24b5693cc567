using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>Whether the host takes settings in our form of text, and leaves alone what is not in it.</summary>
internal sealed class TextTrial : IHostTrial
{
    public string Name => "texts";

    public Task AskAsync(TrialRun run, CancellationToken stop) => run.AskAsync(this, "a machine is renamed by settings that hold its InstanceID and its name alone", async () =>
    {
        var machine = await run.Things.MachineAsync(stop);
        var before = await run.Things.SettingsAsync(machine.System, stop);
        var name = TrialThings.Name(run.Context) + " <&\"'> ä";
        await run.Things.ChangeAsync(before, s => s.With(VirtualSystemSettingData.ElementName, name), stop);
        var after = await run.Things.SettingsAsync(machine.System, stop);
        var same = after.Get(VirtualSystemSettingData.ElementName) == name && after.List(VirtualSystemSettingData.Notes).SequenceEqual(before.List(VirtualSystemSettingData.Notes)) && after.Get(VirtualSystemSettingData.SnapshotDataRoot) == before.Get(VirtualSystemSettingData.SnapshotDataRoot);
        return Seen.If(same, "the name changed, with its special characters, and nothing else", $"the name is now '{after.Get(VirtualSystemSettingData.ElementName)}', or something else changed with it");
    }, stop);
}
