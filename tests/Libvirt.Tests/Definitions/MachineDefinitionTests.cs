using System.Text;
using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Copies;
using WeaveHypervisor.Libvirt.Examining;
using WeaveHypervisor.Libvirt.Starting;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Definitions;

/// <summary>
/// Machines as administrators have them (`Machines/*.xml`): what is refused, with the way out, what is captured, and what a copy of each looks like, as golden files beside them.
/// `WEAVE_GOLDEN=renew` writes those anew.
/// </summary>
public sealed class MachineDefinitionTests
{
    private static readonly Guid Uuid = Guid.Parse("00000000-0000-4000-8000-0000000000c0"), Generation = Guid.Parse("00000000-0000-4000-8000-0000000000d0");

    private static string Folder => Path.Combine(Checkout(), "tests", "Libvirt.Tests", "Definitions", "Machines");

    public static TheoryData<string> All => [.. Directory.GetFiles(Folder, "*.xml").Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(All))]
    public void Each_is_copied_or_refused_as_its_golden_file_says(string name)
    {
        var (reading, copy) = Read(name);
        var text = new StringBuilder();
        foreach (var refusal in reading.Refusals) text.Append($"refused  {refusal.Subject}: {refusal.Reason} -> {refusal.NextStep}\n");
        if (copy is not null)
        {
            text.Append($"memory   {reading.MemoryRefusal ?? (CopyStart(name) is { } whole ? $"captured; copies load it whole, because {whole}" : "captured; copies share it")}\n");
            if (reading.States.Count > 0) text.Append($"state    {string.Join(", ", reading.States)}\n");
            foreach (var disk in reading.Disks) text.Append($"volume   {disk.Target} {disk.Format} {disk.Path}\n");
            foreach (var nic in reading.Nics) text.Append($"nic      {nic.Mac} on {(nic.OfHost ? "host's " : "")}{nic.Network}{(nic.Vlan > 0 ? $", VLAN {nic.Vlan}" : "")}\n");
            text.Append('\n').Append(copy).Append('\n');
        }
        var golden = Path.Combine(Folder, name + ".golden");
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew") File.WriteAllText(golden, text.ToString());
        Assert.Equal(File.Exists(golden) ? File.ReadAllText(golden) : "(no golden file)", text.ToString());
    }

    /// <summary>libvirt itself takes what we write: against its schema, and as a machine of this host. Nothing is started.</summary>
    [Fact]
    public async Task Every_copy_is_a_definition_that_libvirt_accepts()
    {
        var stop = TestContext.Current.CancellationToken;
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: stop);
        List<string> failed = [];
        foreach (var name in All.Select(r => r.Data))
        {
            if (Read(name).Copy is not { } copy) continue;
            copy.SetAttributeValue("type", "qemu");
            copy.Element("cpu")?.Remove();
            if (copy.Element("launchSecurity") is not null || copy.Elements("maxMemory").Any() || name is "database-numa") copy.Add(Cells(copy));
            copy.Element("name")!.Value = "wvtdef-" + name;
            copy.Element("uuid")!.Value = Guid.NewGuid().ToString();
            foreach (var entry in copy.Elements("sysinfo").Elements("system").Elements("entry").Where(e => (string?)e.Attribute("name") == "uuid")) entry.Value = copy.Element("uuid")!.Value;
            // This host has none of the processors that can; the schema knows the element.
            copy.Elements("launchSecurity").Remove();
            copy.Elements("keywrap").Remove();
            try
            {
                using var defined = await connection.DefineDomainAsync(copy.ToString(), DomainDefineFlags.Validate, stop);
                await defined.UndefineAsync(DomainUndefineFlags.KeepNvram, stop);
            }
            catch (LibvirtException error)
            {
                failed.Add($"{name}: {error.Message}");
            }
        }
        Assert.Empty(failed);
    }

    /// <summary>Processors of this host are not those of the definition; what hangs on NUMA cells needs some.</summary>
    private static XElement? Cells(XElement copy) => copy.Elements("maxMemory").Any() ? XElement.Parse("<cpu><numa><cell id='0' cpus='0-1' memory='4' unit='GiB'/></numa></cpu>") : null;

    private static string? CopyStart(string name) => CopyStarter.SharingRefusal(DomainText.Parse(File.ReadAllText(Path.Combine(Folder, name + ".xml"))),
        new() { FlatPath = Path.Combine(Folder, name + ".xml"), DeviceStatePath = "", RamBytes = 0, StoredBytes = 0, MainBlock = "pc.ram" });

    private static (MachineReading Reading, XElement? Copy) Read(string name)
    {
        var definition = File.ReadAllText(Path.Combine(Folder, name + ".xml"));
        var document = DomainText.Parse(definition);
        var reading = MachineReading.Read(name, document);
        if (reading.Refusals.Count > 0) return (reading, null);
        var machine = new MachineRef(MachineName.Parse("m"), $"weave.shop.past.{name}", Uuid);
        var networks = reading.Nics.Select(n => NetworkName.Parse(n.Vlan > 0 ? $"{n.Network}-vlan{n.Vlan}" : n.Network)).Distinct().ToList();
        var copy = new CopyMachine(machine, new()
        {
            Name = machine.Name, Definition = definition, MemoryBytes = reading.MemoryBytes, VirtualCpus = reading.VirtualCpus, Volumes = [], States = reading.States,
            Nics = [.. reading.Nics.Select(n => new NicBlueprint(n.Mac, NetworkName.Parse(n.Vlan > 0 ? $"{n.Network}-vlan{n.Vlan}" : n.Network), []))],
        }, [.. reading.Disks.Select(d => new CopyVolume(VolumeName.Parse(d.Target), d.Target, new(LayerId.New(TimeProvider.System), $"/var/lib/weave/layer-{d.Target}.qcow2", DiskFormat.Qcow2, 1 << 20)))], null, RunState.Running)
        {
            States = [.. StateKeeper.KindsOf(document).Select(k => new StateFile(k, $"/var/lib/weave/state.{k.ToString().ToLowerInvariant()}", 1))],
        };
        var request = new InstantiateRequest { Environment = EnvironmentId.Parse("shop"), Weave = WeaveId.Parse("past"), Tag = FenceTag.Parse("0a1b2c3d"), Networks = networks, Machines = [copy] };
        var written = XElement.Parse(CopyDefinition.Write(request, copy, new LibvirtDriverOptions(), CopyMemory.None, i => $"weave-0a1b2c3d-{i}", [.. networks.Count == 0 ? [] : reading.Nics.Select((n, i) => (n.Mac, $"wv0a1b2c3dt{i}"))]));
        if (written.Element("genid") is { } generation)
        {
            Assert.NotEqual((string?)document.Root!.Element("genid"), generation.Value);
            generation.Value = Generation.ToString();
        }
        return (reading, written);
    }

    internal static string Checkout()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "WeaveHypervisor.sln"))) root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("not in a checkout");
        return root;
    }
}

