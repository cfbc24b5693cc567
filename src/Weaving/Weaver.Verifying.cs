using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Verifying;

namespace WeaveHypervisor.Weaving;

/// <summary>Verification of snapshots, and the time that weaves have to live.</summary>
internal sealed partial class Weaver
{
    public async Task<Operation> VerifySnapshotAsync(VerifyRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var snapshot = await Store.GetSnapshotAsync(request.Snapshot, stop);
        var environment = await Store.GetEnvironmentAsync(snapshot.Environment, stop);
        if (environment.State != EnvironmentState.Managed) throw new WeaveException(Fault.Conflict, $"Environment '{environment.Id}' is being released.", "Adopt it again after that.");
        if (snapshot.State != SnapshotState.Ready) throw new WeaveException(Fault.Conflict, $"Snapshot '{snapshot.Id}' is not ready.", $"Choose another with `weave timeline {environment.Id}`.");
        if (request is { Probe: not null, Agents: true }) throw Invalid("A probe and guest agents were both asked for.", "Give one of them.");
        if (request.Timeout <= TimeSpan.Zero || request.Timeout > LongestProbe) throw Invalid($"A time of {request.Timeout} is out of range.", "Use more than 0 and at most 10 minutes.");
        var plan = VerifyPlan.Of(request, snapshot, await Store.ListWeavesAsync(environment.Id, stop), bench.Now);
        if (request.Probe is { } probe)
        {
            CheckProbe(probe with { Timeout = request.Timeout }, snapshot.Blueprint);
            RequireRunning(probe.Machine);
        }
        if (request.AgentOf is { } machine) RequireRunning(snapshot.Blueprint.Machine(machine).Name);

        return await SubmitAsync(Kinds.Verify, environment.Id, $"{environment.Id}/{snapshot.Id}", plan, WeavingJson.Default.VerifyPlan, caller, stop);

        void RequireRunning(MachineName name)
        {
            if (plan.Revival.Start != StartMode.Boot && snapshot.Machines.FirstOrDefault(m => m.Name == name)?.RunState is { } state and not RunState.Running)
                throw new WeaveException(Fault.Conflict, $"Machine '{name}' was {state.ToString().ToLowerInvariant()} at the instant of snapshot '{snapshot.Id}', and so it will be when that is revived; it cannot answer.", "Name a machine that ran, or leave the probe out.");
        }
    }

    public async Task<Operation> KeepWeaveAsync(EnvironmentId environment, WeaveId weave, TimeSpan? timeToLive, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        CheckLife(timeToLive);
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        var found = await UsableAsync(managed, Resolve(weave, managed)!.Value, stop);
        if (found.IsMain && timeToLive is not null) throw new WeaveException(Fault.Conflict, $"'{environment}/main' is the adopted original; its time is never over.", $"Give the machines back with `weave env release {environment}`.");
        var plan = new KeepPlan { Environment = environment, Weave = found.Id, ExpiresAt = bench.Now + timeToLive };
        return await SubmitAsync(Kinds.Keep, environment, $"{environment}/{found.Id}", plan, WeavingJson.Default.KeepPlan, caller, stop);
    }

    private static void CheckLife(TimeSpan? timeToLive)
    {
        if (timeToLive is { } life && (life < TimeSpan.FromSeconds(1) || life > TimeSpan.FromDays(3650))) throw Invalid($"A time to live of {life} is out of range.", "Use 1s to 3650d, for example 4h.");
    }

    private static void CheckProbe(ProbeSpec probe, EnvironmentBlueprint blueprint)
    {
        blueprint.Machine(probe.Machine);
        CheckPort(probe.Port, "probe");
        if (probe.HttpPath is { } path && (!path.StartsWith('/') || path.Length > 2000 || path.Any(c => char.IsControl(c) || c == ' '))) throw Invalid($"{Ids.Quote(path)} is no HTTP path.", "Use a path such as /health.");
        if (probe.Timeout <= TimeSpan.Zero || probe.Timeout > LongestProbe) throw Invalid($"A probe time of {probe.Timeout} is out of range.", "Use more than 0 and at most 10 minutes.");
    }

    /// <summary>The weave of a verification is made, asked and removed by that alone.</summary>
    private static void CheckNotTemporary(Weave weave)
    {
        if (weave.Verifies is { } snapshot) throw new WeaveException(Fault.Conflict, $"'{weave.Environment}/{weave.Id}' is there only to verify snapshot '{snapshot}', and goes by itself.",
            $"Make a weave of your own with `weave create {weave.Environment} --snapshot {snapshot}`.");
    }
}
