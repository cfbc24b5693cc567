using System.Net;
using System.Security.Cryptography;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>What passes in a fence, on one network, across two, from outside and to it, is exactly what <see cref="Reachability"/> says of the rules.</summary>
public sealed class GroupMatrixTests(ITestOutputHelper output)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private sealed record Case(string From, string To, string Address, RuleProtocol Protocol, int Port);

    private static readonly (string Name, SecurityGroup[] Groups)[] Sets =
    [
        ("no groups", []),
        ("closed", [Group("all", "web db far free")]),
        ("open", [Group("all", "web db far free", "in any from any", "out any to any")]),
        ("a shop", [Group("front", "web", "in tcp/80,443 from outside", "in icmp from any"), Group("data", "db", "in tcp/5432 from front")]),
        ("out", [Group("front", "web", "out tcp/5432 to data", "out udp/53 to any", "in tcp/80 from any"), Group("data", "db", "in any from front")]),
        ("prefixes", [Group("data", "db", "in tcp/5432 from 10.1.0.11", "in udp/53 from 10.0.0.0/8", "in icmp from 10.2.0.14", "out udp to 0.0.0.0/0", "out tcp/80 to 198.18.0.0/15")]),
        ("across", [Group("there", "far", "in tcp/5432 from here", "in icmp from here", "out tcp/80 to here", "out udp to outside"), Group("here", "web", "in tcp/80 from there", "in udp/5000 from there", "out any to there")]),
        ("several groups of one machine", [Group("a", "db", "in tcp/80 from outside", "out tcp/80-500 to any"), Group("b", "db web", "in tcp/443 from b", "in udp/514 from any"), Group("c", "db free", "in icmp from c", "out icmp to b")]),
        ("only ungrouped peers", [Group("a", "db", "in tcp/80 from b"), Group("b", "")]),
        ("outside alone", [Group("a", "web far", "in any from outside", "out any to outside")]),
    ];

    private static SecurityGroup Group(string name, string machines, params string[] rules) => GroupTextTests.Group(name, machines, rules);

    [Fact]
    public async Task Each_connection_is_made_or_not_as_the_rules_say_under_one_set_after_the_other()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        foreach (var (name, groups) in Sets) await CheckAsync(world, name, groups);
    }

    [Fact]
    public async Task So_it_is_with_random_rules()
    {
        var seed = RandomNumberGenerator.GetInt32(int.MaxValue);
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var world = await FenceWorld.NewAsync(Stop);
        for (var i = 0; i < 10; i++)
        {
            var groups = Random(random);
            await CheckAsync(world, $"seed {seed}, {i}: " + string.Join("; ", groups.Select(g => $"{g.Name} ({string.Join(' ', g.Machines)}): {string.Join(", ", g.Rules)}")), groups);
        }
    }

    private static SecurityGroup[] Random(Random random)
    {
        string[] names = ["a", "b", "c"];
        string[] peers = [.. names, "any", "outside", "10.1.0.11", "10.1.0.12", "10.2.0.14", "10.0.0.0/8", "0.0.0.0/0", "198.18.0.0/15"];
        string[] what = ["any", "icmp", "tcp", "tcp/80", "tcp/443,5432", "tcp/1-1000", "udp", "udp/53", "udp/500-6000"];
        string One(string[] of) => of[random.Next(of.Length)];
        return [.. names.Select(n => Group(n, string.Join(' ', FenceWorld.Machines.Where(_ => random.Next(3) == 0)),
            [.. Enumerable.Range(0, random.Next(4)).Select(_ => random.Next(3) > 0 ? $"in {One(what)} from {One(peers)}" : $"out {One(what)} to {One(peers)}")]))];
    }

    /// <summary>All connections at once: those that must not be made first, so that they have had their time when the last of the others has got its answer.</summary>
    private static async Task CheckAsync(FenceWorld world, string name, SecurityGroup[] groups)
    {
        await world.MakeAsync(Stop, groups);
        var reachability = new Reachability(groups, world.Spec.Networks, [.. world.Spec.Machines.Select(m => (m.Name, m.Nics))]);
        var cases = Cases(world).ToLookup(c => reachability.Ask(EndOf(world, c.From), EndOf(world, c.To), c.Protocol, c.Port).Allowed);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        List<(Case Case, Task Asked)> Start(bool allowed) => [.. cases[allowed].Select(c => (c, world.AskAsync(c.From, c.Address, c.Protocol, c.Port, end.Token)))];
        var refused = Start(false);
        var allowed = Start(true);
        try
        {
            await Task.WhenAll(allowed.Select(a => a.Asked)).WaitAsync(TimeSpan.FromSeconds(20), Stop).ContinueWith(static t => _ = t.Exception, TaskScheduler.Default);
            var wrong = allowed.Where(a => !a.Asked.IsCompletedSuccessfully).Select(a => $"not made: {a.Case} {a.Asked.Exception?.InnerException?.Message}").ToList();
            await Eventually.PauseAsync(Stop);
            wrong.AddRange(refused.Where(r => r.Asked.IsCompletedSuccessfully).Select(r => $"made: {r.Case}"));
            Assert.True(wrong.Count == 0, $"{name}:\n{string.Join('\n', wrong)}");
        }
        finally
        {
            await end.CancelAsync();
            await Task.WhenAll(refused.Concat(allowed).Select(r => r.Asked.ContinueWith(static t => _ = t.Exception, TaskScheduler.Default)));
        }
    }

    private static RuleEnd EndOf(FenceWorld world, string who) => who switch { "host" => RuleEnd.Outside, "world" => RuleEnd.Of(IPAddress.Parse(world.WorldAddress)), _ when IPAddress.TryParse(who, out var address) => RuleEnd.Of(address), _ => RuleEnd.Of(MachineName.Parse(who)) };

    private static IEnumerable<Case> Cases(FenceWorld world)
    {
        foreach (var from in FenceWorld.Machines)
        {
            foreach (var to in FenceWorld.Machines.Where(m => m != from)) foreach (var c in Kinds(from, to, FenceWorld.AddressOf(to))) yield return c;
            foreach (var c in Kinds("host", from, world.OuterOf(from))) yield return c;
            foreach (var c in Kinds(from, "world", world.WorldAddress)) yield return c;
            // The gateway is in the network, and nothing outside.
            var gateway = from == "far" ? "10.2.0.1" : "10.1.0.1";
            yield return new(from, gateway, gateway, RuleProtocol.Icmp, 0);
        }

        static IEnumerable<Case> Kinds(string from, string to, string address) =>
            [.. FenceWorld.TcpPorts.Select(p => new Case(from, to, address, RuleProtocol.Tcp, p)), .. FenceWorld.UdpPorts.Select(p => new Case(from, to, address, RuleProtocol.Udp, p)), new(from, to, address, RuleProtocol.Icmp, 0)];
    }
}
