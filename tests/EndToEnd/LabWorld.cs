using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>What the lab's web machine answers: orders on the data volume, and per machine what only memory knows.</summary>
internal sealed record LabAnswer(int Orders, IReadOnlyDictionary<string, (string Nonce, int Ticks)> Machines)
{
    public string Nonces => string.Join(' ', Machines.OrderBy(m => m.Key, StringComparer.Ordinal).Select(m => m.Value.Nonce));
    public int Ticks => Machines["db"].Ticks;
}

/// <summary>
/// Three real machines on libvirt, and a service of its own that is driven through the `weave` command only. All names start with <see cref="Prefix"/>; what an
/// interrupted run has left under that name is removed first, and all of it after the last test.
/// </summary>
public sealed class LabWorld : IAsyncLifetime
{
    public const string Prefix = "we2e", Subnet = "10.94.1", Environment = "lab";
    private const string Folder = "/var/lib/we2e";
    private static readonly HttpClient Http = new(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(20) };

    /// <summary>The host before the lab.</summary>
    internal HostFootprint Empty { get; private set; } = null!;
    internal static string State => Path.Combine(Folder, "state");
    internal static string Pool => Path.Combine(Folder, "pool");
    /// <summary>A file system of 560 MiB, in memory, for a pool that runs full.</summary>
    internal static string SmallPool => Path.Combine(Folder, "small");
    internal static string LabFolder => Path.Combine(Folder, "lab");
    internal static string MainWeb => $"http://{Subnet}.11/";
    internal ServiceProcess Service { get; private set; } = null!;
    /// <summary>The host with the lab running and nothing adopted.</summary>
    internal HostFootprint WithLab { get; private set; } = null!;

    internal static string Need(string variable) => System.Environment.GetEnvironmentVariable(variable) ?? throw new InvalidOperationException($"{variable} is not set; start these tests by ./run-tests.");

    public async ValueTask InitializeAsync()
    {
        await SweepAsync();
        Directory.CreateDirectory(Folder);
        File.SetUnixFileMode(Folder, (UnixFileMode)Convert.ToInt32("711", 8));
        // Mounted before the machines start: libvirt gives each QEMU a mount namespace of its own, which later mounts do not reach everywhere.
        Directory.CreateDirectory(SmallPool);
        (await Shell.RunAsync("mount", "-t", "tmpfs", "-o", "size=560m,mode=711", Prefix, SmallPool)).Succeeded("mount");
        await HaveFirewallAsync();
        Empty = await HostFootprint.TakeAsync(Pool);
        await LabAsync("up");
        WithLab = await HostFootprint.TakeAsync(Pool);
        Service = new ServiceProcess(Need("WEAVE_BIN"), State, Pool, Prefix, FreePort());
        await Service.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        IReadOnlyList<string> left;
        try
        {
            // A test that failed may have left it dead.
            await Service.StartAsync();
            if (await EnvironmentsAsync() is [_, ..]) await WeaveAsync("env", "release", Environment, "--force");
        }
        finally
        {
            await Service.DisposeAsync();
            await LabAsync("down");
            left = (await HostFootprint.TakeAsync(Pool)).NewSince(Empty);
            await SweepAsync();
        }
        Assert.Empty(left);
    }

