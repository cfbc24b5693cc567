using WeaveHypervisor.Libvirt.Examining;

namespace WeaveHypervisor.Libvirt.Tests.Definitions;

public sealed class HostNeighboursTests
{
    [Fact]
    public void Neighbours_that_were_seen_are_told_by_their_MACs_and_those_that_failed_are_not() => Assert.Equal([("52:54:00:ab:cd:01", "10.0.0.5"), ("52:54:00:ab:cd:02", "10.0.0.6")], HostNeighbours.Read("""
        IP address       HW type     Flags       HW address            Mask     Device
        10.0.0.5         0x1         0x2         52:54:00:AB:CD:01     *        br0
        10.0.0.6         0x1         0x6         52:54:00:ab:cd:02     *        br0
        10.0.0.7         0x1         0x0         00:00:00:00:00:00     *        br0
        10.0.0.8         0x1         0x0         52:54:00:ab:cd:04     *        br0
        10.0.0.9         0x20        0x2         80:00:00:48:fe:80     *        ib0

        """));

    [Theory]
    [InlineData(""), InlineData("\n"), InlineData("IP address       HW type     Flags       HW address            Mask     Device\n"), InlineData("x\nno table at all, of six words\n")]
    public void A_table_that_cannot_be_read_has_no_neighbours(string text) => Assert.Empty(HostNeighbours.Read(text));

    [Fact]
    public void The_host_s_own_table_is_read() => Assert.All(HostNeighbours.Read(), n => Assert.Matches("^[0-9a-f:]{17} [0-9.]+$", $"{n.Mac} {n.Address}"));
}
