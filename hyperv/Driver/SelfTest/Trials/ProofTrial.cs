using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>
/// Whether copies that the host calls resumed really are: a guest that counts in its memory is heard before its machine is captured, and in the copy. A route by which it does not go on is taken from those that resume.
/// Where guests cannot be heard, nothing is proven, and the routes rest on states and types of jobs alone.
/// </summary>
internal sealed class ProofTrial : IHostTrial
{
    public string Name => "proof";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        var things = run.Things;
        var heard = await run.AskAsync(this, "a guest that counts in its memory is heard on the serial port of its machine (a named pipe)", async () =>
        {
            var machine = await StartAsync(run, stop);
            return await things.HearAsync(machine.Pipe, stop) is { } line ? Seen.Of($"{line}") : Seen.Not("nothing came");
        }, stop);
        foreach (var route in run.Found.Resumes)
        {
            var question = $"the guest of a copy counts on from where it was captured, by the route '{route.ToString().ToLowerInvariant()}'";
            if (!heard)
            {
                run.Skip(this, question, "guests cannot be heard: that memory is resumed rests on the machine being saved after its import, and on the type of the job that starts it");
                continue;
            }
            var goesOn = await run.AskAsync(this, question, async () =>
            {
                var machine = await StartAsync(run, stop);
                if (await things.HearAsync(machine.Pipe, stop) is not { } before) return Seen.Not("the original said nothing");
                var copies = run.Copies;
                var copy = await copies.CopyAsync(await copies.TakeAsync(route, machine, stop), stop);
                if (await RouteTrial.ResumeAsync(things, copy, stop) is { Yes: false } no) return no;
                if (await things.HearAsync(copy.Pipe, stop) is not { } after) return Seen.Not($"the original was at {before}; the copy says nothing");
                return Seen.If(after.GoesOnFrom(before), $"the original was at {before}, the copy at {after}", $"the original was at {before}, the copy at {after}: it did not resume, whatever the host says");
            }, stop);
            run.Found = goesOn ? run.Found with { Proven = [.. run.Found.Proven, route] } : run.Found with { Resumes = [.. run.Found.Resumes.Where(r => r != route)] };
        }
    }

    private static async Task<TrialMachine> StartAsync(TrialRun run, CancellationToken stop)
    {
        var machine = await run.Things.CountingMachineAsync(stop);
        await run.Things.RequestAsync(machine.System, StateChange.Start, MachineStates.Running, stop);
        return machine;
    }
}
