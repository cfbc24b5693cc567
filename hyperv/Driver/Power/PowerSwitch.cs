using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Power;

/// <summary>
/// Run states of machines that exist. Already so: success. A user's saved machine is off: its memory is kept when it is shut down or powered off, and resumed when it is started. A copy that is off is gone, as the
/// contract has it: its definition is removed.
/// </summary>
internal sealed class PowerSwitch(DriverContext context, StateChange states, CopyRemover copies)
{
    private const string ScreenLocked = "32781";
    private static readonly TimeSpan Pace = TimeSpan.FromSeconds(2);

    public async Task ChangeAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop) =>
        await Task.WhenAll(machines.Select(m => ChangeAsync(m, change, patience, stop)));

    private async Task ChangeAsync(MachineRef machine, PowerChange change, TimeSpan patience, CancellationToken stop)
    {
        if (await context.Machines.FindAsync(machine, stop) is not { } found)
        {
            if (change is not (PowerChange.ShutDown or PowerChange.PowerOff))
                throw new WeaveException(Fault.NotFound, $"Machine '{machine.HypervisorName}' is not there.", "A copy that is off is started with its weave: `weave start ENV/WEAVE`.");
            // A copy that is gone is off: that is what was asked for. An earlier call may have left something of it.
            await copies.RemoveAsync(machine.Uuid, stop);
            return;
        }
        await HyperVFaults.DoAsync(() => ChangeAsync(found, machine, change, patience, stop), $"Changing the state of machine '{machine.HypervisorName}'");
        if (found.Mark is { Kind: MarkKind.Copy } && change is PowerChange.ShutDown or PowerChange.PowerOff) await copies.RemoveAsync(machine.Uuid, stop);
    }

    private async Task ChangeAsync(HostMachine found, MachineRef machine, PowerChange change, TimeSpan patience, CancellationToken stop)
    {
        var isCopy = found.Mark is { Kind: MarkKind.Copy };
        switch (change)
        {
            case PowerChange.Start when found.State != MachineStates.Running:
            case PowerChange.Resume when found.State == MachineStates.Paused || (isCopy && found.State == MachineStates.Saved):
                await StartAsync(found, stop);
                break;
            case PowerChange.Pause when found.State == MachineStates.Running:
                await states.RequestAsync(found.System, StateChange.Pause, s => s == MachineStates.Paused, context.Options.StatePatience, stop);
                break;
            case PowerChange.PowerOff when found.State is not (MachineStates.Off or MachineStates.Saved):
                await states.RequestAsync(found.System, StateChange.TurnOff, s => s == MachineStates.Off, context.Options.StatePatience, stop);
                break;
            case PowerChange.ShutDown when found.State != MachineStates.Off && (isCopy || found.State != MachineStates.Saved):
                // A paused guest hears nothing.
                if (found.RunState == RunState.Paused) await StartAsync(found, stop);
                await ShutDownAsync(found.System, machine, patience, stop);
                break;
        }
    }

    private Task StartAsync(HostMachine machine, CancellationToken stop) => states.RequestAsync(machine.System, StateChange.Start, s => s == MachineStates.Running, context.Options.StatePatience, stop);

    private async Task ShutDownAsync(CimPath system, MachineRef machine, TimeSpan patience, CancellationToken stop)
    {
        var begun = context.Clock.GetTimestamp();
        while (true)
        {
            var left = patience - context.Clock.GetElapsedTime(begun);
            if (left <= TimeSpan.Zero) throw new WeaveException(Fault.Busy, $"Machine '{machine.HypervisorName}' did not shut down in {patience.TotalSeconds:0} s.", "Shut it down from inside, or power it off.");
            try
            {
                await states.RequestAsync(system, StateChange.ShutDown, s => s == MachineStates.Off, left, stop);
                return;
            }
            catch (HostException e) when (e.Kind == HostErrorKind.TimedOut || e.Code == ScreenLocked)
            {
                // A guest that does not listen now may do so later.
            }
            left = patience - context.Clock.GetElapsedTime(begun);
            if (left > TimeSpan.Zero) await Task.Delay(left < Pace ? left : Pace, context.Clock, stop);
        }
    }
}