    /// <summary>libvirtd makes its own chains of the host's firewall with the first network after its start, and keeps them: they are no trace of the lab.</summary>
    private static async Task HaveFirewallAsync()
    {
        var file = Path.Combine(Folder, "first.xml");
        await File.WriteAllTextAsync(file, $"<network><name>{Prefix}-first</name><bridge name='{Prefix}-first'/></network>");
        (await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "net-create", file)).Succeeded("net-create");
        (await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "net-destroy", $"{Prefix}-first")).Succeeded("net-destroy");
    }

    /// <summary>Runs the lab's script, also with other options.</summary>
    internal static async Task LabAsync(string verb, params string[] more) =>
        (await Shell.RunAsync(Need("WEAVE_LAB"), [verb, "--prefix", Prefix, "--network", Prefix, "--subnet", Subnet, "--dir", LabFolder, "--guest", Need("WEAVE_LAB_GUEST"), .. more])).Succeeded("lab " + verb);

    /// <summary>Runs the command; its exit code is the caller's to judge.</summary>
    internal Task<Shell.Result> TryWeaveAsync(params string[] arguments) => Shell.RunAsync(Service.Program, arguments, Service.ClientSettings, TimeSpan.FromMinutes(5));

    /// <summary>Runs the command; an exception with all that it said where it does not end with 0.</summary>
    internal async Task<string> WeaveAsync(params string[] arguments) => (await TryWeaveAsync(arguments)).Succeeded("weave " + string.Join(' ', arguments)).Output;

    internal async Task<T> WeaveJsonAsync<T>(params string[] arguments) => Read<T>(await WeaveAsync([.. arguments, "--json"]));

    internal static T Read<T>(string json) => (T)JsonSerializer.Deserialize(json, V1Json.Default.GetTypeInfo(typeof(T))!)!;

    internal async Task<IReadOnlyList<string>> EnvironmentsAsync() => Items(await WeaveAsync("env", "list", "--json")).Select(e => e.GetProperty("name").GetString()!).ToList();

    internal async Task<IReadOnlyList<string>> WeavesAsync() => Items(await WeaveAsync("list", Environment, "--json")).Select(e => e.GetProperty("id").GetString()!).ToList();

    internal Task<WeaveView> ShowAsync(string weave) => WeaveJsonAsync<WeaveView>("show", $"{Environment}/{weave}");

    internal Task<TimelineView> TimelineAsync() => WeaveJsonAsync<TimelineView>("timeline", Environment);

    /// <summary>Newest first.</summary>
    internal async Task<IReadOnlyList<OperationView>> OperationsAsync() => [.. Items(await WeaveAsync("op", "list", "--json")).Select(o => Read<OperationView>(o.GetRawText()))];

    private static List<JsonElement> Items(string json)
    {
        var root = JsonDocument.Parse(json).RootElement;
        return [.. (root.ValueKind == JsonValueKind.Array ? root : root.GetProperty("items")).EnumerateArray()];
    }

    /// <summary>No environment is managed, the lab runs as it was made, and the service answers.</summary>
    internal async Task FreshAsync()
    {
        await Service.StartAsync();
        if ((await EnvironmentsAsync()).Contains(Environment)) await WeaveAsync("env", "release", Environment, "--force");
        await LabAsync("up");
    }

    internal static string[] AdoptArguments => ["env", "adopt", Environment, "--domain", $"web={Prefix}-web", "--domain", $"app={Prefix}-app", "--domain", $"db={Prefix}-db"];

    /// <summary><see cref="FreshAsync"/>, and the lab is adopted.</summary>
    internal async Task AdoptedAsync()
    {
        await FreshAsync();
        await WeaveAsync(AdoptArguments);
    }

    /// <summary>Publishes a port of the weave's web machine; where to connect to.</summary>
    internal async Task<string> RouteAsync(string weave, int port, params string[] more)
    {
        var operation = await WeaveJsonAsync<OperationView>(["route", $"{Environment}/{weave}", port.ToString(CultureInfo.InvariantCulture), "--machine", "web", .. more]);
        return operation.Result!.Value.GetProperty("connect").GetString()!;
    }

    /// <summary>Somebody is answered at an address: this host, or whoever the words before the command make it.</summary>
    internal static async Task<bool> GetsAsync(string url, params string[] by)
    {
        // A port that is shut takes packets and says nothing; one that is open answers in a tenth of that.
        string[] line = [.. by, "curl", "-fs", "--noproxy", "*", "--connect-timeout", "2", "--max-time", "10", url];
        return (await Shell.RunAsync(line[0], line[1..])).Exit == 0;
    }

    /// <summary>Gives a weave these rules in place of all that it has.</summary>
    internal async Task SetRulesAsync(string weave, string rules) => await WeaveAsync("rules", "set", Environment, "--weave", weave, "--file", RulesFile(rules));

    /// <summary>A file with these rules; it is overwritten by the next.</summary>
    internal static string RulesFile(string rules)
    {
        var file = Path.Combine(Folder, "rules.json");
        File.WriteAllText(file, rules);
        return file;
    }

    /// <summary>The URL of the weave's web machine, published for it.</summary>
    internal async Task<string> UrlAsync(string weave) => $"http://{await RouteAsync(weave, 80)}/";

    internal static async Task<LabAnswer> AskAsync(string url, bool order = false)
    {
        using var answer = order ? await Http.PostAsync(new Uri(url + "order"), null) : await Http.GetAsync(new Uri(url));
        var text = await answer.Content.ReadAsStringAsync();
        JsonElement root;
        try
        {
            root = JsonDocument.Parse(text).RootElement;
        }
        catch (JsonException e)
        {
            // A tier that has no answer yet from the one behind it leaves a gap.
            throw new HttpRequestException($"{url} answers {text}", e);
        }
        if (!root.TryGetProperty("orders", out var orders)) throw new HttpRequestException($"{url} answers {root}");
        return new(orders.GetInt32(), root.GetProperty("machines").EnumerateObject().ToDictionary(m => m.Name, m => (m.Value.GetProperty("nonce").GetString()!, m.Value.GetProperty("ticks").GetInt32())));
    }

    internal static Task<LabAnswer> OrderAsync(string url) => AskAsync(url, order: true);

    /// <summary>The first answer that the weave gives.</summary>
    internal static async Task<LabAnswer> AnswersAsync(string url)
    {
        LabAnswer? answer = null;
        await Shell.UntilAsync($"{url} answers", async () => (answer = await AskAsync(url)) is not null);
        return answer!;
    }

    internal static int FreePort()
    {
        using var socket = new TcpListener(IPAddress.Loopback, 0);
        socket.Start();
        return ((IPEndPoint)socket.LocalEndpoint).Port;
    }

    /// <summary>Removes everything of our names from this host.</summary>
    private static async Task SweepAsync()
    {
        static Task<Shell.Result> Virsh(params string[] a) => Shell.RunAsync("virsh", ["-q", "-c", "qemu:///system", .. a]);
        static IEnumerable<string> Ours(Shell.Result r) => r.Output.Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith(Prefix, StringComparison.Ordinal));
        foreach (var domain in Ours(await Virsh("list", "--all", "--name")))
        {
            await Virsh("destroy", domain);
            await Virsh("undefine", domain, "--nvram");
        }
        foreach (var network in Ours(await Virsh("net-list", "--all", "--name")))
        {
            await Virsh("net-destroy", network);
            await Virsh("net-undefine", network);
        }
        await SweepHostAsync(Prefix);
        if (Directory.Exists(SmallPool)) await Shell.RunAsync("umount", "-q", SmallPool);
        if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
    }

    /// <summary>Removes the namespaces and tables of a prefix, with the processes in them.</summary>
    internal static async Task SweepHostAsync(string prefix)
    {
        foreach (var name in (await Shell.RunAsync("ip", "netns", "list")).Output.Split('\n').Select(l => l.Trim().Split(' ')[0]).Where(n => n.StartsWith(prefix, StringComparison.Ordinal)))
        {
            foreach (var pid in (await Shell.RunAsync("ip", "netns", "pids", name)).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)) await Shell.RunAsync("kill", pid.Trim());
            await Shell.RunAsync("ip", "netns", "delete", name);
        }
        foreach (var table in (await Shell.RunAsync("nft", "list", "tables")).Output.Split('\n').Select(l => l.Split(' ')).Where(w => w.Length == 3 && w[2].StartsWith(prefix, StringComparison.Ordinal)))
            await Shell.RunAsync("nft", "delete", "table", table[1], table[2]);
    }
}

[CollectionDefinition("lab")]
public sealed class LabCollection : ICollectionFixture<LabWorld>;
