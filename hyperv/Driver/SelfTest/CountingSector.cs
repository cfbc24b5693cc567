using System.Globalization;
using System.Text.RegularExpressions;

namespace WeaveHypervisor.HyperV.SelfTest;

/// <summary>What a guest says that runs from <see cref="CountingSector"/>.</summary>
/// <param name="Boot">Taken once when it booted; a copy that resumes from memory has its original's.</param>
/// <param name="Count">Lines since then, counted in memory alone.</param>
internal readonly record struct CounterLine(uint Boot, uint Count)
{
    /// <summary>True where it is the same boot, and not earlier in it: what was captured after <paramref name="before"/> was heard has gone on.</summary>
    public bool GoesOnFrom(CounterLine before) => Boot == before.Boot && Count >= before.Count;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"boot {Boot:X8}, count {Count}");
}

/// <summary>
/// The smallest guest whose memory can be told: a boot sector for machines of the first generation, assembled from <c>counter.s</c> beside this file. On COM1 it writes about eighteen lines a second,
/// <c>WEAVE bbbbbbbb cccccccc</c>, with a value that it took when it booted and a counter; both are in memory alone. It reads and writes no disk.
/// </summary>
internal static partial class CountingSector
{
    /// <summary>What <c>counter.s</c> is assembled to, without the zeroes and the mark at its end.</summary>
    private const string Code =
        "EA057C000031C08ED88EC08ED0BC007CFCBEA67CB90700AC88C2B603ACEEE2F7B402CD1A51520F315A5966C1C11089D16631C866A3BE7CFB66A16C04663906BA" +
        "7C7503F4EBF266A3BA7C66FF06C27CBEB47CB90600ACE83900E2FA668B1EBE7CE81900B020E82A00668B1EC27CE80C00B00DE81D00B00AE81800EBBCB9080066" +
        "C1C30488D8240F3C0A1C692FE80300E2EEC35150B90010BAFD03ECA820E1FB58BAF803EE59C3F900FB80F801F900FB03FA07FC03574541564520";

    /// <summary>Of a line, in bytes.</summary>
    public const int LineBytes = 25;

    /// <summary>The 512 bytes of the sector.</summary>
    public static byte[] Bytes { get; } = Make();

    /// <summary>The last whole line of what was heard; null where there is none.</summary>
    public static CounterLine? Last(string heard) => Line().Matches(heard) is { Count: > 0 } lines ? new(Number(lines[^1].Groups[1]), Number(lines[^1].Groups[2])) : null;

    private static uint Number(Group group) => uint.Parse(group.ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static byte[] Make()
    {
        var sector = new byte[512];
        Convert.FromHexString(Code).CopyTo(sector, 0);
        (sector[510], sector[511]) = (0x55, 0xAA);
        return sector;
    }

    [GeneratedRegex(@"WEAVE ([0-9A-F]{8}) ([0-9A-F]{8})\r\n", RegexOptions.CultureInvariant)]
    private static partial Regex Line();
}
