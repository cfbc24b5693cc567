using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;
using WeaveHypervisor.Weaving.Traffic;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>Routes and activation.</summary>
public sealed class TrafficTests
{
    private static readonly ProbeSpec Health = new(Web, 80, "/health", TimeSpan.FromSeconds(5));

    [Fact]
    public async Task A_route_leads_to_the_machine_of_the_weave_that_it_names()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        var (main, past) = (await world.RouteAsync("main"), await world.RouteAsync("past", machine: "db"));
        Assert.Equal(("127.0.0.1:20000", "127.0.0.1:20001"), (main.Connect, past.Connect));
        Assert.Equal((await world.AskAsync("main", Web))!.Uuid, world.Host.AskPort(20000)!.Uuid);
        Assert.Equal((await world.AskAsync("past", Db))!.Uuid, world.Host.AskPort(20001)!.Uuid);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_route_without_a_weave_follows_the_active_one_and_others_stay()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.RouteAsync(null, listen: 8080);
        await world.RouteAsync("active", listen: 8081);
        await world.RouteAsync("main", listen: 8082);
        await world.ActivateAsync("past");
        var (main, past) = ((await world.AskAsync("main", Web))!.Uuid, (await world.AskAsync("past", Web))!.Uuid);
        Assert.Equal([past, past, main], new[] { 8080, 8081, 8082 }.Select(p => world.Host.AskPort(p)!.Uuid));
        var views = await world.Weaver.RoutesAsync(Lab, null, default);
        Assert.Equal([true, true, false], views.Select(v => v.FollowsActive));
        Assert.Equal(["past", "past", "main"], views.Select(v => v.Weave.Text));
        Assert.Equal(2, (await world.Weaver.RoutesAsync(Lab, WeaveId.Parse("active"), default)).Count);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_route_to_a_time_leads_to_the_newest_weave_that_was_made_of_what_there_was_then()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        var first = world.Now;
        world.Clock.Advance(TimeSpan.FromMinutes(10));
        await world.SnapshotAsync();
        var second = world.Now;
        world.Clock.Advance(TimeSpan.FromMinutes(10));
        var error = await world.RefusedAsync(Fault.NotFound, w => w.PublishRouteAsync(RouteOf(null) with { At = first }, Me, default));
        var snapshots = await world.SnapshotsAsync();
        Assert.Contains($"weave create lab --snapshot {snapshots[0].Id}", error.NextStep, StringComparison.Ordinal);
        await world.CreateAsync("old", snapshot: snapshots[0].Id);
        await world.CreateAsync("older", snapshot: snapshots[0].Id);
        await world.CreateAsync("new", snapshot: snapshots[1].Id);
        async Task<Guid> AskAsync(DateTimeOffset at, int port)
        {
            await world.SucceedAsync(w => w.PublishRouteAsync(RouteOf(null, listen: port) with { At = at }, Me, default), WeavingJson.Default.RouteResult);
            return world.Host.AskPort(port)!.Uuid;
        }
        var (older, latest) = ((await world.AskAsync("older", Web))!.Uuid, (await world.AskAsync("new", Web))!.Uuid);
        Assert.Equal((older, older, latest, latest), (await AskAsync(first, 8080), await AskAsync(first.AddMinutes(9), 8081), await AskAsync(second, 8082), await AskAsync(world.Now, 8083)));
        // It leads there, whichever is active, and made weaves later.
        await world.ActivateAsync("old");
        await world.CreateAsync("oldest", snapshot: snapshots[0].Id);
        Assert.Equal(older, world.Host.AskPort(8080)!.Uuid);
        Assert.All(await world.Weaver.RoutesAsync(Lab, null, default), r => Assert.False(r.FollowsActive));
        await world.RefusedAsync(Fault.NotFound, w => w.PublishRouteAsync(RouteOf(null) with { At = first.AddDays(-1) }, Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.PublishRouteAsync(RouteOf(null) with { At = world.Now.AddDays(1) }, Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.PublishRouteAsync(RouteOf("old") with { At = first }, Me, default));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_withdrawn_route_is_closed()
    {
        await using var world = await WithLabAsync();
        var route = await world.RouteAsync(null, listen: 8080);
        await world.SucceedAsync(w => w.WithdrawRouteAsync(Lab, route.Route, Me, default), WeavingJson.Default.RouteResult);
        Assert.Null(world.Host.AskPort(8080));
        await world.RefusedAsync(Fault.NotFound, w => w.WithdrawRouteAsync(Lab, route.Route, Me, default));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_port_is_published_once_and_the_refusal_names_the_holder()
    {
        await using var world = await WithLabAsync();
        var route = await world.RouteAsync(null, listen: 8080);
        Assert.Equal([route.Route.Text], (await world.RefusedAsync(Fault.Conflict, w => w.PublishRouteAsync(RouteOf("main", listen: 8080), Me, default))).Holders);
        await world.RefusedAsync(Fault.Conflict, w => w.PublishRouteAsync(RouteOf("main", listen: 8080, address: "0.0.0.0"), Me, default));
        await world.RunAsync(w => w.PublishRouteAsync(RouteOf("main", listen: 8080, address: "192.0.2.1"), Me, default));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_named_port_on_which_a_program_listens_is_refused_and_a_chosen_one_moves_on()
    {
        await using var world = await WithLabAsync();
        world.Host.ForeignListeners.UnionWith(["tcp 8080", "tcp 20000", "tcp 20001"]);
        var error = await world.UndoneAsync(w => w.PublishRouteAsync(RouteOf(null, listen: 8080), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Empty(await world.Store.ListRoutesAsync(null, default));
        Assert.Equal("127.0.0.1:20002", (await world.RouteAsync(null)).Connect);
        Assert.NotNull(world.Host.AskPort(20002));
        await world.CheckAsync();
    }

    [Fact]
    public async Task Ports_to_choose_from_run_out_with_a_next_step()
    {
        await using var world = new World(new() { FirstPort = 20000, LastPort = 20001 }).WithMachines();
        await world.AdoptAsync();
        await world.RouteAsync(null);
        await world.RouteAsync(null);
        await world.RefusedAsync(Fault.Exhausted, w => w.PublishRouteAsync(RouteOf(null), Me, default));
        await world.RouteAsync(null, listen: 8080);
    }

    [Theory]
    [InlineData("127.1")]
    [InlineData("2130706433")]
    [InlineData("0177.0.0.1")]
    [InlineData("0x7f.0.0.1")]
    [InlineData("169.254.169.254")]
    [InlineData("224.0.0.1")]
    [InlineData("255.255.255.255")]
    [InlineData("::1")]
    [InlineData("localhost")]
    [InlineData("127.0.0.1 ")]
    [InlineData("")]
    public async Task A_listen_address_has_one_form(string address)
    {
        await using var world = await WithLabAsync();
        await world.RefusedAsync(Fault.InvalidRequest, w => w.PublishRouteAsync(RouteOf(null, address: address), Me, default));
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(65536, null)]
    [InlineData(-1, null)]
    [InlineData(80, 0)]
    [InlineData(80, 65536)]
    public async Task Ports_are_1_to_65535(int target, int? listen)
    {
        await using var world = await WithLabAsync();
        await world.RefusedAsync(Fault.InvalidRequest, w => w.PublishRouteAsync(RouteOf(null, target, listen), Me, default));
    }

    [Fact]
    public async Task Where_there_are_several_machines_one_must_be_named()
    {
        await using var world = await WithLabAsync();
        Assert.Contains("web, db", (await world.RefusedAsync(Fault.InvalidRequest, w => w.PublishRouteAsync(RouteOf(null, machine: null), Me, default))).NextStep);
    }

    [Fact]
    public async Task Activation_moves_the_published_ports_and_is_recorded()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.RouteAsync(null, listen: 8080);
        var result = await world.ActivateAsync("past", Health);
        Assert.Equal(("past", "main"), (result.Active.Text, result.Previous!.Value.Text));
        var environment = await world.EnvironmentAsync();
        Assert.Equal(("past", "main"), (environment.ActiveWeave.Text, environment.PreviousActive!.Value.Text));
        Assert.Equal(["main", "past"], (await world.Store.ListActivationsAsync(Lab, default)).Select(a => a.Weave.Text));
        Assert.Equal((await world.AskAsync("past", Web))!.Uuid, world.Host.AskPort(8080)!.Uuid);
        await world.ActivateAsync("main");
        Assert.Equal((await world.AskAsync("main", Web))!.Uuid, world.Host.AskPort(8080)!.Uuid);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_failed_probe_changes_nothing()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.CreateAsync("next");
        await world.RouteAsync(null, listen: 8080);
        await world.ActivateAsync("past");
        world.Probe = (address, probe) => $"HTTP status 503 of {address}{probe.HttpPath}";
        var error = await world.UndoneAsync(w => w.ActivateAsync(new(Lab, WeaveId.Parse("next"), Health), Me, default));
        Assert.Equal(Fault.Unavailable, error.Fault);
        Assert.Contains("503", error.Message);
        Assert.Contains("still 'past'", error.Message);
        var environment = await world.EnvironmentAsync();
        Assert.Equal(("past", "main"), (environment.ActiveWeave.Text, environment.PreviousActive!.Value.Text));
        Assert.Equal((await world.AskAsync("past", Web))!.Uuid, world.Host.AskPort(8080)!.Uuid);
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_probe_goes_to_the_weave_that_is_to_become_active()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        var outer = (await world.WeaveAsync("past")).Addresses.Single(a => a.Machine == Web).Outer;
        var probed = "";
        world.Probe = (address, _) => { probed = address; return null; };
        await world.ActivateAsync("past", Health);
        Assert.Equal(outer, probed);
    }

    [Fact]
    public async Task Only_a_running_weave_is_activated()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past", start: StartMode.None);
        var error = await world.UndoneAsync(w => w.ActivateAsync(new(Lab, WeaveId.Parse("past"), null), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("weave start lab/past", error.NextStep);
        Assert.Equal("main", (await world.EnvironmentAsync()).ActiveWeave.Text);
    }

    [Fact]
    public async Task Probes_that_make_no_sense_are_refused_at_once()
    {
        await using var world = await WithLabAsync();
        Task Refused(ProbeSpec probe, Fault fault = Fault.InvalidRequest) => world.RefusedAsync(fault, w => w.ActivateAsync(new(Lab, WeaveId.Parse("main"), probe), Me, default));
        await Refused(Health with { Port = 0 });
        await Refused(Health with { HttpPath = "health" });
        await Refused(Health with { HttpPath = "/a b" });
        await Refused(Health with { HttpPath = "/a\r\nHost: x" });
        await Refused(Health with { Timeout = TimeSpan.Zero });
        await Refused(Health with { Timeout = TimeSpan.FromMinutes(11) });
        await Refused(Health with { Machine = MachineName.Parse("ghost") }, Fault.NotFound);
    }

    [Fact]
    public async Task Activating_what_is_active_is_no_activation()
    {
        await using var world = await WithLabAsync();
        await world.ActivateAsync("main");
        Assert.Null((await world.EnvironmentAsync()).PreviousActive);
        Assert.Single(await world.Store.ListActivationsAsync(Lab, default));
    }

    [Fact]
    public async Task Routes_of_several_environments_are_published_together()
    {
        await using var world = await WithLabAsync();
        world.Host.AddUserMachine("lone", "10.20.0.12");
        await world.RunAsync(w => w.AdoptAsync(AdoptionOf("other", "lone"), Me, default));
        await world.RouteAsync(null);
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(w => w.PublishRouteAsync(new(EnvironmentId.Parse("other"), null, null, 80, RouteProtocol.Tcp, null, null), Me, default))).State);
        Assert.Equal(["web", "lone"], new[] { 20000, 20001 }.Select(p => world.Host.AskPort(p)!.Machine.Text));
        await world.CheckAsync();
    }

    /// <summary>Environments have leases of their own: another may take the port between the look and the record.</summary>
    [Fact]
    public async Task A_chosen_port_that_another_environment_takes_meanwhile_moves_on()
    {
        await using var world = await WithLabAsync();
        world.Host.AddUserMachine("lone", "10.20.0.12");
        var other = EnvironmentId.Parse("other");
        await world.RunAsync(w => w.AdoptAsync(AdoptionOf("other", "lone"), Me, default));
        var taken = false;
        world.Calls.Arm(act: async (_, boundary, _) =>
        {
            if (taken || boundary != "store.CommitAsync before") return;
            taken = true;
            await world.Weaver.PublishRouteAsync(new(other, null, null, 80, RouteProtocol.Tcp, null, 20000), Me, default);
            Assert.True(await world.Process.RunAsync(other));
        });
        Assert.Equal("127.0.0.1:20001", (await world.RouteAsync(null)).Connect);
        Assert.Equal("lone", world.Host.AskPort(20000)!.Machine.Text);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_real_probe_needs_an_answer_in_time()
    {
        var prober = new NetworkProber(TimeProvider.System);
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var port = ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
        Assert.Null(await prober.ProbeAsync("127.0.0.1", new(Web, port, null, TimeSpan.FromSeconds(20)), default));
        listener.Stop();
        Assert.Contains("within", await prober.ProbeAsync("127.0.0.1", new(Web, port, null, TimeSpan.FromMilliseconds(300)), default));
        using var stop = new CancellationTokenSource();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => prober.ProbeAsync("127.0.0.1", new(Web, port, null, TimeSpan.FromMinutes(5)), stop.Token));
    }
}
