using System.Security.Cryptography;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>
/// Fragments, on a bridge in a namespace of its own: where a host gives bridged frames to its IP rules (net.bridge.bridge-nf-call-iptables), fragments are put together before any rule of ours sees them.
/// </summary>
public sealed class FragmentTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private static string Db => FenceWorld.AddressOf("db");
    private static byte[] To(string receiver, string sender, int type, byte[] payload) => Frames.Ethernet(FenceWorld.Mac(sender), FenceWorld.Mac(receiver), type, payload);

    /// <summary>To `db`, which web may reach at port 5432.</summary>
    private static readonly (string What, string Sender, string Receiver, bool Passes, Func<int, byte[]> Frame)[] Cases =
    [
        ("the first fragment of what is allowed", "web", "db", true, n => To("db", "web", 0x800, Frames.Ip(FenceWorld.AddressOf("web"), Db, 6, Frames.Tcp(40001, 5432, Frames.Syn, n), more: true))),
        ("the first fragment of what is not", "free", "db", false, n => To("db", "free", 0x800, Frames.Ip(FenceWorld.AddressOf("free"), Db, 6, Frames.Tcp(40001, 5432, Frames.Syn, n), more: true))),
        ("a first fragment without flags", "free", "db", false, n => To("db", "free", 0x800, Frames.Ip(FenceWorld.AddressOf("free"), Db, 6, [0x9c, 0x41, 0x15, 0x38, .. Frames.Udp(0, 0, n).AsSpan(8)], more: true))),
        ("a second fragment that begins in the TCP header", "web", "db", false, n => To("db", "web", 0x800, Frames.Ip(FenceWorld.AddressOf("web"), Db, 6, Frames.Tcp(1, 1, 0, n), fragment: 1))),
        ("a later fragment", "free", "db", true, n => To("db", "free", 0x800, Frames.Ip(FenceWorld.AddressOf("free"), Db, 17, Frames.Udp(1, 2, n), fragment: 100))),
    ];

    [Fact]
    public async Task A_first_fragment_is_judged_and_later_ones_pass_where_they_cannot_change_what_was_judged()
    {
        var hex = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(2));
        var space = $"wvt{hex}b";
        var names = new FenceNames("wvt" + hex, FenceTag.New());
        string[] machines = ["web", "db", "free"];
        var spec = GroupTextTests.Spec(GroupTextTests.Group("front", "web"), GroupTextTests.Group("data", "db", "in tcp/5432 from front"));
        spec = spec with { Machines = [.. machines.Select(m => new Drivers.FenceMachine(MachineName.Parse(m), [new(FenceWorld.Mac(m), NetworkName.Parse("front"), [FenceWorld.AddressOf(m)])]))] };
        var wires = new Dictionary<string, Wire>();
        await FenceWorld.RunAsync(Stop, "ip", "netns", "add", space);
        try
        {
            var script = "sysctl -qw net.bridge.bridge-nf-call-iptables=0 2> /dev/null || true\nip link add br0 type bridge\nip link set br0 up\n"
                + string.Concat(machines.Select((m, i) => $"ip link add {names.Tap(i)} type veth peer name {m}\nip link set {names.Tap(i)} master br0 up\nip link set {m} address {FenceWorld.Mac(m)} up\n"));
            await FenceWorld.RunAsync(Stop, "ip", "netns", "exec", space, "sh", "-ec", script);
            await HostCommand.RunAsync("ip", ["netns", "exec", space, "nft", "-f", "-"], new GroupRules(names, spec, FenceKeeper.GivePlugs(spec, []), []).Text, Stop);
            foreach (var machine in machines) wires[machine] = new NetworkSpace(space).Open(machine);
            var hearing = new Hearing(wires["db"]);
            var wrong = new List<string>();
            var number = 70000;
            foreach (var (what, sender, receiver, passes, frame) in Cases)
            {
                wires[sender].Send(frame(++number));
                await hearing.BarrierAsync(wires[sender], sender, receiver);
                if (hearing.Numbers.Contains(number) != passes) wrong.Add($"{what}: {(passes ? "does not pass" : "passes")}");
            }
            Assert.Empty(wrong);
        }
        finally
        {
            foreach (var wire in wires.Values) wire.Dispose();
            await HostCommand.TryAsync("ip", ["netns", "delete", space], null, default);
        }
    }
}
