using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.SelfTest;

/// <summary>
/// Removes all that self-tests of this prefix have left: machines and imports by their mark (an import has that of what it is made of), switches by theirs, the translation by its name, and the folder.
/// May be called any number of times, and finds what an earlier run that died has left.
/// </summary>
internal sealed class TrialSweep(DriverContext context)
{
    private const int Attempts = 6;
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(2), Deadline = TimeSpan.FromMinutes(2);

    /// <summary>Sweeps until nothing is left. A host that is busy is asked again for a while; then the error is Unavailable and names what is left.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                if (await SweepAsync(stop) is not { } trouble) return;
                if (attempt == Attempts) throw Left(trouble, await LookAsync(stop));
            }
            catch (Exception e) when (attempt < Attempts && e is HostException or CimException or WeaveException && !stop.IsCancellationRequested)
            {
            }
            await Task.Delay(Pause * attempt, context.Clock, stop);
        }
    }

    private static WeaveException Left(Exception trouble, IReadOnlyList<string> left) =>
        new(Fault.Unavailable, $"Of the self-test are left on the host: {string.Join(", ", left)} ({trouble.Message.TrimEnd('.')}).", "Run `weave doctor --hyperv` again, which removes them first; or remove them in Hyper-V Manager.", trouble);

    /// <summary>What is there of self-tests, in words; empty where there is nothing.</summary>
    public async Task<IReadOnlyList<string>> LookAsync(CancellationToken stop)
    {
        var found = new List<string>();
        found.AddRange((await MachinesAsync(stop)).Select(m => $"{(m.IsPlanned ? "import" : "machine")} {MachineReader.Name(m.Id)}"));
        found.AddRange((await SwitchesAsync(stop)).Select(s => $"switch {s[VirtualEthernetSwitch.Name.Name]}"));
        found.AddRange((await TranslationsAsync(stop)).Select(n => $"translation {n.Get(NetNat.Name)}"));
        if (await context.Files.FindAsync(TrialThings.Root(context), stop) is { } folder) found.Add($"folder {folder.Path}");
        return found;
    }

    /// <summary>One pass over everything; the last error of it, or null where all went well.</summary>
    private async Task<Exception?> SweepAsync(CancellationToken stop)
    {
        Exception? trouble = null;
        async Task TryAsync(Func<Task> act)
        {
            try
            {
                await act();
            }
            catch (Exception e) when (e is HostException or CimException)
            {
                trouble = e;
            }
        }
        foreach (var machine in await MachinesAsync(stop)) await TryAsync(() => RemoveAsync(machine, stop));
        foreach (var path in await SwitchesAsync(stop)) await TryAsync(async () => await context.Jobs.RunAsync(await context.Services.SwitchesAsync(stop), VirtualEthernetSwitchManagementService.DestroySystem(path), Deadline, stop));
        foreach (var nat in await TranslationsAsync(stop)) await TryAsync(() => context.Client.DeleteAsync(nat.Reference, stop));
        await TryAsync(() => context.Files.DeleteAsync(TrialThings.Root(context), stop));
        return trouble;
    }

    private async Task RemoveAsync(HostMachine machine, CancellationToken stop)
    {
        var systems = await context.Services.SystemsAsync(stop);
        if (!machine.IsPlanned)
        {
            if (machine.State is not (MachineStates.Off or MachineStates.Saved))
            {
                await context.Jobs.RunAsync(machine.System, ComputerSystem.RequestStateChange(StateChange.TurnOff), Deadline, stop, retryBusy: true);
                await context.Jobs.WaitForAsync(machine.System, s => s.Find(ComputerSystem.EnabledState) == MachineStates.Off, $"Turning off {machine.Name}", Deadline, stop);
            }
            // Nothing is to be merged into files that are deleted right away.
            await context.Jobs.RunAsync(systems, MachineEditor.Merges(machine.Id, false), Deadline, stop);
        }
        await context.Jobs.RunAsync(systems, VirtualSystemManagementService.DestroySystem(machine.System), Deadline, stop);
    }

    private async Task<IReadOnlyList<HostMachine>> MachinesAsync(CancellationToken stop) =>
        [.. (await context.Machines.ListPlannedAsync(stop)).Concat(await context.Machines.ListAsync(stop)).Where(m => IsOurs(m.Mark))];

    private async Task<IReadOnlyList<CimPath>> SwitchesAsync(CancellationToken stop) => [.. (await new HostSwitches(context).ListAsync(stop)).Where(s => IsOurs(s.Mark)).Select(s => s.Path)];

    private async Task<IReadOnlyList<CimObject>> TranslationsAsync(CancellationToken stop)
    {
        try
        {
            return await context.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).Where(NetNat.Name, TrialThings.Name(context)).ToString(), stop);
        }
        catch (CimException e) when (e.Status is CimStatus.InvalidClass or CimStatus.InvalidNamespace)
        {
            return [];
        }
    }

    private bool IsOurs(OwnedMark? mark) => OwnedMark.Is(mark, MarkKind.Trial, context.Options);
}
