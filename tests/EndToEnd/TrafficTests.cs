namespace WeaveHypervisor.EndToEnd;

/// <summary>Published ports, from this host and from another one (a namespace with an address of its own), TCP and UDP, and the switch of the active weave.</summary>
[Collection("lab")]
public sealed class TrafficTests(LabWorld lab) : IAsyncLifetime
{
    private const string Far = LabWorld.Prefix + "-far", Here = "10.94.2.1", There = "10.94.2.2";

    /// <summary>Another host: its only way is this host's address.</summary>
    public async ValueTask InitializeAsync()
    {
        foreach (var command in new[]
        {
            $"netns add {Far}", $"link add {LabWorld.Prefix}v0 type veth peer name {LabWorld.Prefix}v1 netns {Far}", $"addr add {Here}/24 dev {LabWorld.Prefix}v0", $"link set {LabWorld.Prefix}v0 up",
            $"-n {Far} addr add {There}/24 dev {LabWorld.Prefix}v1", $"-n {Far} link set {LabWorld.Prefix}v1 up", $"-n {Far} route add default via {Here}",
        }) (await Shell.RunAsync("ip", command.Split(' '))).Succeeded("ip " + command);
    }

    public async ValueTask DisposeAsync()
    {
        await Shell.RunAsync("ip", "link", "delete", LabWorld.Prefix + "v0");
        await Shell.RunAsync("ip", "netns", "delete", Far);
    }

    private static async Task<string> FarGetAsync(int port) =>
        (await Shell.RunAsync("ip", "netns", "exec", Far, "curl", "-fsS", "--noproxy", "*", "--max-time", "20", $"http://{Here}:{port}/")).Succeeded("curl from the other host").Output;

    /// <summary>Sends a datagram to the guests' echo and gives what comes back; empty where nothing does. Datagrams may be lost, so it is asked three times.</summary>
    private static async Task<string> EchoAsync(string at, int port, string word, bool far)
    {
        string[] ask = ["bash", "-c", $"exec 3<>/dev/udp/{at}/{port}; for i in 1 2 3; do echo {word} >&3; timeout 3 dd bs=1400 count=1 status=none <&3 && exit; done"];
        return (await (far ? Shell.RunAsync("ip", ["netns", "exec", Far, .. ask]) : Shell.RunAsync("env", ask))).Output.Trim();
    }

    [Fact]
    public async Task A_published_port_works_from_this_host_and_from_others_by_tcp_and_udp_and_outlives_the_service()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
        var nonce = (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Machines["web"].Nonce;
        foreach (var weave in new[] { "main", "copy" })
        {
            int tcp = LabWorld.FreePort(), udp = LabWorld.FreePort();
            await lab.RouteAsync(weave, 80, "--listen", $"0.0.0.0:{tcp}");
            await lab.RouteAsync(weave, 7, "--udp", "--listen", $"0.0.0.0:{udp}");
            var near = await LabWorld.AnswersAsync($"http://127.0.0.1:{tcp}/");
            Assert.Equal(nonce, near.Machines["web"].Nonce);
            Assert.Contains(nonce, await FarGetAsync(tcp));
            Assert.Equal($"web {nonce} near", await EchoAsync("127.0.0.1", udp, "near", far: false));
            Assert.Equal($"web {nonce} far", await EchoAsync(Here, udp, "far", far: true));

            await lab.Service.KillAsync();
            Assert.Contains(nonce, await FarGetAsync(tcp));
            Assert.Equal($"web {nonce} alone", await EchoAsync(Here, udp, "alone", far: true));
            await lab.Service.StartAsync();
            Assert.Contains(nonce, await FarGetAsync(tcp));
        }
        var ids = System.Text.Json.JsonDocument.Parse(await lab.WeaveAsync("route", "list", LabWorld.Environment, "--json")).RootElement;
        foreach (var route in (ids.ValueKind == System.Text.Json.JsonValueKind.Array ? ids : ids.GetProperty("items")).EnumerateArray())
        {
            await lab.WeaveAsync("route", "delete", LabWorld.Environment, route.GetProperty("id").GetString()!);
            var port = route.GetProperty("listen").GetString()!.Split(':')[1];
            if (route.GetProperty("protocol").GetString() == "tcp")
                Assert.NotEqual(0, (await Shell.RunAsync("ip", "netns", "exec", Far, "curl", "-s", "--noproxy", "*", "--max-time", "5", $"http://{Here}:{port}/")).Exit);
        }
    }

