using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>By which routes a copy under a new id, on layers and a switch of its own, resumes from the memory of a machine that runs.</summary>
internal sealed class RouteTrial : IHostTrial
{
    public string Name => "routes";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        foreach (var route in CapabilityRecord.Preferred)
        {
            var resumes = await run.AskAsync(this, $"a copy resumes from memory by the route '{route.ToString().ToLowerInvariant()}'", async () =>
            {
                var copies = run.Copies;
                var machine = await run.Things.MachineAsync(stop);
                await run.Things.RequestAsync(machine.System, StateChange.Start, MachineStates.Running, stop);
                return await ResumeAsync(run.Things, await copies.CopyAsync(await copies.TakeAsync(route, machine, stop), stop), stop);
            }, stop);
            if (resumes) run.Found = run.Found with { Resumes = [.. run.Found.Resumes, route] };
        }
    }

    /// <summary>Starts a copy and tells whether that was a resume.</summary>
    public static async Task<Seen> ResumeAsync(TrialThings things, TrialCopy copy, CancellationToken stop)
    {
        var said = copy.Findings.Count > 0 ? $"; the host's validation said: {string.Join("; ", copy.Findings)}" : "";
        if (copy.State != MachineStates.Saved) return Seen.Not($"after its import it was in state {copy.State}, not saved: its memory did not come along{said}");
        var job = (await things.RequestAsync(copy.System, StateChange.Start, MachineStates.Running, stop)).Job;
        var type = job?.Find(ConcreteJob.JobType);
        return Seen.If(type == StateChange.Restores, $"it was saved after its import and started by a job of type 15{said}", $"it was saved after its import, and started by a job of type {type?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "unknown"}, which is no restore{said}");
    }
}
