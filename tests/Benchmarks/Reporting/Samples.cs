namespace WeaveHypervisor.Benchmarks.Reporting;

/// <summary>Values that were measured the same way, in the order of measuring. Percentiles are by nearest rank, so that each is a value that occurred.</summary>
public sealed record Samples
{
    private readonly double[] _sorted;

    public Samples(IEnumerable<double> values)
    {
        Values = [.. values];
        if (Values.Count == 0) throw new ArgumentException("Nothing was measured.", nameof(values));
        _sorted = [.. Values.Order()];
    }

    public IReadOnlyList<double> Values { get; }
    /// <summary>The middle value; of an even number of values the mean of the two middle ones.</summary>
    public double Median => _sorted.Length % 2 == 1 ? _sorted[_sorted.Length / 2] : (_sorted[_sorted.Length / 2 - 1] + _sorted[_sorted.Length / 2]) / 2;
    public double P90 => Percentile(90);
    /// <summary>With fewer than 100 values the largest.</summary>
    public double P99 => Percentile(99);
    public double Max => _sorted[^1];

    /// <param name="percent">Above 0, at most 100.</param>
    public double Percentile(double percent)
    {
        if (percent is not (> 0 and <= 100)) throw new ArgumentOutOfRangeException(nameof(percent), percent, "above 0, at most 100");
        return _sorted[Math.Max(0, (int)Math.Ceiling(_sorted.Length * percent / 100) - 1)];
    }

    public static Samples Of(params double[] values) => new(values);
}
