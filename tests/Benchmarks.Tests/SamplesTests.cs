using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Tests;

public sealed class SamplesTests
{
    [Fact]
    public void The_median_of_an_even_number_lies_between_the_two_in_the_middle()
    {
        Assert.Equal(2, Samples.Of(3, 1, 2).Median);
        Assert.Equal(2.5, Samples.Of(4, 1, 3, 2).Median);
        Assert.Equal(7, Samples.Of(7).Median);
    }

    [Fact]
    public void A_percentile_is_a_value_that_occurred()
    {
        var samples = new Samples(Enumerable.Range(1, 10).Select(i => (double)i).Reverse());
        Assert.Equal(9, samples.P90);
        Assert.Equal(10, samples.P99);
        Assert.Equal(1, samples.Percentile(0.1));
        Assert.Equal(10, samples.Percentile(100));
        Assert.Equal(99, new Samples(Enumerable.Range(1, 100).Select(i => (double)i)).P99);
    }

    [Fact]
    public void The_order_of_measuring_is_kept() => Assert.Equal([3, 1, 2], Samples.Of(3, 1, 2).Values);

    [Fact]
    public void Nothing_measured_is_no_sample()
    {
        Assert.Throws<ArgumentException>(() => new Samples([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Samples.Of(1).Percentile(0));
    }
}
