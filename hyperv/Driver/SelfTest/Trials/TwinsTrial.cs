using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>Whether one point can be revived more than once, beside its machine and with its MAC.</summary>
internal sealed class TwinsTrial : IHostTrial
{
    public string Name => "twins";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        const string question = "two copies of one point run beside its machine, with one MAC on three private switches";
        if (run.Found.Resumes is not [var route, ..])
        {
            run.Skip(this, question, "no route resumes");
            return;
        }
        await run.AskAsync(this, question, async () =>
        {
            var copies = run.Copies;
            var machine = await run.Things.MachineAsync(stop);
            await run.Things.RequestAsync(machine.System, StateChange.Start, MachineStates.Running, stop);
            var mac = await MacAsync(run, machine.System, stop);
            var point = await copies.TakeAsync(route, machine, stop);
            TrialCopy[] twins = [await copies.CopyAsync(point, stop), await copies.CopyAsync(point, stop)];
            foreach (var twin in twins)
                if (await RouteTrial.ResumeAsync(run.Things, twin, stop) is { Yes: false } no) return no;
            foreach (var system in twins.Select(t => t.System).Prepend(machine.System))
            {
                var state = (await run.Context.Client.GetAsync(system, stop)).Find(ComputerSystem.EnabledState);
                if (state != MachineStates.Running) return Seen.Not($"of the three, {system[ComputerSystem.Name.Name]} is in state {state}");
                if (await MacAsync(run, system, stop) is var other && other != mac) return Seen.Not($"the MAC {mac} became {other}");
            }
            return Seen.Of($"all three run with {mac}, by the route '{route.ToString().ToLowerInvariant()}'");
        }, stop);
    }

    private static async Task<string?> MacAsync(TrialRun run, CimPath system, CancellationToken stop) =>
        (await run.Things.PartsAsync(await run.Things.SettingsAsync(system, stop), SyntheticEthernetPortSettingData.ClassName, stop))[0].Get(SyntheticEthernetPortSettingData.Address);
}
