using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Rules;

namespace WeaveHypervisor.Weaving.Traffic;

internal sealed class RoutePlan
{
    public required Route Route { get; set; }
    /// <summary>The port was ours to choose: where it turns out to be taken, the next one is tried.</summary>
    public bool ChosenPort { get; set; }
}

/// <param name="Connect">Address and port to connect to.</param>
internal sealed record RouteResult(RouteId Route, EnvironmentId Environment, WeaveId? Weave, MachineName Machine, string Connect, int TargetPort, RouteProtocol Protocol)
{
    public static RouteResult Of(Route route) => new(route.Id, route.Environment, route.Weave, route.Machine,
        $"{(route.ListenAddress == "0.0.0.0" ? "127.0.0.1" : route.ListenAddress)}:{route.ListenPort}", route.TargetPort, route.Protocol);
}

/// <summary>Finds the machine's address: adopted machines get theirs from the outside, and may not have had one when they were adopted.</summary>
internal sealed class SettleTarget(Bench bench) : IStep<RoutePlan>
{
    public string Name => "settle";

    public async Task DoAsync(StepContext<RoutePlan> context, CancellationToken stop)
    {
        var route = context.Plan.Route;
        var environment = await bench.Store.GetEnvironmentAsync(route.Environment, stop);
        var weave = await bench.Store.GetWeaveAsync(route.Environment, route.Weave ?? environment.ActiveWeave, stop);
        if (weave.IsMain) weave = await RefreshMainAsync(weave, route.Machine, context.Lease, stop);
        if (EndpointPublisher.TargetOf(weave, route.Machine) is null)
            throw new WeaveException(Fault.Conflict, $"Machine '{route.Machine}' of '{weave.Environment}/{weave.Id}' has no known address to lead to.",
                "Start the machine and wait until it has an address, then publish the route again.");
        if (RulesGuard.ShutsOut(weave, route.Machine, route.Protocol, route.TargetPort) is { } why) context.Note = $"{why}: nobody gets through";
    }

    public Task UndoAsync(StepContext<RoutePlan> context, CancellationToken stop) => Task.CompletedTask;

    private async Task<Weave> RefreshMainAsync(Weave main, MachineName name, Lease lease, CancellationToken stop)
    {
        if (main.Machines.FirstOrDefault(m => m.Name == name) is not { } machine || await bench.Driver.InspectAsync(machine.ToRef(), stop) is not { } facts) return main;
        var blueprint = main.Blueprint with
        {
            Machines = [.. main.Blueprint.Machines.Select(m => m.Name != name ? m : m with
            {
                Nics = [.. m.Nics.Select(n => facts.Addresses.TryGetValue(n.Mac, out var seen) && seen.Count > 0 ? n with { Addresses = seen } : n)],
            })],
        };
        var changed = main with { Blueprint = blueprint, Addresses = Addresses.OfMain(blueprint) };
        if (!changed.Addresses.SequenceEqual(main.Addresses)) await bench.Store.CommitAsync(new StoreChange { PutWeaves = [changed] }, lease, stop);
        return changed;
    }
}

internal sealed class RecordRoute(Bench bench, EndpointPublisher publisher) : IStep<RoutePlan>
{
    public string Name => "record";

    public async Task DoAsync(StepContext<RoutePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        for (var tries = 0; ; tries++)
        {
            var all = await bench.Store.ListRoutesAsync(null, stop);
            if (all.Any(r => r.Id == plan.Route.Id)) return;
            if (plan.ChosenPort) plan.Route = plan.Route with { ListenPort = Ports.Free(bench.Options, all, plan.Route, plan.Route.ListenPort) };
            else Ports.CheckFree(all, plan.Route);
            await context.SavePlanAsync(stop);
            try
            {
                await bench.Store.CommitAsync(new StoreChange { AddRoutes = [plan.Route] }, context.Lease, stop);
                return;
            }
            catch (WeaveException e) when (e.Fault == Fault.AlreadyExists && plan.ChosenPort && tries < 64)
            {
                // Another environment, which has a lease of its own, took the port since it was looked up.
            }
        }
    }

