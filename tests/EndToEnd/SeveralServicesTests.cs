using System.Diagnostics;
using System.Text.Json;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance.Stores;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Two services on one PostgreSQL and one host: they share its work, and what one leaves behind when it is killed the other brings to its end.</summary>
[Collection("lab")]
public sealed class SeveralServicesTests(LabWorld lab, ITestOutputHelper output)
{
    [Fact]
    public async Task Two_services_do_everything_once_and_one_goes_on_where_the_other_was_killed()
    {
        await lab.FreshAsync();
        await lab.Service.DisposeAsync();
        using var server = new PostgresServer(durable: true);
        server.Sql("postgres", "CREATE DATABASE weave");
        var settings = new Dictionary<string, string> { ["WEAVE_Storage__Postgres"] = server.Connection("weave"), ["WEAVE_Weaving__Host"] = "alpha" };
        ServiceProcess New(string name) => new(lab.Service.Program, LabWorld.State + name, LabWorld.Pool, LabWorld.Prefix, LabWorld.FreePort());
        await using ServiceProcess one = New("-one"), two = New("-two");
        await one.StartAsync(more: settings);
        await two.StartAsync(more: settings);
        // The first token is one for both; the service that was started first has it.
        var token = one.ClientSettings["WEAVE_TOKEN_FILE"];
        async Task<string> Ask(ServiceProcess service, params string[] arguments) =>
            (await Shell.RunAsync(service.Program, arguments, new Dictionary<string, string>(service.ClientSettings) { ["WEAVE_TOKEN_FILE"] = token }, TimeSpan.FromMinutes(5))).Succeeded(string.Join(' ', arguments)).Output;
        async Task<OperationView> Begin(ServiceProcess service, params string[] arguments) => LabWorld.Read<OperationView>(await Ask(service, [.. arguments, "--no-wait", "--json"]));
        async Task<OperationView> Ended(ServiceProcess service, OperationView operation)
        {
            await Shell.UntilAsync($"{operation.Kind} {operation.Subject} has ended", async () => (operation = LabWorld.Read<OperationView>(await Ask(service, "op", "show", operation.Id, "--json"))).IsEnded(), TimeSpan.FromMinutes(3));
            Assert.Equal("succeeded", operation.State);
            return operation;
        }
        int Attempts() => server.Sql("weave", "SELECT \"Document\" FROM weave.operations").Split('\n')
            .SelectMany(d => JsonDocument.Parse(d).RootElement.GetProperty("steps").EnumerateArray().Select(s => s.TryGetProperty("attempts", out var a) ? a.GetInt32() : 0)).Max();

        await Ask(one, LabWorld.AdoptArguments);
        await Ended(one, await Begin(two, "snapshot", LabWorld.Environment, "--disk-only"));
        var snapshot = LabWorld.Read<TimelineView>(await Ask(one, "timeline", LabWorld.Environment, "--json")).Snapshots.Single().Id;
        var first = await Begin(one, "create", LabWorld.Environment, "--snapshot", snapshot, "--id", "first", "--no-start");
        var second = await Begin(two, "create", LabWorld.Environment, "--snapshot", snapshot, "--id", "second", "--no-start");
        await Ended(two, first);
        await Ended(one, second);
        Assert.Equal(1, Attempts());
        Assert.Equal(3, (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count);

        // Alone while it dies, so that the wake-up is its own.
        await one.KillAsync();
        await two.DisposeAsync();
        await one.StartAsync(killAt: "weave.create/fence/after", more: settings);
        var clock = Stopwatch.StartNew();
        var copy = await Begin(one, "create", LabWorld.Environment, "--snapshot", snapshot, "--id", "copy", "--boot");
        await one.EndedAsync();
        await two.StartAsync(more: settings);
        copy = await Ended(two, copy);
        Assert.True(copy.Resumptions >= 1, "the operation says that it was taken up again");
        Assert.True(clock.Elapsed >= TimeSpan.FromSeconds(20), "the other waits until the lease has run out");
        output.WriteLine($"ended by the other {clock.Elapsed.TotalSeconds:0.0} s after it was begun");
        Assert.Equal(6, (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count);

        await one.StartAsync(more: settings);
        await Ended(two, await Begin(one, "env", "release", LabWorld.Environment, "--force"));
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
    }
}
