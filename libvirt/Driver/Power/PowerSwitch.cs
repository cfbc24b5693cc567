using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Power;

/// <summary>Run states of machines that exist. Already so: success.</summary>
internal sealed class PowerSwitch(DriverContext context)
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(100);

    public async Task ChangeAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop) =>
        await Task.WhenAll(machines.Select(m => ChangeAsync(m, change, patience, stop)));

    private async Task ChangeAsync(MachineRef machine, PowerChange change, TimeSpan patience, CancellationToken stop)
    {
        using var domain = await context.Host.FindDomainAsync(machine, stop);
        if (domain is null)
        {
            // A copy that is off has no domain: off is what was asked for.
            if (change is PowerChange.ShutDown or PowerChange.PowerOff) return;
            throw new WeaveException(Fault.NotFound, $"Machine '{machine.HypervisorName}' is not there.", "A copy that is off is started with its weave: `weave start ENV/WEAVE`.");
        }
        await context.Host.CallAsync($"{Verb(change)} machine '{machine.HypervisorName}'", async _ =>
        {
            var state = (await domain.GetStateAsync(stop)).State;
            var off = state is DomainState.Shutoff or DomainState.Crashed;
            switch (change)
            {
                case PowerChange.Start:
                    if (off) await domain.CreateAsync(cancellationToken: stop);
                    else if (state == DomainState.Paused) await domain.ResumeAsync(stop);
                    break;
                case PowerChange.Pause:
                    if (state is DomainState.Running or DomainState.Blocked) await domain.SuspendAsync(stop);
                    break;
                case PowerChange.Resume:
                    if (state == DomainState.Paused) await domain.ResumeAsync(stop);
                    break;
                case PowerChange.PowerOff:
                    if (!off) await DestroyAsync(domain, stop);
                    break;
                case PowerChange.ShutDown:
                    if (!off) await ShutDownAsync(domain, machine, state, patience, stop);
                    break;
            }
        }, stop);
    }

    private async Task ShutDownAsync(LibvirtDomain domain, MachineRef machine, DomainState state, TimeSpan patience, CancellationToken stop)
    {
        // A paused guest hears nothing.
        if (state == DomainState.Paused) await domain.ResumeAsync(stop);
        var end = context.Clock.GetUtcNow() + patience;
        var again = DateTimeOffset.MinValue;
        while (true)
        {
            var now = context.Clock.GetUtcNow();
            try
            {
                if ((await domain.GetStateAsync(stop)).State is DomainState.Shutoff or DomainState.Crashed) return;
                if (now >= end)
                    throw new WeaveException(Fault.Busy, $"Machine '{machine.HypervisorName}' did not shut down within {patience.TotalSeconds:0} s.", "Try again, look into the guest, or power it off: `weave stop ENV/WEAVE --power-off`.");
                if (now >= again)
                {
                    // Guests that are still booting lose the first press of the button.
                    await domain.ShutdownAsync(cancellationToken: stop);
                    again = now + TimeSpan.FromSeconds(5);
                }
            }
            catch (LibvirtException e) when (e.Code is VirErrorCode.NoDomain || e.Code == VirErrorCode.OperationInvalid)
            {
                // A transient domain is gone when it is off; one that has just gone off is not running any more.
                if (e.Code == VirErrorCode.NoDomain) return;
            }
            await Task.Delay(Pace, context.Clock, stop);
        }
    }

    private static async Task DestroyAsync(LibvirtDomain domain, CancellationToken stop)
    {
        try
        {
            await domain.DestroyAsync(cancellationToken: stop);
        }
        catch (LibvirtException e) when (e.Code is VirErrorCode.NoDomain or VirErrorCode.OperationInvalid)
        {
            // It went off by itself meanwhile.
        }
    }

    private static string Verb(PowerChange change) => change switch
    {
        PowerChange.Start => "start", PowerChange.Pause => "pause", PowerChange.Resume => "resume", PowerChange.ShutDown => "shut down", _ => "power off",
    };
}
