using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Capture;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>Whether a volume can be taken from its machine now, by what the hypervisor and the guest say. Looked at before anything is done, and again when it is.</summary>
internal sealed class DestinationRules(Bench bench)
{
    private static readonly TimeSpan AgentPatience = TimeSpan.FromSeconds(5);

    /// <summary>
    /// The machine's present; null: the hypervisor does not have it (a copy that is off). Refused (Conflict) where something else has moved its disk; where it is paused; and, unless it is
    /// to be stopped, where the volume is the one that the machine runs from, or the guest's agent says that it is mounted.
    /// </summary>
    /// <param name="notes">Gets what nobody could tell.</param>
    public async Task<MachineFacts?> CheckAsync(Weave weave, VolumeId volume, LayerRef head, bool stops, List<string> notes, CancellationToken stop)
    {
        var (machine, _) = VolumePoints.Find(weave, volume);
        var name = $"{weave.Environment}/{weave.Id}";
        var target = weave.Blueprint.Machine(machine.Name).Target(volume.Volume);
        var facts = await bench.Driver.InspectAsync(machine.ToRef(), stop);
        StoredDisks.RequireThere(weave, machine, facts);
        StoredDisks.RequireOn(weave, machine, volume.Volume, head.Path, facts);
        if (facts is null) return null;
        if (facts.RunState == RunState.Off || stops && facts.RunState == RunState.Running) return facts;
        if (facts.RunState == RunState.Paused)
            throw new WeaveException(Fault.Conflict, $"Machine '{machine.Name}' of '{name}' is paused, and can neither let go of a disk nor shut down.", $"Resume it with `weave resume {name}`, or end it with `weave stop {name} --power-off`.");
        if (weave.Blueprint.Machine(machine.Name).Volumes[0].Name == volume.Volume)
            throw new WeaveException(Fault.Conflict, $"'{volume}' of '{name}' is the first disk of a machine that runs, so its system stands on it; it cannot be switched under it.", $"Repeat with `--stop`: the machine is shut down and started again. Or stop it first, with `weave stop {name}`.");
        if (!bench.Driver.Capabilities.HotPlug)
            throw new WeaveException(Fault.Unsupported, $"Disks of running machines cannot be switched by the {bench.Driver.Capabilities.Name} driver.", "Repeat with `--stop`: the machine is shut down and started again.");
        var mounts = await bench.Driver.FindMountsAsync(machine.ToRef(), target, AgentPatience, stop);
        if (mounts.Places.Count > 0)
            throw new WeaveException(Fault.Conflict, $"The guest of '{machine.Name}' of '{name}' has '{volume}' mounted at {string.Join(", ", mounts.Places)}.", "Unmount it in the guest and repeat; or repeat with `--stop`: the machine is shut down and started again.");
        if (mounts.Agent.State != AgentCondition.Answers)
            notes.Add($"no guest agent could say whether {volume} was mounted in {machine.Name} ({mounts.Agent.Reason ?? "there is none"}); had it been, the guest would have lost what it had not written yet, and would see errors until it is mounted anew");
        return facts;
    }
}
