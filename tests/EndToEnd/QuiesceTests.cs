using System.Diagnostics;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Freezing by the guest agent of db, the only one of the lab, through the command, and the death of the service while the guest is frozen.</summary>
[Collection("lab")]
public sealed class QuiesceTests(LabWorld lab, ITestOutputHelper output)
{
    private const string Db = $"http://{LabWorld.Subnet}.13/";
    private static readonly HttpClient Http = new(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(60) };

    [Fact]
    public async Task A_guest_that_is_frozen_when_the_service_dies_is_thawed_by_the_next()
    {
        await lab.AdoptedAsync();
        try
        {
            await Shell.UntilAsync("the agent answers", async () => (await lab.WeaveAsync("env", "agents", LabWorld.Environment)).Contains("db\tanswers", StringComparison.Ordinal));
            Assert.Contains("agent of web\tnoChannel", await lab.WeaveAsync("env", "show", LabWorld.Environment), StringComparison.Ordinal);
            Assert.Contains("lab/db\tIts guest agent answers.", (await lab.TryWeaveAsync("doctor")).Output, StringComparison.Ordinal);

            var quiet = await lab.TryWeaveAsync("snapshot", LabWorld.Environment, "--disk-only", "--quiesce");
            Assert.Equal(0, quiet.Exit);
            output.WriteLine(quiet.Output);
            Assert.Contains("crash consistency", quiet.Output, StringComparison.Ordinal);
            Assert.Contains("db: frozen for", quiet.Output, StringComparison.Ordinal);
            Assert.Contains("web: not frozen: the machine has no channel for a guest agent", quiet.Output, StringComparison.Ordinal);
            Assert.Contains("warning: not every running machine could be frozen", quiet.Error, StringComparison.Ordinal);
            await LabWorld.OrderAsync(LabWorld.MainWeb);

            // An agent that freezes at once and takes its time to say so: the service dies while no order can be written.
            await AgentAsync("odd/hold");
            await Shell.UntilAsync("the odd agent answers", async () => (await lab.WeaveAsync("env", "agents", LabWorld.Environment)).Contains("db\tanswers", StringComparison.Ordinal));
            await lab.TryWeaveAsync("snapshot", LabWorld.Environment, "--disk-only", "--quiesce", "--no-wait");
            await Shell.UntilAsync("db is asked to freeze", () => Task.FromResult(Marks().Any()));
            await Shell.UntilAsync("no order can be written any more", async () => !await CanOrderAsync());
            await lab.Service.KillAsync();
            Assert.Single(Marks());
            // It waits till the guest is thawed, whenever that is.
            var order = Http.PostAsync(new Uri(Db + "order"), null);
            var clock = Stopwatch.StartNew();
            await lab.Service.StartAsync();
            using var answer = await order;
            answer.EnsureSuccessStatusCode();
            output.WriteLine($"an order was written {clock.Elapsed.TotalSeconds:0.0} s after the new service was started");
            await Shell.UntilAsync("nothing is marked as frozen, and the snapshot is undone", async () => !Marks().Any() && (await lab.OperationsAsync())[0].State == "undone");
            await LabWorld.OrderAsync(LabWorld.MainWeb);
        }
        finally
        {
            await AgentAsync("end");
            await AgentAsync("start");
        }
        await lab.WeaveAsync("env", "release", LabWorld.Environment, "--force");
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
    }

    private static async Task<bool> CanOrderAsync()
    {
        using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            using var answer = await Http.PostAsync(new Uri(Db + "order"), null, soon.Token);
            return answer.IsSuccessStatusCode;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static IEnumerable<string> Marks() => Directory.Exists(Path.Combine(LabWorld.Pool, "frozen")) ? Directory.EnumerateFiles(Path.Combine(LabWorld.Pool, "frozen")) : [];

    private static async Task AgentAsync(string action)
    {
        using var answer = await Http.PostAsync(new Uri(Db + "agent/" + action), null);
        answer.EnsureSuccessStatusCode();
    }
}
