using WeaveHypervisor.Weaving.Volumes;

namespace WeaveHypervisor.Weaving.Tests.Volumes;

public sealed class DifferencePictureTests
{
    private static string Of(long capacity, params (long Offset, long Length)[] ranges)
    {
        var picture = new DifferencePicture(capacity);
        foreach (var (offset, length) in ranges) picture.Add(offset, length);
        return picture.ToString();
    }

    [Theory]
    [InlineData(512)]
    [InlineData(1000 * 512)]
    [InlineData(1L << 40)]
    [InlineData(long.MaxValue / 512 * 512)]
    public void A_disk_that_differs_wholly_is_full_and_one_that_does_not_is_empty(long capacity)
    {
        Assert.Equal(new string('8', 64), Of(capacity, (0, capacity)));
        Assert.Equal(new string('0', 64), Of(capacity));
    }

    [Fact]
    public void A_little_is_seen_and_lies_where_it_is()
    {
        const long capacity = 64L << 20;
        Assert.Equal("1" + new string('0', 63), Of(capacity, (0, 1)));
        Assert.Equal(new string('0', 63) + "1", Of(capacity, (capacity - 512, 512)));
        Assert.Equal("44" + new string('0', 62), Of(capacity, (512 << 10, 1 << 20)));
        Assert.Equal("0800" + new string('0', 60), Of(capacity, (1 << 20, 512 << 10), (1536 << 10, 512 << 10)));
    }

    [Fact]
    public void Nothing_is_lost_at_the_borders_of_stretches_that_are_no_whole_numbers()
    {
        // 64 stretches of 15.625 KiB: every sector alone is in one of them.
        const long capacity = 1000 * 1024;
        for (long at = 0; at < capacity; at += 512) Assert.Contains('1', Of(capacity, (at, 512)));
    }
}
