using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Power;

/// <summary>Asks machines for run states. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.</summary>
internal sealed class StateChange(ICimClient client, HostJobs jobs)
{
    public const ushort Start = 2, TurnOff = 3, ShutDown = 4, Save = 6, Pause = 9;

    /// <summary>Type of the job of a start that resumes from memory; 12 is one that boots.</summary>
    public const ushort Restores = 15;
    private static readonly TimeSpan Settles = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Asks for a state and waits until it is there, which may be after the job has ended. Refused as an invalid state: it may be so already. The outcome unknown: the state tells it.
    /// </summary>
    /// <returns>How the call ended; null where that is not known, or the state was there already.</returns>
    public async Task<JobOutcome?> RequestAsync(CimPath system, ushort request, Func<ushort?, bool> reached, TimeSpan deadline, CancellationToken stop)
    {
        JobOutcome? outcome = null;
        try
        {
            outcome = await jobs.RunAsync(system, ComputerSystem.RequestStateChange(request), deadline, stop, retryBusy: false);
        }
        catch (HostException e) when (e.Kind == HostErrorKind.InvalidState)
        {
            if (!reached((await client.GetAsync(system, stop)).Find(ComputerSystem.EnabledState))) throw;
        }
        catch (HostException e) when (e.Kind == HostErrorKind.OutcomeUnknown)
        {
            // Not asked again: a machine that was resumed from memory once must not be booted by a repeat.
        }
        await jobs.WaitForAsync(system, s => reached(s.Find(ComputerSystem.EnabledState)), $"State change {request} of machine {system[ComputerSystem.Name.Name]}", Settles, stop);
        return outcome;
    }
}
