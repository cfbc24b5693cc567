using WeaveHypervisor.Libvirt.Examining;

namespace WeaveHypervisor.Libvirt.Tests.Definitions;

public sealed class HostNeighboursTests
{
    [Fact]
    public void Neighbours_that_were_seen_are_told_by_their_MACs_and_those_that_failed_are_not() => Assert.Equal([("52:54:00:ab:cd:01", "10.0.0.5"), ("52:54:00:ab:cd:02", "10.0.0.6")], HostNeighbours.Read("""
        [{"dst":"10.0.0.5","dev":"br0","lladdr":"52:54:00:AB:CD:01","state":["REACHABLE"]},{"dst":"10.0.0.6","dev":"br0","lladdr":"52:54:00:ab:cd:02","state":["DELAY"]},
        {"dst":"10.0.0.7","dev":"br0","state":["INCOMPLETE"]},{"dst":"10.0.0.8","dev":"br0","lladdr":"52:54:00:ab:cd:04","state":["FAILED"]}]
        """));

    [Theory]
    [InlineData(""), InlineData("[]"), InlineData("[ ]\n"), InlineData("not JSON"), InlineData("{}")]
    public void A_table_that_cannot_be_read_has_no_neighbours(string text) => Assert.Empty(HostNeighbours.Read(text));
}
