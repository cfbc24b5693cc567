using System.Net;
using System.Text;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Three lines of one environment at once: what each has of its own, and that nothing passes between them.</summary>
[Collection("lab")]
public sealed class SideBySideTests(LabWorld lab)
{
    [Fact]
    public async Task The_past_the_copy_of_now_and_the_originals_answer_at_once_and_go_their_own_ways()
    {
        await lab.AdoptedAsync();
        var main = await lab.UrlAsync("main");
        var begin = (await LabWorld.AnswersAsync(main)).Orders;
        for (var i = 0; i < 3; i++) await LabWorld.OrderAsync(main);
        var before = await LabWorld.AskAsync(main);
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--label", "three");
        for (var i = 0; i < 2; i++) await LabWorld.OrderAsync(main);
        var snapshot = (await lab.TimelineAsync()).Snapshots.Single();
        await lab.WeaveAsync("create", LabWorld.Environment, "--at", snapshot.At.ToString("O"), "--id", "past");
        var past = await lab.UrlAsync("past");
        await LabWorld.AnswersAsync(past);
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "now");
        var now = await lab.UrlAsync("now");
        await LabWorld.AnswersAsync(now);

        var answers = await Task.WhenAll(LabWorld.AskAsync(main), LabWorld.AskAsync(past), LabWorld.AskAsync(now));
        Assert.Equal([begin + 5, begin + 3, begin + 5], answers.Select(a => a.Orders));
        Assert.All(answers, a => Assert.Equal(before.Nonces, a.Nonces));
        Assert.All(answers[1].Machines, m => Assert.True(m.Value.Ticks >= before.Machines[m.Key].Ticks, $"the ticks of {m.Key} go on from the snapshot"));
        Assert.True(answers[1].Ticks < answers[0].Ticks, "the past counts behind the originals");

        // Orders in one are no orders in another.
        await LabWorld.OrderAsync(past);
        await LabWorld.OrderAsync(now);
        await LabWorld.OrderAsync(now);
        Assert.Equal([begin + 5, begin + 4, begin + 7], (await Task.WhenAll(LabWorld.AskAsync(main), LabWorld.AskAsync(past), LabWorld.AskAsync(now))).Select(a => a.Orders));

        // The same addresses, inside, in each; identities that the hypervisor gives are new.
        var views = new[] { await lab.ShowAsync("main"), await lab.ShowAsync("past"), await lab.ShowAsync("now") };
        foreach (var machine in views[0].Machines)
        {
            var same = views.Select(v => v.Machines.Single(m => m.Name == machine.Name)).ToList();
            Assert.Single(same.Select(m => string.Join(' ', m.Addresses.Select(a => $"{a.Mac}={a.Inner}"))).Distinct());
            Assert.Equal(3, same.Select(m => m.Uuid).Distinct().Count());
        }
        var macs = await Task.WhenAll(views.SelectMany(v => v.Machines).Select(async m => (m.Name, Mac: await MacOfAsync(m.Domain))));
        Assert.All(macs.GroupBy(m => m.Name), group => Assert.Single(group.Select(m => m.Mac).Distinct()));

