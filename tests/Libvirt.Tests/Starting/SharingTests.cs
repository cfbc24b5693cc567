using System.Xml.Linq;
using WeaveHypervisor.Libvirt.Starting;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Starting;

public sealed class SharingTests
{
    [Theory]
    [InlineData("<devices><memballoon model='virtio'/></devices>", null)]
    [InlineData("<devices><memballoon model='none'/></devices>", null)]
    [InlineData("<devices><memballoon model='virtio' freePageReporting='on'/></devices>", "balloon")]
    [InlineData("<currentMemory unit='KiB'>500</currentMemory><devices><memballoon model='virtio'/></devices>", "balloon")]
    [InlineData("<currentMemory unit='KiB'>500</currentMemory><devices><memballoon model='none'/></devices>", null)]
    [InlineData("<currentMemory unit='KiB'>1000</currentMemory><devices><memballoon model='virtio'/></devices>", null)]
    [InlineData("<memoryBacking><hugepages/></memoryBacking>", "hugepages")]
    [InlineData("<cpu><numa/></cpu>", "NUMA")]
    public void Memory_is_shared_only_where_nothing_can_change_the_image_behind_it(string part, string? reason)
    {
        var image = new MemoryImage { FlatPath = typeof(SharingTests).Assembly.Location, DeviceStatePath = "", RamBytes = 1, StoredBytes = 0, MainBlock = "pc.ram" };
        var refusal = CopyStarter.SharingRefusal(XDocument.Parse($"<domain><memory unit='KiB'>1000</memory>{part}</domain>"), image);
        if (reason is null) Assert.Null(refusal);
        else Assert.Contains(reason, refusal!);
    }
}
