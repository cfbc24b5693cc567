using System.Net;
using System.Net.Sockets;
using System.Text;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>What security groups do with connections that are older than the rules, with frames that no honest machine sends, and with what must always pass.</summary>
public sealed class GroupPacketTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private static SecurityGroup Group(string name, string machines, params string[] rules) => GroupTextTests.Group(name, machines, rules);

    [Fact]
    public async Task A_connection_goes_on_under_new_rules_that_allow_it_and_stops_under_those_that_forbid_it()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        using var near = await TalkAsync(world, "web", FenceWorld.AddressOf("db"), 5432);
        using var far = await TalkAsync(world, "web", FenceWorld.AddressOf("far"), 5432);
        using var outside = await TalkAsync(world, "host", world.OuterOf("db"), 80);
        using var away = await TalkAsync(world, "web", world.WorldAddress, 80);
        Socket[] all = [near, far, outside, away];

        await world.MakeAsync(Stop, Group("data", "db far", "in tcp/5432 from front", "in tcp/80 from outside"), Group("front", "web", "out tcp/5432 to data", "out tcp/80 to outside"));
        foreach (var socket in all) await AnswersAsync(socket);
        // Both may make connections, and neither may be the receiver of one: no segment of theirs passes in either direction. To an end outside the connection could be made the other way round.
        await world.MakeAsync(Stop, Group("all", "web db far", "out any to any"));
        await SilentAsync(world, near, far);
        foreach (var socket in new[] { outside, away }) await AnswersAsync(socket);
        await world.MakeAsync(Stop, Group("all", "web db far", "in udp from any", "out udp to any"));
        await SilentAsync(world, all);
        // What was sent meanwhile is sent again by the senders' own TCP.
        await world.MakeAsync(Stop);
        foreach (var socket in all) await AnswersAsync(socket);
    }

    [Fact]
    public async Task A_datagram_is_answered_only_by_whom_it_was_sent_to_and_not_after_a_change_that_forbids_it()
    {
        SecurityGroup[] groups = [Group("front", "web", "out udp/514 to any")];
        await using var world = await FenceWorld.NewAsync(Stop, groups);
        using var web = world.Wire("web");
        using var free = world.Wire("free");
        using var db = world.Wire("db");
        var seen = new Hearing(web);
        byte[] Answer(string from, int number) => Frames.Ethernet(FenceWorld.Mac(from), FenceWorld.Mac("web"), 0x800, Frames.Ip(FenceWorld.AddressOf("db"), FenceWorld.AddressOf("web"), 17, Frames.Udp(514, 40000, number)));
        db.Send(Answer("db", 101));
        web.Send(Frames.Ethernet(FenceWorld.Mac("web"), FenceWorld.Mac("db"), 0x800, Frames.Ip(FenceWorld.AddressOf("web"), FenceWorld.AddressOf("db"), 17, Frames.Udp(40000, 514, 102))));
        await new Hearing(db).HearsAsync(102);
        // Another machine that writes the same addresses is not the one that was asked.
        free.Send(Answer("free", 103));
        db.Send(Answer("db", 104));
        await seen.HearsAsync(104);
        await world.MakeAsync(Stop, groups);
        db.Send(Answer("db", 105));
        await seen.BarrierAsync(db, "db", "web");
        // Its own datagram it hears, too.
        Assert.Equal([102, 104], seen.Numbers.Where(n => n is > 100 and < 200).Distinct().Order());
    }

    private static string Db => FenceWorld.AddressOf("db");
    private static byte[] Segment(string sender, string source, int port, int flags, int number) => Frames.Ethernet(FenceWorld.Mac(sender), FenceWorld.Mac("db"), 0x800, Frames.Ip(source, Db, 6, Frames.Tcp(40001, port, flags, number)));
    private static byte[] To(string receiver, string sender, int type, byte[] payload) => Frames.Ethernet(FenceWorld.Mac(sender), FenceWorld.Mac(receiver), type, payload);

    /// <summary>Frames to `db`, which web may reach at port 5432, 10.1.0.77 at port 443, and which may make no connection but to port 1 of web; and to `free`, which is in no group.</summary>
    private static readonly (string What, string Sender, string Receiver, bool Passes, Func<int, byte[]> Frame)[] OddFrames =
    [
        ("the beginning of an allowed connection", "web", "db", true, n => Segment("web", FenceWorld.AddressOf("web"), 5432, Frames.Syn, n)),
        ("the same from an address that is not the member's own", "web", "db", true, n => Segment("web", "10.1.0.200", 5432, Frames.Syn, n)),
        ("the same from another machine with the member's addresses", "free", "db", false, n => Frames.Ethernet(FenceWorld.Mac("web"), FenceWorld.Mac("db"), 0x800, Frames.Ip(FenceWorld.AddressOf("web"), Db, 6, Frames.Tcp(40001, 5432, Frames.Syn, n)))),
        ("a forged address of an allowed prefix on the same wire", "free", "db", true, n => Segment("free", "10.1.0.77", 443, Frames.Syn, n)),
        ("a forged address of the gateway", "free", "db", false, n => Segment("free", "10.1.0.1", 80, Frames.Syn, n)),
        ("a segment of a connection that is not allowed", "free", "db", false, n => Segment("free", FenceWorld.AddressOf("free"), 5432, Frames.Ack, n)),
        ("a segment with an answer's port that is not allowed", "web", "db", false, n => Frames.Ethernet(FenceWorld.Mac("web"), FenceWorld.Mac("db"), 0x800, Frames.Ip(FenceWorld.AddressOf("web"), Db, 6, Frames.Tcp(2, 40001, Frames.Ack, n)))),
        ("an answer of a connection that db may make", "web", "db", true, n => Frames.Ethernet(FenceWorld.Mac("web"), FenceWorld.Mac("db"), 0x800, Frames.Ip(FenceWorld.AddressOf("web"), Db, 6, Frames.Tcp(1, 40001, Frames.Syn | Frames.Ack, n)))),
        ("the same as the beginning of a connection", "web", "db", false, n => Frames.Ethernet(FenceWorld.Mac("web"), FenceWorld.Mac("db"), 0x800, Frames.Ip(FenceWorld.AddressOf("web"), Db, 6, Frames.Tcp(1, 40001, Frames.Syn, n)))),
        ("an allowed connection in a VLAN", "web", "db", false, n => Frames.Tagged(FenceWorld.Mac("web"), FenceWorld.Mac("db"), 7, Segment("web", FenceWorld.AddressOf("web"), 5432, Frames.Syn, n))),
        ("another protocol of Ethernet", "web", "db", false, n => To("db", "web", 0x88b5, Frames.Udp(1, 2, n))),
        ("another protocol of Ethernet to a machine in no group", "web", "free", true, n => To("free", "web", 0x88b5, Frames.Udp(1, 2, n))),
        ("a VLAN to a machine in no group", "web", "free", true, n => Frames.Tagged(FenceWorld.Mac("web"), FenceWorld.Mac("free"), 7, To("free", "web", 0x800, Frames.Ip(FenceWorld.AddressOf("web"), FenceWorld.AddressOf("free"), 6, Frames.Tcp(9, 9, Frames.Syn, n))))),
        ("ARP", "free", "db", true, n => To("db", "free", 0x806, [0, 1, 8, 0, 6, 4, 0, 2, .. Frames.Udp(1, 2, n), .. Frames.Udp(1, 2, n)])),
        ("a request of ICMP that is not allowed", "free", "db", false, n => To("db", "free", 0x800, Frames.Ip(FenceWorld.AddressOf("free"), Db, 1, Frames.Icmp(8, n)))),
        ("an answer of ICMP", "free", "db", true, n => To("db", "free", 0x800, Frames.Ip(FenceWorld.AddressOf("free"), Db, 1, Frames.Icmp(0, n)))),
        ("an error of ICMP", "free", "db", true, n => To("db", "free", 0x800, Frames.Ip(FenceWorld.AddressOf("free"), Db, 1, Frames.Icmp(3, n)))),
        ("a redirection of ICMP", "free", "db", false, n => To("db", "free", 0x800, Frames.Ip(FenceWorld.AddressOf("free"), Db, 1, Frames.Icmp(5, n)))),
        ("another protocol of IP", "web", "db", false, n => To("db", "web", 0x800, Frames.Ip(FenceWorld.AddressOf("web"), Db, 132, Frames.Udp(5432, 5432, n)))),
        ("an answer of DHCP that is not the gateway's", "free", "db", false, n => To("db", "free", 0x800, Frames.Ip("10.1.0.1", Db, 17, Frames.Udp(67, 68, n)))),
        ("an answer of DNS that nobody asked for", "free", "db", false, n => To("db", "free", 0x800, Frames.Ip("10.1.0.1", Db, 17, Frames.Udp(53, 40001, n)))),
        ("a datagram out of a machine that may send none", "db", "free", false, n => To("free", "db", 0x800, Frames.Ip(Db, FenceWorld.AddressOf("free"), 17, Frames.Udp(7, 7, n)))),
        ("another protocol of Ethernet out of a machine that is limited", "db", "free", false, n => To("free", "db", 0x88b5, Frames.Udp(1, 2, n))),
    ];

    [Fact]
    public async Task Frames_that_no_honest_machine_sends_pass_only_where_they_do_no_harm()
    {
        await using var world = await FenceWorld.NewAsync(Stop, Group("front", "web", "in tcp/1 from data"), Group("data", "db", "in tcp/5432 from front", "in tcp/443 from 10.1.0.77", "in tcp/80 from outside", "out tcp/1 to front"));
        var wires = FenceWorld.Machines.ToDictionary(m => m, world.Wire);
        var hearings = FenceWorld.Machines.ToDictionary(m => m, m => new Hearing(wires[m]));
        var wrong = new List<string>();
        var number = 70000;
        foreach (var (what, sender, receiver, passes, frame) in OddFrames)
        {
            wires[sender].Send(frame(++number));
            await hearings[receiver].BarrierAsync(wires[sender], sender, receiver);
            if (hearings[receiver].Numbers.Contains(number) != passes) wrong.Add($"{what}: {(passes ? "does not pass" : "passes")}");
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public async Task An_address_that_is_forged_on_one_network_opens_nothing_on_another()
    {
        await using var world = await FenceWorld.NewAsync(Stop, Group("front", "web"), Group("data", "far", "in tcp/5432 from front", "in tcp/443 from 10.1.0.11"));
        using var free = world.Wire("free");
        using var web = world.Wire("web");
        var heard = new Hearing(world.Wire("far"));
        var gateway = (await FenceWorld.RunAsync(Stop, "ip", "netns", "exec", world.Names.Namespace, "cat", "/sys/class/net/leg0/address")).Trim();
        byte[] Begin(int port, int number) => Frames.Ethernet(FenceWorld.Mac("web"), gateway, 0x800, Frames.Ip(FenceWorld.AddressOf("web"), FenceWorld.AddressOf("far"), 6, Frames.Tcp(40002, port, Frames.Syn, number)));
        free.Send(Begin(5432, 301));
        web.Send(Begin(5432, 302));
        await heard.HearsAsync(302);
        Assert.DoesNotContain(301, heard.Numbers);
        // By a prefix an address counts as it is written.
        free.Send(Begin(443, 303));
        await heard.HearsAsync(303);
    }

    [Fact]
    public async Task IPv6_on_one_wire_is_judged_by_plugs()
    {
        await using var world = await FenceWorld.NewAsync(Stop, Group("front", "web"), Group("data", "db", "in tcp/5432 from front", "in udp from 0.0.0.0/0"));
        async Task<Task> ConnectAsync(string from, int port)
        {
            var link = await FenceWorld.RunAsync(Stop, "ip", "netns", "exec", world.Space(from).Name, "cat", "/sys/class/net/eth0/ifindex");
            var local = await FenceWorld.RunAsync(Stop, "ip", "netns", "exec", world.Space("db").Name, "ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link");
            var address = IPAddress.Parse(local.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3].Split('/')[0]);
            address.ScopeId = long.Parse(link, System.Globalization.CultureInfo.InvariantCulture);
            return world.Keep(world.Space(from).Tcp(AddressFamily.InterNetworkV6)).ConnectAsync(new IPEndPoint(address, port), Stop).AsTask();
        }

        Task[] refused = [await ConnectAsync("free", 5432), await ConnectAsync("web", 80)];
        await (await ConnectAsync("web", 5432)).WaitAsync(Patience, Stop);
        Assert.All(refused, r => Assert.False(r.IsCompleted));
    }

    [Fact]
    public async Task DHCP_and_DNS_of_the_gateway_work_for_a_machine_that_may_do_nothing_else()
    {
        await using var world = await FenceWorld.NewAsync(Stop, Group("shut", "web", "out tcp/1 to shut"));
        var lease = await FenceWorld.RunAsync(Stop, "ip", "netns", "exec", world.Space("web").Name, "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", "/bin/true");
        var query = new byte[] { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, (byte)'d', (byte)'b', 4, (byte)'s', (byte)'h', (byte)'o', (byte)'p', 4, (byte)'t', (byte)'e', (byte)'s', (byte)'t', 0, 0, 1, 0, 1 };
        var buffer = new byte[512];
        var gateway = new IPEndPoint(IPAddress.Parse("10.1.0.1"), 53);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        limit.CancelAfter(Patience);
        using var datagrams = world.Space("web").Udp();
        await datagrams.SendToAsync(query, gateway, limit.Token);
        Assert.Equal([10, 1, 0, 12], buffer.AsSpan(0, await datagrams.ReceiveAsync(buffer, limit.Token))[^4..].ToArray());
        using var stream = world.Space("web").Tcp();
        await stream.ConnectAsync(gateway, limit.Token);
        await stream.SendAsync(new byte[] { 0, (byte)query.Length }.Concat(query).ToArray(), limit.Token);
        var count = 0;
        while (count < 2 || count < 2 + buffer[1]) count += await stream.ReceiveAsync(buffer.AsMemory(count), limit.Token);
        Assert.Equal([10, 1, 0, 12], buffer.AsSpan(0, count)[^4..].ToArray());
        // The gateway is nothing else to it; what answers is asked by a machine in no group.
        var refused = world.AskAsync("web", "10.1.0.1", RuleProtocol.Icmp, 0, limit.Token);
        await world.AskAsync("free", "10.1.0.1", RuleProtocol.Icmp, 0, limit.Token);
        Assert.False(refused.IsCompleted);
        await limit.CancelAsync();
        await refused.ContinueWith(static t => _ = t.Exception, TaskScheduler.Default);
        Assert.NotNull(lease);
    }

    [Fact]
    public async Task A_plug_of_an_earlier_version_is_known_by_its_number()
    {
        SecurityGroup[] groups = [Group("front", "web"), Group("data", "db", "in tcp/5432 from front", "out udp/514 to front")];
        await using var world = await FenceWorld.NewAsync(Stop, groups);
        foreach (var machine in new[] { "web", "db" })
        {
            var old = $"{world.Tap(machine)[2..]}x";
            await FenceWorld.RunAsync(Stop, "ip", "link", "set", world.Tap(machine), "down");
            await FenceWorld.RunAsync(Stop, "ip", "link", "set", world.Tap(machine), "name", old);
            await FenceWorld.RunAsync(Stop, "ip", "link", "set", old, "up");
        }
        (MachineName, int)[] links = [.. new[] { "web", "db" }.Select(m => (MachineName.Parse(m), int.Parse(File.ReadAllText($"/sys/class/net/{world.Tap(m)[2..]}x/ifindex"), System.Globalization.CultureInfo.InvariantCulture)))];
        try
        {
            await HostCommand.RunAsync("nft", ["-f", "-"], new GroupRules(world.Names, world.Spec, FenceKeeper.GivePlugs(world.Spec, []), links).Text, Stop);
            using var end = CancellationTokenSource.CreateLinkedTokenSource(Stop);
            var refused = new[] { ("free", "db", RuleProtocol.Tcp, 5432), ("web", "db", RuleProtocol.Tcp, 80), ("db", "free", RuleProtocol.Udp, 514), ("db", "web", RuleProtocol.Udp, 53), ("free", "web", RuleProtocol.Tcp, 80) }
                .Select(c => world.AskAsync(c.Item1, FenceWorld.AddressOf(c.Item2), c.Item3, c.Item4, end.Token)).ToList();
            await world.AskAsync("web", Db, RuleProtocol.Tcp, 5432, Stop).WaitAsync(Patience, Stop);
            Assert.All(refused, r => Assert.False(r.IsCompletedSuccessfully));
            await end.CancelAsync();
            await Task.WhenAll(refused.Select(r => r.ContinueWith(static t => _ = t.Exception, TaskScheduler.Default)));
        }
        finally
        {
            foreach (var machine in new[] { "web", "db" }) await HostCommand.TryAsync("ip", ["link", "delete", $"{world.Tap(machine)[2..]}x"], null, default);
        }
    }

    private static async Task<Socket> TalkAsync(FenceWorld world, string from, string address, int port)
    {
        var socket = world.Keep(world.Space(from).Tcp());
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(address), port), Stop).AsTask().WaitAsync(Patience, Stop);
        await AnswersAsync(socket);
        return socket;
    }

    private static async Task AnswersAsync(Socket socket)
    {
        // Answers to what was sent in vain before may come first.
        var word = Guid.NewGuid().ToString();
        await socket.SendAsync(Encoding.ASCII.GetBytes(word), Stop);
        var heard = "";
        var buffer = new byte[1024];
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        while (!heard.EndsWith(word, StringComparison.Ordinal)) heard += Encoding.ASCII.GetString(buffer, 0, await socket.ReceiveAsync(buffer, limit.Token));
    }

    /// <summary>Each sends, and none has an answer when `free` has got one from each machine.</summary>
    private static async Task SilentAsync(FenceWorld world, params Socket[] sockets)
    {
        foreach (var socket in sockets) await socket.SendAsync("?"u8.ToArray(), Stop);
        using var others = await TalkAsync(world, "free", world.WorldAddress, 80);
        for (var i = 0; i < 3; i++) await AnswersAsync(others);
        await Eventually.PauseAsync(Stop);
        Assert.All(sockets, s => Assert.Equal(0, s.Available));
    }
}
