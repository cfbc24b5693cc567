using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Copies;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Copies;

/// <summary>What of a user's definition a copy has, and what it must not have.</summary>
public sealed class CopyDefinitionTests
{
    private static readonly Guid Uuid = Guid.NewGuid();

    private static XElement Copy(string devices = "", string more = "", MemoryImage? memory = null, IReadOnlyList<(string, string)>? plugs = null)
    {
        var definition = $"""
            <domain type='qemu' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>prod-db</name><uuid>2a0f5d55-4f59-4a4e-9c4d-3a1f2f1d7c11</uuid><title>Production</title>
            <memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os><seclabel type='dynamic'/>{more}<devices>
            <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/srv/db.img' index='1'/><backingStore/><target dev='vda' bus='virtio'/></disk>
            <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='/srv/tools.iso' index='2'/><target dev='sda' bus='sata'/><readonly/></disk>
            <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default' portid='x' bridge='virbr0'/><target dev='vnet4'/><filterref filter='clean'/><model type='virtio'/><alias name='net0'/></interface>{devices}</devices></domain>
            """;
        var copy = new CopyMachine(new(MachineName.Parse("db"), "weave.shop.past.db", Uuid), new()
        {
            Name = MachineName.Parse("db"), Definition = definition, MemoryBytes = 64 << 20, VirtualCpus = 1, Volumes = [],
            Nics = [new("52:54:00:00:00:01", NetworkName.Parse("default"), [])],
        }, [new(VolumeName.Parse("vda"), "vda", new(LayerId.New(TimeProvider.System), "/var/lib/weave/layer.qcow2", DiskFormat.Qcow2, 1 << 20))], memory, RunState.Running);
        var request = new InstantiateRequest { Environment = EnvironmentId.Parse("shop"), Weave = WeaveId.Parse("past"), Tag = FenceTag.New(), Networks = [NetworkName.Parse("default")], Machines = [copy] };
        return XElement.Parse(CopyDefinition.Write(request, copy, new LibvirtDriverOptions(), memory is null ? CopyMemory.None : CopyMemory.Shared, _ => "weave-net", plugs ?? []));
    }

    [Fact]
    public void It_has_a_name_uuid_disk_and_network_of_its_own_and_the_machines_hardware()
    {
        var copy = Copy();
        Assert.Equal(("weave.shop.past.db", Uuid.ToString(), null), (copy.Element("name")!.Value, copy.Element("uuid")!.Value, copy.Attribute("id")));
        var devices = copy.Element("devices")!;
        var disk = devices.Elements("disk").First();
        Assert.Equal(("/var/lib/weave/layer.qcow2", "qcow2", "vda"), ((string)disk.Element("source")!.Attribute("file")!, (string)disk.Element("driver")!.Attribute("type")!, (string)disk.Element("target")!.Attribute("dev")!));
        Assert.DoesNotContain("/srv/db.img", copy.ToString());
        Assert.Equal("/srv/tools.iso", (string)devices.Elements("disk").Last().Element("source")!.Attribute("file")!);
        var nic = devices.Element("interface")!;
        Assert.Equal(("weave-net", "52:54:00:00:00:01", "virtio"), ((string)nic.Element("source")!.Attribute("network")!, (string)nic.Element("mac")!.Attribute("address")!, (string)nic.Element("model")!.Attribute("type")!));
        Assert.Equal((null, null), (nic.Element("target"), nic.Element("filterref")));
        Assert.Equal("pc-i440fx-7.2", (string)copy.Element("os")!.Element("type")!.Attribute("machine")!);
    }

    [Fact]
    public void Its_links_on_the_host_have_the_names_that_its_fence_gave_them_also_where_two_have_one_MAC()
    {
        const string second = "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><target dev='tap7'/></interface>";
        string Targets(params (string, string)[] plugs) =>
            string.Join(' ', Copy(second, plugs: plugs).Descendants("interface").Select(i => (string?)i.Element("target")?.Attribute("dev") ?? "libvirt's"));
        Assert.Equal("wv0a1b2c3dt4 wv0a1b2c3dt2", Targets(("52:54:00:00:00:01", "wv0a1b2c3dt4"), ("52:54:00:00:00:0b", "wv0a1b2c3dt3"), ("52:54:00:00:00:01", "wv0a1b2c3dt2")));
        Assert.Equal("wv0a1b2c3dt4 libvirt's", Targets(("52:54:00:00:00:01", "wv0a1b2c3dt4")));
    }

    [Theory]
    [InlineData("<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='0' function='0'/></source></hostdev>")]
    [InlineData("<filesystem type='mount'><source dir='/srv/shared'/><target dir='shared'/></filesystem>")]
    [InlineData("<shmem name='exchange'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>")]
    [InlineData("<memory model='nvdimm'><source><path>/srv/nvdimm</path></source><target><size unit='MiB'>64</size></target></memory>")]
    [InlineData("<serial type='file'><source path='/var/log/console.log'/><target port='0'/></serial>")]
    [InlineData("<channel type='unix'><source mode='bind' path='/run/prod.sock'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>")]
    [InlineData("<console type='tcp'><source mode='connect' host='10.1.2.3' service='4555'/><protocol type='raw'/><target type='serial' port='0'/></console>")]
    public void It_reaches_nothing_of_the_host_or_the_original_by_its_devices(string device)
    {
        var copy = Copy(devices: device).ToString();
        Assert.All(new[] { "/srv/shared", "exchange", "/srv/nvdimm", "/var/log/console.log", "/run/prod.sock", "10.1.2.3", "hostdev" }, word => Assert.DoesNotContain(word, copy));
    }

    [Fact]
    public void Displays_are_of_its_own_and_for_this_host_only()
    {
        var graphics = Copy("<graphics type='vnc' port='5900' autoport='no' listen='0.0.0.0' passwd='x'><listen type='address' address='0.0.0.0'/></graphics>").Descendants("graphics").Single();
        Assert.Equal((null, "yes", "127.0.0.1"), ((string?)graphics.Attribute("port"), (string?)graphics.Attribute("autoport"), (string?)graphics.Element("listen")!.Attribute("address")));
    }

    [Fact]
    public void Arguments_for_QEMU_that_a_user_wrote_never_reach_it()
    {
        var copy = Copy(more: "<qemu:commandline><qemu:arg value='-chardev'/><qemu:arg value='file,id=x,path=/etc/passwd'/></qemu:commandline>",
            memory: new() { FlatPath = "/var/lib/weave/m.ram", DeviceStatePath = "/var/lib/weave/m.state", RamBytes = 64 << 20, StoredBytes = 1, MainBlock = "pc.ram" });
        Assert.DoesNotContain("passwd", copy.ToString());
        var line = Assert.Single(copy.Elements(DomainText.Qemu + "commandline"));
        Assert.Contains("mem-path=/var/lib/weave/m.ram", line.ToString());
    }

    [Fact]
    public void A_generation_id_is_made_anew()
    {
        const string Old = "b4cbd7cd-9f3b-4d1d-8d7f-1d6d6c7a9c11";
        Assert.DoesNotContain(Old, Copy(more: $"<genid>{Old}</genid>").ToString());
    }
}