        await NothingCrossesAsync(views.Select(v => v.Machines.Single(m => m.Name == "web").Domain).ToList(), [main, past, now]);
    }

    [Fact]
    public async Task A_weave_has_a_history_of_its_own_from_which_weaves_are_made()
    {
        await lab.AdoptedAsync();
        await LabWorld.OrderAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "first");
        var first = await lab.UrlAsync("first");
        await LabWorld.AnswersAsync(first);
        var then = await LabWorld.OrderAsync(first);
        await lab.WeaveAsync("snapshot", $"{LabWorld.Environment}/first", "--label", "of-the-copy");
        Assert.All((await lab.TimelineAsync()).Snapshots.Single(s => s.Label == "of-the-copy").Machines, m => Assert.Equal("private", m.Method));
        var now = await LabWorld.OrderAsync(first);
        Assert.Equal((then.Nonces, then.Orders + 1), (now.Nonces, now.Orders));

        await lab.WeaveAsync("create", LabWorld.Environment, "--from", "first", "--at", DateTimeOffset.UtcNow.ToString("O"), "--id", "second");
        var second = await LabWorld.AnswersAsync(await lab.UrlAsync("second"));
        Assert.Equal((then.Nonces, then.Orders), (second.Nonces, second.Orders));
        Assert.True(second.Ticks >= then.Ticks);
        // The snapshot holds the weave, and the second weave holds the snapshot.
        Assert.NotEqual(0, (await lab.TryWeaveAsync("delete", $"{LabWorld.Environment}/first")).Exit);
        Assert.NotEqual(0, (await lab.TryWeaveAsync("delete", $"{LabWorld.Environment}/first", "--with-snapshots")).Exit);
        await lab.WeaveAsync("delete", $"{LabWorld.Environment}/second");
        await lab.WeaveAsync("delete", $"{LabWorld.Environment}/first", "--with-snapshots");
        Assert.Equal(["main"], await lab.WeavesAsync());
    }

    /// <summary>A word of its own is sent into each line, and an address of its own is asked for; each is seen on its own bridge, and on no other.</summary>
    private static async Task NothingCrossesAsync(IReadOnlyList<string> webs, IReadOnlyList<string> urls)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        var words = urls.Select((_, i) => $"word-{i}-{Guid.NewGuid():N}").ToList();
        // Addresses that nobody has: each is asked for by a broadcast.
        var missing = urls.Select((_, i) => IPAddress.Parse($"{LabWorld.Subnet}.{200 + i}").GetAddressBytes()).ToList();
        var bridges = await Task.WhenAll(webs.Select(BridgeOfAsync));
        Assert.Equal(urls.Count, bridges.Distinct().Count());
        var sniffers = new List<Sniffer>();
        try
        {
            foreach (var bridge in bridges) sniffers.Add(await Sniffer.OnAsync(bridge));
            for (var i = 0; i < urls.Count; i++)
            {
                using var answer = await http.GetAsync(new Uri(urls[i] + words[i]));
                Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
                // A datagram to an address asks for it first. The originals' gateway is the host itself; a copy's is its namespace.
                string[] datagram = ["bash", "-c", $"echo x > /dev/udp/{LabWorld.Subnet}.{200 + i}/9"];
                await Shell.RunAsync(i == 0 ? "env" : "ip", i == 0 ? datagram : ["netns", "exec", NamespaceOf(bridges[i]), .. datagram]);
                await sniffers[i].SeesAsync("the line's own word", Encoding.ASCII.GetBytes(words[i]));
                await sniffers[i].SeesAsync("the line's own broadcast", missing[i]);
            }
            var seen = await Task.WhenAll(sniffers.Select(s => s.StopAsync()));
            for (var on = 0; on < urls.Count; on++)
                for (var of = 0; of < urls.Count; of++)
                {
                    Assert.True((seen[on].AsSpan().IndexOf(Encoding.ASCII.GetBytes(words[of])) >= 0) == (on == of), $"the word of {of} on the bridge of {on}");
                    Assert.True((seen[on].AsSpan().IndexOf(missing[of]) >= 0) == (on == of), $"the broadcast of {of} on the bridge of {on}");
                }
        }
        finally
        {
            foreach (var sniffer in sniffers) await sniffer.DisposeAsync();
        }
    }

    /// <summary>The gateway namespace of a fence, from the name of its bridge: both hold the fence's tag, eight characters.</summary>
    internal static string NamespaceOf(string bridge) => $"{LabWorld.Prefix}-{bridge[2..10]}";

    private static async Task<string[]> InterfaceAsync(string domain) =>
        (await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "domiflist", domain)).Succeeded("domiflist").Output.Trim().Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static async Task<string> MacOfAsync(string domain) => (await InterfaceAsync(domain))[^1];

    internal static async Task<string> BridgeOfAsync(string domain)
    {
        var words = (await Shell.RunAsync("ip", "-o", "link", "show", "dev", (await InterfaceAsync(domain))[0])).Succeeded("ip link").Output.Split(' ');
        return words[Array.IndexOf(words, "master") + 1];
    }
}
