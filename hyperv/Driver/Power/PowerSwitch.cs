using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Power;

/// <summary>Run states of machines that exist. Already so: success. A saved machine is off: its memory is kept when it is shut down or powered off, and resumed when it is started.</summary>
internal sealed class PowerSwitch(ICimClient client, HostJobs jobs, TimeProvider clock)
{
    private const ushort Start = 2, TurnOff = 3, ShutDown = 4, Pause = 9;
    private const ushort Running = 2, Off = 3, Saved = 6, Paused = 9;
    private const string ScreenLocked = "32781";
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5), Pace = TimeSpan.FromSeconds(2);

    public async Task ChangeAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop) =>
        await Task.WhenAll(machines.Select(m => ChangeAsync(m, change, patience, stop)));

    private async Task ChangeAsync(MachineRef machine, PowerChange change, TimeSpan patience, CancellationToken stop)
    {
        try
        {
            if (await FindAsync(machine, stop) is not { } system)
            {
                // A copy that is gone is off: that is what was asked for.
                if (change is PowerChange.ShutDown or PowerChange.PowerOff) return;
                throw new WeaveException(Fault.NotFound, $"Machine '{machine.HypervisorName}' is not there.", "A copy that is off is started with its weave: `weave start ENV/WEAVE`.");
            }
            var state = system.Find(ComputerSystem.EnabledState);
            switch (change)
            {
                case PowerChange.Start when state != Running:
                case PowerChange.Resume when state == Paused:
                    await RequestAsync(system.Reference, Start, s => s == Running, stop);
                    break;
                case PowerChange.Pause when state == Running:
                    await RequestAsync(system.Reference, Pause, s => s == Paused, stop);
                    break;
                case PowerChange.PowerOff when state is not (Off or Saved):
                    await RequestAsync(system.Reference, TurnOff, s => s == Off, stop);
                    break;
                case PowerChange.ShutDown when state is not (Off or Saved):
                    // A paused guest hears nothing.
                    if (state == Paused) await RequestAsync(system.Reference, Start, s => s == Running, stop);
                    await ShutDownAsync(system.Reference, machine, patience, stop);
                    break;
            }
        }
        catch (HostException e)
        {
            throw HyperVFaults.From(e);
        }
        catch (CimException e)
        {
            throw HyperVFaults.From(e, $"Looking at machine '{machine.HypervisorName}'");
        }
    }

    private async Task<CimObject?> FindAsync(MachineRef machine, CancellationToken stop)
    {
        var name = machine.Uuid.ToString().ToUpperInvariant();
        var found = await client.QueryAsync(Preflight.Virtualization, Wql.From(ComputerSystem.ClassName).Where(ComputerSystem.Name, name).ToString(), stop);
        return found.FirstOrDefault();
    }

    /// <summary>
    /// Asks for a state and waits until it is there, which may be after the job has ended. Refused as an invalid state: it may be so already. The outcome unknown: the state tells it.
    /// </summary>
    private async Task RequestAsync(CimPath system, ushort request, Func<ushort?, bool> reached, CancellationToken stop, TimeSpan? deadline = null)
    {
        try
        {
            await jobs.RunAsync(system, ComputerSystem.RequestStateChange(request), deadline ?? Deadline, stop, retryBusy: false);
        }
        catch (HostException e) when (e.Kind == HostErrorKind.InvalidState)
        {
            if (!reached((await client.GetAsync(system, stop)).Find(ComputerSystem.EnabledState))) throw;
        }
        catch (HostException e) when (e.Kind == HostErrorKind.OutcomeUnknown)
        {
            // Not asked again: a machine that was resumed from memory once must not be booted by a repeat.
        }
        await jobs.WaitForAsync(system, s => reached(s.Find(ComputerSystem.EnabledState)), $"State change {request} of machine {system[ComputerSystem.Name.Name]}", TimeSpan.FromSeconds(30), stop);
    }

    private async Task ShutDownAsync(CimPath system, MachineRef machine, TimeSpan patience, CancellationToken stop)
    {
        var begun = clock.GetTimestamp();
        while (true)
        {
            var left = patience - clock.GetElapsedTime(begun);
            if (left <= TimeSpan.Zero) throw new WeaveException(Fault.Busy, $"Machine '{machine.HypervisorName}' did not shut down in {patience.TotalSeconds:0} s.", "Shut it down from inside, or power it off.");
            try
            {
                await RequestAsync(system, ShutDown, s => s == Off, stop, left);
                return;
            }
            catch (HostException e) when (e.Kind == HostErrorKind.TimedOut || e.Code == ScreenLocked)
            {
                // A guest that does not listen now may do so later.
            }
            left = patience - clock.GetElapsedTime(begun);
            if (left > TimeSpan.Zero) await Task.Delay(left < Pace ? left : Pace, clock, stop);
        }
    }
}