/// <summary>Definitions that nobody means well with, and host networks in all shapes.</summary>
public sealed class HostileDefinitionTests
{
    public static TheoryData<string, string> Hostile => new()
    {
        { "a DTD", "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>" },
        { "an entity bomb", "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]><domain><name>&b;</name></domain>" },
        { "100 levels", string.Concat(Enumerable.Repeat("<a>", 100)) + string.Concat(Enumerable.Repeat("</a>", 100)) },
        { "a control character", "<domain><name>a\u0001b</name></domain>" },
        { "a control character by number", "<domain><name>a&#1;b</name></domain>" },
        { "5 MB", "<domain><name>" + new string('x', 5 << 20) + "</name></domain>" },
        { "an end in the middle", "<domain><name>x</name>" },
        { "nothing", "" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void It_is_refused_with_what_is_wrong(string what, string xml)
    {
        var error = Assert.Throws<WeaveException>(() => DomainText.Parse(xml));
        Assert.True(error.Fault == Fault.InvalidRequest && error.NextStep is not null && error.Message.Length < 400, what + ": " + error.Message);
    }

    public static TheoryData<string> Names => ["a&amp;b", "x]]&gt;y", "turned &#x202e; round", "../../etc/passwd", "new\nline", new string('n', 800_000), "' onload='", "$(reboot)"];

    [Theory]
    [MemberData(nameof(Names))]
    public void Odd_names_of_parts_are_refused_in_one_short_visible_line(string name)
    {
        var document = DomainText.Parse($"""
            <domain type="kvm"><memory>1024</memory><devices>
            <disk type="file"><source file="/srv/a.qcow2"/><target dev="{name}"/></disk>
            <disk type="block" device="cdrom"><source dev="/dev/sr0"/><target dev="{name}"/></disk>
            <interface type="network"><mac address="52:54:00:00:00:01"/><source network="{name}"/></interface>
            <interface type="network"><mac address="{name}"/><source network="default"/></interface>
            <interface type="{name}"><mac address="52:54:00:00:00:02"/></interface></devices></domain>
            """);
        var reading = MachineReading.Read("m", document);
        Assert.Empty(reading.Disks);
        Assert.Empty(reading.Nics);
        Assert.Equal(5, reading.Refusals.Count);
        Assert.All(reading.Refusals, r => Assert.True($"{r.Subject} {r.Reason}".Length < 300 && !$"{r.Subject} {r.Reason}".Any(c => char.IsControl(c) || c == '\u202e'), r.ToString()));
    }

    private const string Links = """[{"ifname":"br0","mtu":1500,"address":"52:54:00:00:00:aa"}]""";

    [Theory]
    [InlineData("[]", "[]", "[]", null, null, 0)]
    [InlineData("", "", "", null, null, 0)]
    [InlineData("""[{"addr_info":[{"family":"inet","local":"192.0.2.7","prefixlen":24}]}]""", "[]", "[]", "192.0.2.7", "52:54:00:00:00:aa", 24)]
    [InlineData("""[{"addr_info":[{"family":"inet","local":"192.0.2.7","prefixlen":24}]}]""", """[{"dst":"default","gateway":"192.0.2.1","dev":"br0"}]""", """[{"dst":"192.0.2.1","lladdr":"52:54:00:00:00:01"}]""", "192.0.2.1", "52:54:00:00:00:01", 24)]
    [InlineData("""[{"addr_info":[{"family":"inet","local":"192.0.2.7","prefixlen":24}]}]""", """[{"dst":"default","gateway":"192.0.2.1","dev":"br0"}]""", "[]", "192.0.2.1", null, 24)]
    [InlineData("""[{"addr_info":[{"family":"inet","local":"192.0.2.7","prefixlen":24}]}]""", """[{"dst":"default","gateway":"198.51.100.1","dev":"br0"}]""", "[]", "192.0.2.7", "52:54:00:00:00:aa", 24)]
    [InlineData("""[{"addr_info":[{"family":"inet6","local":"fe80::1","prefixlen":64}]}]""", "[]", "[]", null, null, 0)]
    [InlineData("""[{"addr_info":[{"family":"inet","local":"192.0.2.7","prefixlen":32}]}]""", "[]", "[]", null, null, 0)]
    public void The_gateway_of_a_bridge_is_the_hosts_own_default_gateway_or_the_host_itself_or_nobody(string addresses, string routes, string neighbours, string? gateway, string? mac, int prefix)
    {
        var network = HostSegment.Read(NetworkName.Parse("br0"), addresses, routes, neighbours, Links);
        Assert.Equal((gateway, mac, prefix, false, 0), (network.Gateway, network.GatewayMac, network.PrefixLength, network.Dhcp, network.Mtu));
    }
}
