using WeaveHypervisor.Benchmarks.Hosts;

namespace WeaveHypervisor.Benchmarks.Tests;

public sealed class ReadingTests
{
    [Fact]
    public void Events_of_virsh_are_read_across_midnight()
    {
        var before = Lifecycle.Parse("2026-11-24 23:59:59.990+0000: event 'lifecycle' for domain 'wbm-s2048-solo': Suspended Paused")!;
        var after = Lifecycle.Parse("2026-11-25 00:00:00.015+0000: event 'lifecycle' for domain 'wbm-s2048-solo': Resumed Unpaused")!;
        Assert.Equal(("wbm-s2048-solo", "Suspended", "Resumed"), (before.Domain, before.What, after.What));
        Assert.Equal(25, after.Ms - before.Ms, 3);
        Assert.Null(Lifecycle.Parse("events received: 3"));
    }

    [Fact]
    public void Only_anonymous_pages_of_the_mapping_as_large_as_the_RAM_are_the_guests_own()
    {
        var memory = PrivateMemory.Of(
        [
            "7f00-7f10 rw-p 00000000 fe:00 1 /pool/ram", "Size:             262144 kB", "Rss:   100000 kB", "Private_Clean:     90000 kB", "Private_Dirty:     10240 kB", "Anonymous:         10240 kB", "VmFlags: rd wr",
            "7f20-7f30 rwxp 00000000 00:00 0", "Size:             131072 kB", "Private_Clean:         0 kB", "Private_Dirty:      2048 kB", "Anonymous:          2048 kB",
        ], 256);
        Assert.Equal(new PrivateMemory(10, 2), memory);
    }

    [Fact]
    public void Guests_tell_their_frames_by_peer() => Assert.Equal(
        [new PeerCount("10.94.41.12", 500, 480, 481, 1), new("10.94.41.13", 500, 0, 0, 0)],
        Guests.Parse("who solo 0123abcd\npeer 10.94.41.12 500 480 481 1\npeer 10.94.41.13 500 0 0 0"));
}
