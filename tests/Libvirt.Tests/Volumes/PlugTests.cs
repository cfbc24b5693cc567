using System.Text.Json;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Inspecting;
using WeaveHypervisor.Libvirt.Power;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Volumes;

/// <summary>How a volume comes back to its machine, and what a guest's agent says of it.</summary>
public sealed class PlugTests
{
    private const string Definition = """
        <domain><devices>
          <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a.qcow2' index='1'/><target dev='vda' bus='virtio'/></disk>
          <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none' discard='unmap'/><source file='/old.raw' index='7'/><backingStore type='file' index='8'><source file='/older.raw'/></backingStore>
            <target dev='vdb' bus='virtio'/><serial>data</serial><alias name='virtio-disk1'/><address type='pci' domain='0x0000' bus='0x00' slot='0x06' function='0x0'/></disk>
        </devices></domain>
        """;

    private static readonly LayerRef Layer = new(LayerId.New(TimeProvider.System), "/new.qcow2", DiskFormat.Qcow2, 1 << 20);

    private static MachineBlueprint Blueprint => new() { Name = MachineName.Parse("db"), Definition = Definition, MemoryBytes = 1 << 20, VirtualCpus = 1, Volumes = [], Nics = [] };

    [Fact]
    public void A_volume_comes_back_as_the_device_that_it_was_on_its_new_file()
    {
        var disk = XElement.Parse(VolumePlugger.DeviceOf(new(VolumeName.Parse("vdb"), "vdb", Layer) { Blueprint = Blueprint }));
        Assert.Equal("/new.qcow2", (string?)disk.Element("source")!.Attribute("file"));
        Assert.Equal(("qcow2", "none", "unmap"), ((string?)disk.Element("driver")!.Attribute("type"), (string?)disk.Element("driver")!.Attribute("cache"), (string?)disk.Element("driver")!.Attribute("discard")));
        Assert.Equal(("data", "0x06"), ((string?)disk.Element("serial"), (string?)disk.Element("address")!.Attribute("slot")));
        Assert.Null(disk.Element("source")!.Attribute("index"));
        Assert.Empty(disk.Elements("backingStore").Concat(disk.Elements("alias")));
    }

    [Fact]
    public void Without_a_definition_it_is_a_plain_disk_and_one_that_the_definition_does_not_have_is_refused()
    {
        Assert.Equal("virtio", (string?)XElement.Parse(VolumePlugger.DeviceOf(new(VolumeName.Parse("vdb"), "vdb", Layer))).Element("target")!.Attribute("bus"));
        Assert.Equal(Fault.DataLoss, Assert.Throws<WeaveException>(() => VolumePlugger.DeviceOf(new(VolumeName.Parse("vdz"), "vdz", Layer) { Blueprint = Blueprint })).Fault);
    }

    /// <summary>What the agent of Debian 12 answers for a virtio disk, and what a hostile one might.</summary>
    [Theory]
    [InlineData("""[{"name":"vdb","mountpoint":"/data","type":"ext4","disk":[{"bus-type":"virtio","bus":0,"target":0,"unit":0,"dev":"/dev/vdb","pci-controller":{"domain":0,"bus":0,"slot":6,"function":0}}]}]""", "'/data'")]
    [InlineData("""[{"name":"x","mountpoint":"/srv","type":"xfs","disk":[{"serial":"data","bus-type":"virtio","pci-controller":{"domain":-1,"bus":-1,"slot":-1,"function":-1}}]}]""", "'/srv'")]
    [InlineData("""[{"name":"vda","mountpoint":"/","type":"ext4","disk":[{"bus-type":"virtio","pci-controller":{"domain":0,"bus":0,"slot":5,"function":0}}]}]""", "")]
    [InlineData("""[{"name":"vdb","mountpoint":"/data","type":"ext4","disk":[]},{"mountpoint":7,"disk":[{"serial":"data"}]},{"mountpoint":"/x","disk":"data"},17,{"mountpoint":"/y","disk":[17,{"serial":5}]}]""", "")]
    [InlineData("""{"mountpoint":"/data"}""", "")]
    public void What_is_mounted_from_a_disk_is_found_by_its_address_or_serial_number(string answer, string places)
    {
        var disk = XElement.Parse(Definition).Descendants("disk").Last();
        Assert.Equal(places, string.Join(",", MountReading.PlacesOn(JsonDocument.Parse(answer).RootElement, disk)));
    }
}