    public async Task UndoAsync(StepContext<RoutePlan> context, CancellationToken stop)
    {
        await bench.Store.CommitAsync(new StoreChange { DeleteRoutes = [context.Plan.Route.Id] }, context.Lease, stop);
        await publisher.PublishAsync(stop);
    }
}

internal sealed class PublishRoute(Bench bench, EndpointPublisher publisher) : IStep<RoutePlan>
{
    public string Name => "publish";

    public async Task DoAsync(StepContext<RoutePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        for (var tries = 0; ; tries++)
        {
            try
            {
                await StoreAsync(plan.Route, context.Lease, stop);
                await publisher.PublishAsync(stop);
                context.Note = $"{plan.Route.ListenAddress}:{plan.Route.ListenPort}";
                return;
            }
            catch (WeaveException e) when (e.Fault is Fault.Conflict or Fault.AlreadyExists && plan.ChosenPort && tries < 64)
            {
                // A program of the host listens there, which the store cannot know.
                var all = await bench.Store.ListRoutesAsync(null, stop);
                plan.Route = plan.Route with { ListenPort = Ports.Free(bench.Options, all, plan.Route, plan.Route.ListenPort + 1) };
                await context.SavePlanAsync(stop);
            }
        }
    }

    /// <summary>The store has the route at the port that the plan says, whatever an attempt before this one has left there.</summary>
    private async Task StoreAsync(Route route, Lease lease, CancellationToken stop)
    {
        var stored = (await bench.Store.ListRoutesAsync(route.Environment, stop)).FirstOrDefault(r => r.Id == route.Id);
        if (stored?.ListenPort != route.ListenPort) await bench.Store.CommitAsync(new StoreChange { DeleteRoutes = stored is null ? [] : [route.Id], AddRoutes = [route] }, lease, stop);
    }

    /// <summary>The record's undo publishes the set without the route.</summary>
    public Task UndoAsync(StepContext<RoutePlan> context, CancellationToken stop) => Task.CompletedTask;
}

internal sealed class WithdrawRoute(Bench bench, EndpointPublisher publisher) : IStep<RoutePlan>
{
    public string Name => "withdraw";

    public async Task DoAsync(StepContext<RoutePlan> context, CancellationToken stop)
    {
        await bench.Store.CommitAsync(new StoreChange { DeleteRoutes = [context.Plan.Route.Id] }, context.Lease, stop);
        await publisher.PublishAsync(stop);
    }

    public Task UndoAsync(StepContext<RoutePlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>Host ports of routes.</summary>
internal static class Ports
{
    /// <summary>Two listens collide where protocol and port are the same and the addresses are, or one of them is every address.</summary>
    public static bool Collide(Route a, Route b) => a.Id != b.Id && a.Protocol == b.Protocol && a.ListenPort == b.ListenPort
        && (a.ListenAddress == b.ListenAddress || a.ListenAddress == "0.0.0.0" || b.ListenAddress == "0.0.0.0");

    public static void CheckFree(IReadOnlyList<Route> all, Route route)
    {
        if (all.FirstOrDefault(r => Collide(r, route)) is { } other)
            throw new WeaveException(Fault.Conflict, $"{route.ListenAddress}:{route.ListenPort} is published already, for '{other.Environment}/{other.Weave?.Text ?? Weave.ActiveAlias}'.",
                $"Choose another port, or withdraw the other with `weave route delete {other.Environment} {other.Id}`.", holders: [other.Id.Text]);
    }

    /// <summary>The first port from <paramref name="from"/> (or the first of the range) on that no stored route uses; <see cref="Fault.Exhausted"/> where all are taken.</summary>
    public static int Free(WeavingOptions options, IReadOnlyList<Route> all, Route route, int from)
    {
        var count = options.LastPort - options.FirstPort + 1;
        var start = from >= options.FirstPort && from <= options.LastPort ? from - options.FirstPort : 0;
        for (var i = 0; i < count; i++)
        {
            var port = options.FirstPort + (start + i) % count;
            if (!all.Any(r => Collide(r, route with { ListenPort = port }))) return port;
        }
        throw new WeaveException(Fault.Exhausted, $"All ports from {options.FirstPort} to {options.LastPort} are published already.", "Name a port with --listen, or withdraw routes that are no longer needed.");
    }
}
