using System.Globalization;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.Benchmarks.Reporting;

/// <summary>Which side of the bound is good.</summary>
public enum Sense { AtLeast, AtMost }

/// <summary>What a row has to reach, and what it was.</summary>
/// <param name="Measure">What <paramref name="Value"/> is: "ratio of medians", "p99".</param>
/// <param name="Unit">"×", "ms", "%"; may be empty.</param>
public sealed record Check(string Measure, double Value, Sense Sense, double Bound, string Unit = "")
{
    public bool Reached => Sense == Sense.AtLeast ? Value >= Bound : Value <= Bound;
    [JsonIgnore]
    public string GoalText => $"{(Sense == Sense.AtLeast ? "≥" : "≤")} {Numbers.WithUnit(Bound, Unit)}";
    [JsonIgnore]
    public string ValueText => Numbers.WithUnit(Value, Unit);

    /// <summary>How often the median of <paramref name="ours"/> goes into that of <paramref name="theirs"/>.</summary>
    public static Check Faster(Samples ours, Samples theirs, double times) => new("theirs / ours, medians", theirs.Median / ours.Median, Sense.AtLeast, times, "×");
}

/// <summary>One line of the table: the product's values, those of something else of the same run beside them, and the goal if there is one.</summary>
/// <param name="Name">What was measured, with its size or number.</param>
/// <param name="Unit">Of the samples: "ms", "MiB", "KiB", "1/s".</param>
/// <param name="Beside">What <paramref name="Theirs"/> is: "virsh save + restore".</param>
/// <param name="Check">Null: for information.</param>
public sealed record Row(string Name, string Unit, Samples Ours, string? Beside = null, Samples? Theirs = null, Check? Check = null, string? Note = null)
{
    /// <summary>Theirs by ours, medians; null where it says nothing.</summary>
    public double? Ratio => Theirs is not null && Ours.Median > 0 ? Theirs.Median / Ours.Median : null;
}

/// <summary>Numbers as people read them.</summary>
public static class Numbers
{
    /// <summary>Three digits that count: 0.42, 4.20, 42.0, 420, 4200.</summary>
    public static string Text(double value)
    {
        var size = Math.Abs(value);
        if (size < 1e-9) return "0";
        return value.ToString(size >= 100 ? "0" : size >= 10 ? "0.0" : size >= 0.1 ? "0.00" : "0.0000", CultureInfo.InvariantCulture);
    }

    /// <summary>A bound keeps its own digits where it is a round number.</summary>
    public static string WithUnit(double value, string unit)
    {
        var text = value == Math.Round(value) && Math.Abs(value) < 1e9 ? value.ToString("0", CultureInfo.InvariantCulture) : Text(value);
        return unit.Length == 0 ? text : unit is "×" or "%" ? text + unit : $"{text} {unit}";
    }
}
