using System.Globalization;
using WeaveHypervisor.Drivers;

namespace WeaveHypervisor.Libvirt.Tests.RealMachines;

/// <summary>
/// Guests on switches that are not Linux bridges: an Open vSwitch, untagged and in a VLAN, and macvtap on an interface of the host. Open vSwitch works in user space here, which needs no
/// kernel module; where none runs on the host, one is started and ended again.
/// </summary>
internal sealed class SwitchBench : ShapeBench
{
    private const string Database = "/var/run/openvswitch/db.sock";
    private readonly List<int> _daemons = [];
    private bool _switched, _mapped, _netdev;

    /// <summary>The bridge of Open vSwitch.</summary>
    public string Switch => Prefix + "ov";
    /// <summary>The interface under macvtap; what leaves it comes out of <see cref="Peer"/>, where the host has an address.</summary>
    public string Card => Prefix + "c0";
    private string Peer => Prefix + "c1";
    public string TaggedAddress(int host) => LanAddress(host).Replace("10.95.", "10.98.", StringComparison.Ordinal);
    public string CardAddress(int host) => LanAddress(host).Replace("10.95.", "10.99.", StringComparison.Ordinal);

    /// <summary>Two running machines on all three wires; the first is on the bench's network, too.</summary>
    public async Task<IReadOnlyList<MachineRequest>> GiveSwitchedMachinesAsync(CancellationToken stop)
    {
        await NetworkAsync(1, stop);
        await SwitchAsync(stop);
        _mapped = true;
        await RunAsync(null, stop, "ip", "link", "add", Card, "type", "veth", "peer", "name", Peer);
        // The host talks to the machines from the far end; the address of the near one is what a host has on its card.
        await RunAsync(null, stop, "ip", "address", "add", CardAddress(1) + "/24", "dev", Card, "noprefixroute");
        await RunAsync(null, stop, "ip", "address", "add", CardAddress(2) + "/24", "dev", Peer);
        foreach (var device in new[] { Card, Peer }) await RunAsync(null, stop, "ip", "link", "set", device, "up");

        // Open vSwitch in user space passes checksums on as they are, also those that a card would have made.
        const string plain = "<model type='virtio'/><driver name='qemu'><host csum='off' gso='off' tso4='off' tso6='off' ecn='off' ufo='off'/><guest csum='off' tso4='off' tso6='off' ecn='off' ufo='off'/></driver>";
        string Ovs(int i, string tag) => $"<interface type='bridge'><mac address='{Mac(i)}'/><source bridge='{Switch}'/>{tag}<virtualport type='openvswitch'/>{plain}</interface>";
        string All(int i) => Ovs(i, "") + Ovs(i + 1, "<vlan><tag id='7'/></vlan>") + $"<interface type='direct'><mac address='{Mac(i + 2)}'/><source dev='{Card}' mode='bridge'/><model type='virtio'/></interface>";
        string Addresses(int first, int host) => $"shape.eth{first}={LanAddress(host)}/24 shape.eth{first + 1}={TaggedAddress(host)}/24 shape.eth{first + 2}={CardAddress(host)}/24";
        var near = await StartAsync("near", "pc", 96, "", Addresses(1, 21), $"<interface type='network'><mac address='{Mac(0)}'/><source network='{Network}'/><model type='virtio'/></interface>" + All(20), true, stop);
        var far = await StartAsync("far", "pc", 96, "", Addresses(0, 22), All(30), true, stop);
        foreach (var address in new[] { LanAddress(21), LanAddress(22), CardAddress(21), CardAddress(22) })
            if (await AskAsync(address, true, stop) is null) throw new InvalidOperationException($"{address} does not answer");
        return [near, far];
    }

    private async Task SwitchAsync(CancellationToken stop)
    {
        _netdev = Directory.Exists("/sys/class/net/ovs-netdev");
        if (!File.Exists(Database))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Database)!);
            await RunAsync(null, stop, "ovsdb-tool", "create", $"{Folder}/ovs.db", "/usr/share/openvswitch/vswitch.ovsschema");
            await DaemonAsync("ovsdb-server", [$"{Folder}/ovs.db", "--remote=punix:" + Database], stop);
            await RunAsync(null, stop, "ovs-vsctl", "--no-wait", "init");
            await DaemonAsync("ovs-vswitchd", ["unix:" + Database], stop);
        }
        _switched = true;
        await RunAsync(null, stop, "ovs-vsctl", "--timeout=20", "add-br", Switch, "--", "set", "bridge", Switch, "datapath_type=netdev");
        await RunAsync(null, stop, "ip", "address", "add", LanAddress(1) + "/24", "dev", Switch);
        await RunAsync(null, stop, "ip", "link", "set", Switch, "up");
    }

    private async Task DaemonAsync(string program, string[] arguments, CancellationToken stop)
    {
        var pid = $"{Folder}/{program}.pid";
        await RunAsync(null, stop, [program, .. arguments, "--detach", "--no-chdir", $"--pidfile={pid}", $"--log-file={Folder}/{program}.log", $"--unixctl={Folder}/{program}.ctl"]);
        _daemons.Add(int.Parse((await File.ReadAllTextAsync(pid, stop)).Trim(), CultureInfo.InvariantCulture));
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (_mapped) await RunAsync(null, default, "ip", "link", "delete", Card);
        if (_switched) await RunAsync(null, default, "ovs-vsctl", "--timeout=20", "del-br", Switch);
        foreach (var daemon in Enumerable.Reverse(_daemons))
        {
            using var process = System.Diagnostics.Process.GetProcessById(daemon);
            await RunAsync(null, default, "kill", daemon.ToString(CultureInfo.InvariantCulture));
            await process.WaitForExitAsync();
        }
        // The user-space switch leaves its own device behind.
        if (_daemons.Count > 0 && !_netdev && Directory.Exists("/sys/class/net/ovs-netdev")) await RunAsync(null, default, "ip", "link", "delete", "ovs-netdev");
    }
}
