using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.HyperV.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Owned;

/// <summary>What was there before an import began: until its settings are changed an imported machine bears no mark, or that of the copy that it was captured of.</summary>
/// <param name="Source">The name that it has then, where it bears no mark; one that was copied from a checkpoint's files has the checkpoint's, which begins with our prefix.</param>
internal sealed record ImportIntent(string Source, IReadOnlyList<Guid> Before);

[JsonSerializable(typeof(ImportIntent))]
internal sealed partial class IntentJson : JsonSerializerContext;

/// <summary>
/// Ends copies, also half made ones: the machine, one that is still being imported, and their folders, never their layers. May be called any number of times. What firmware has kept is taken back into the copy's own file before.
/// </summary>
internal sealed class CopyRemover(DriverContext context, MachineEditor editor, StateChange states, StateKeeper firmware)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    private string IntentOf(Guid uuid) => HostPath.Join(context.Paths.Copies, uuid.ToString("N") + ".json");

    /// <summary>Written before an import, removed when its machine bears the mark.</summary>
    public Task BeginAsync(Guid uuid, ImportIntent intent, CancellationToken stop) => context.Files.WriteRecordAsync(IntentOf(uuid), intent, IntentJson.Default.ImportIntent, stop);

    public Task MarkedAsync(Guid uuid, CancellationToken stop) => context.Files.DeleteAsync(IntentOf(uuid), stop);

    /// <summary>The machine of an import that does not bear its mark yet; null where there is none.</summary>
    public async Task<HostMachine?> FindUnmarkedAsync(Guid uuid, ImportIntent intent, CancellationToken stop) =>
        (await context.Machines.ListPlannedAsync(stop)).FirstOrDefault(m => !intent.Before.Contains(m.Id) && (m.Mark is null ? m.Name == intent.Source || context.Paths.IsOurCheckpoint(m.Name) : IsOurs(m) && m.Uuid != uuid));

    /// <summary>UUIDs of copies of which something is on the host: a machine, one that is being imported, an intent or a folder.</summary>
    public async Task<IReadOnlyDictionary<Guid, string>> ListAsync(CancellationToken stop)
    {
        var found = new Dictionary<Guid, string>();
        foreach (var machine in (await context.Machines.ListAsync(stop)).Concat(await context.Machines.ListPlannedAsync(stop)).Where(IsOurs)) found[machine.Uuid] = machine.Name;
        foreach (var file in await HyperVFaults.AskAsync(() => context.Files.ListAsync(context.Paths.Copies, false, stop), "Looking for copies"))
            if (Guid.TryParseExact(file.IsFolder ? HostPath.Name(file.Path) : HostPath.Stem(file.Path), "N", out var uuid)) found.TryAdd(uuid, $"half made copy {uuid:N}");
        return found;
    }

    public bool IsOurs(HostMachine machine) => OwnedMark.Is(machine.Mark, MarkKind.Copy, context.Options);

    public Task RemoveAsync(Guid uuid, CancellationToken stop) => HyperVFaults.DoAsync(async () =>
    {
        foreach (var machine in (await context.Machines.ListAsync(stop)).Where(m => IsOurs(m) && m.Uuid == uuid))
        {
            if (machine.State is not (MachineStates.Off or MachineStates.Saved)) await states.RequestAsync(machine.System, StateChange.TurnOff, s => s == MachineStates.Off, context.Options.StatePatience, stop);
            if (OwnState(machine.Mark!, uuid) is { } own) await firmware.TakeBackAsync(machine, own, stop);
            // Its frozen layers may be those of other copies.
            await editor.SetMergesAsync(machine, false, stop);
            await DestroyAsync(machine, stop);
        }
        foreach (var planned in (await context.Machines.ListPlannedAsync(stop)).Where(m => IsOurs(m) && m.Uuid == uuid)) await DestroyAsync(planned, stop);
        if (await context.Files.ReadIntentAsync(IntentOf(uuid), IntentJson.Default.ImportIntent, stop) is { } intent)
            while (await FindUnmarkedAsync(uuid, intent, stop) is { } unmarked) await DestroyAsync(unmarked, stop);
        await context.Files.DeleteAsync(IntentOf(uuid), stop);
        await context.Files.DeleteAsync(HostPath.Join(context.Paths.Work, uuid.ToString("N")), stop);
        await context.Files.DeleteAsync(context.Paths.PlaceCopy(uuid), stop);
    }, $"Removing the copy {uuid:N}");

    private async Task DestroyAsync(HostMachine machine, CancellationToken stop)
    {
        try
        {
            await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.DestroySystem(machine.System), Deadline, stop);
        }
        catch (HostException e) when (e.Kind is HostErrorKind.OutcomeUnknown or HostErrorKind.Unavailable or HostErrorKind.InvalidRequest)
        {
            // Gone, or being removed by a call whose answer was lost: seen below.
        }
        for (var look = 0; ; look++)
        {
            if (!(await (machine.IsPlanned ? context.Machines.ListPlannedAsync(stop) : context.Machines.ListAsync(stop))).Any(m => m.Id == machine.Id)) return;
            if (look == 30) throw new HostException(HostErrorKind.TimedOut, $"Machine '{machine.Name}' was not removed");
            await Task.Delay(TimeSpan.FromSeconds(1), context.Clock, stop);
        }
    }

    /// <summary>The mark's name is environment/tag/weave/machine.</summary>
    private string? OwnState(OwnedMark mark, Guid uuid) => mark.Name.Split('/') is [var environment, var tag, ..] && EnvironmentId.TryCreate(environment, out var e) && FenceTag.TryCreate(tag, out var t)
        ? context.Paths.PlaceState(e, t, new(default, "", uuid), StateKind.Nvram) : null;
}
