using WeaveHypervisor.Libvirt.Fences;

namespace WeaveHypervisor.Libvirt.Tests.Definitions;

/// <summary>MACs of the host's ends of the machines' links.</summary>
public sealed class LinkMacTests
{
    [Theory]
    [InlineData("52:54:00:AB:cd:01", "fe:54:00:ab:cd:01")]
    [InlineData("fe:54:00:ab:cd:01", "fa:54:00:ab:cd:01")]
    public void A_link_has_its_machine_s_MAC_but_for_the_first_byte(string machine, string link) => Assert.Equal(link, FenceKeeper.LinkMac(machine));

    [Theory]
    [InlineData("52:54:00:ab:cd:01", "fa:54:00:ab:cd:01")]
    [InlineData("FA:54:00:ab:cd:01", "f6:54:00:ab:cd:01")]
    public void What_is_free_is_neither_a_gateway_s_nor_the_machine_s(string machine, string spare) =>
        Assert.Equal(spare, FenceKeeper.SpareMac(machine, ["fe:54:00:ab:cd:01", "52:54:00:00:00:01"]));
}