    [Fact]
    public async Task A_published_port_is_for_those_whom_the_access_policy_of_its_weave_lets_in()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
        var port = LabWorld.FreePort();
        await lab.RouteAsync("active", 80, "--listen", $"0.0.0.0:{port}");
        var near = $"http://127.0.0.1:{port}/";
        async Task<(bool Near, bool Far)> WhoAsync() => (await LabWorld.GetsAsync(near), await LabWorld.GetsAsync($"http://{Here}:{port}/", "ip", "netns", "exec", Far));
        await LabWorld.AnswersAsync(near);
        Assert.Equal((true, true), await WhoAsync());
        await lab.SetRulesAsync("main", Policy("127.0.0.0/8"));
        Assert.Equal((true, false), await WhoAsync());
        await lab.SetRulesAsync("main", Policy($"{There}/32"));
        Assert.Equal((false, true), await WhoAsync());
        await lab.SetRulesAsync("main", Policy());
        Assert.Equal((false, false), await WhoAsync());
        // It is the weave's: the active address takes over that of the copy, which has none, and gives it back.
        await lab.WeaveAsync("activate", $"{LabWorld.Environment}/copy");
        Assert.Equal((true, true), await WhoAsync());
        await lab.SetRulesAsync("copy", Policy("10.94.0.0/16"));
        Assert.Equal((false, true), await WhoAsync());
        await lab.Service.KillAsync();
        Assert.Equal((false, true), await WhoAsync());
        await lab.Service.StartAsync();
        await lab.WeaveAsync("activate", $"{LabWorld.Environment}/main");
        Assert.Equal((false, false), await WhoAsync());
        await lab.WeaveAsync("rules", "clear", LabWorld.Environment);
        Assert.Equal((true, true), await WhoAsync());
    }

    private static string Policy(params string[] sources) => $$"""{ "groups": [], "access": { "sources": [{{string.Join(", ", sources.Select(s => $"\"{s}\""))}}] } }""";

    [Fact]
    public async Task Nothing_leaves_a_copy_unless_its_uplink_is_opened()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "closed");
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "opened", "--uplink", "nat");
        // Another host that says a word to whoever connects.
        using var listener = System.Diagnostics.Process.Start("ip", ["netns", "exec", Far, "busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "hello"]);
        try
        {
            Assert.Equal("hello", await ReachedAsync(LabWorld.MainWeb));
            Assert.Equal("", await ReachedAsync(await lab.UrlAsync("closed")));
            Assert.Equal("hello", await ReachedAsync(await lab.UrlAsync("opened")));
        }
        finally
        {
            listener.Kill();
        }
    }

    /// <summary>What the web machine hears when it connects to the other host; empty where it does not get there.</summary>
    private static async Task<string> ReachedAsync(string url)
    {
        await LabWorld.AnswersAsync(url);
        var answer = (await Shell.RunAsync("curl", "-fsS", "--noproxy", "*", "--max-time", "20", $"{url}reach/{There}/8080")).Succeeded("curl").Output;
        return System.Text.Json.JsonDocument.Parse(answer).RootElement.GetProperty("heard").GetString()!;
    }

    [Fact]
    public async Task The_active_address_moves_only_after_the_probe_and_moves_back()
    {
        await lab.AdoptedAsync();
        var active = $"http://{await lab.RouteAsync("active", 80)}/";
        var main = await LabWorld.OrderAsync(active);
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "next");
        var next = await lab.UrlAsync("next");
        await LabWorld.AnswersAsync(next);
        await LabWorld.OrderAsync(next);
        Assert.Equal(main.Orders, (await LabWorld.AskAsync(active)).Orders);

        var refused = await lab.TryWeaveAsync("activate", $"{LabWorld.Environment}/next", "--probe", "tcp://web:81", "--probe-timeout", "3");
        Assert.NotEqual(0, refused.Exit);
        Assert.Contains("81", refused.Error);
        Assert.True((await lab.ShowAsync("main")).Active);
        Assert.Equal(main.Orders, (await LabWorld.AskAsync(active)).Orders);

        await lab.WeaveAsync("activate", $"{LabWorld.Environment}/next", "--probe", "http://web:80/");
        Assert.True((await lab.ShowAsync("next")).Active);
        Assert.Equal(main.Orders + 1, (await LabWorld.AskAsync(active)).Orders);
        await lab.WeaveAsync("activate", $"{LabWorld.Environment}/main");
        Assert.Equal(main.Orders, (await LabWorld.AskAsync(active)).Orders);
        Assert.Equal(["main", "next", "main"], (await lab.TimelineAsync()).Activations.OrderBy(a => a.From).Select(a => a.Weave));
    }
}
