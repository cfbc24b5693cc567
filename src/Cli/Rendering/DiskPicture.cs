using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Rendering;

/// <summary>A disk as a bar: each place stands for an equal part of it, and is the higher the more of that part differs.</summary>
internal static class DiskPicture
{
    private const string Heights = "·▁▂▃▄▅▆▇█", Plain = ".12345678";

    /// <param name="digits">A digit for each part, 0 to 8; anything else is shown as nothing.</param>
    public static string Bar(string digits, bool ascii) => $"[{string.Concat(digits.Select(d => (ascii ? Plain : Heights)[d is >= '0' and <= '8' ? d - '0' : 0]))}]";

    /// <summary>What differs, in a sentence.</summary>
    public static string Words(DifferenceView d)
    {
        var bytes = d.LeftBytes + d.RightBytes + d.BothBytes;
        if (bytes == 0) return "no difference";
        return $"{Times.Bytes(bytes)} in {d.Ranges} range{(d.Ranges == 1 ? "" : "s")}";
    }
}
