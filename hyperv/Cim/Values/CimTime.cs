using System.Globalization;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// A CIM datetime (DSP0004 5.2.4): an instant or an interval, in microseconds. Text has 25 characters: <c>yyyymmddHHMMSS.mmmmmmsUUU</c>
/// (UUU: minutes from UTC) or <c>ddddddddHHMMSS.mmmmmm:000</c>.
/// </summary>
public readonly record struct CimTime
{
    private CimTime(DateTimeOffset? instant, TimeSpan? interval) => (Instant, Interval) = (instant, interval);

    /// <summary>Null for an interval.</summary>
    public DateTimeOffset? Instant { get; }

    /// <summary>Null for an instant.</summary>
    public TimeSpan? Interval { get; }

    public static CimTime At(DateTimeOffset instant) => new(instant, null);

    /// <summary>An interval of no less than nothing; a negative one is an <see cref="ArgumentOutOfRangeException"/>.</summary>
    public static CimTime Lasting(TimeSpan interval)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(interval, TimeSpan.Zero);
        return new(null, interval);
    }

    /// <summary>Reads the 25 characters; false for anything else, also for the wildcards (<c>*</c>) that CIM allows and Hyper-V does not send.</summary>
    public static bool TryParse(string? text, out CimTime time)
    {
        time = default;
        if (text is not { Length: 25 } || text[14] != '.') return false;
        if (text[21] == ':')
        {
            if (!Number(text, 0, 8, out var days) || !Number(text, 8, 2, out var hours) || !Number(text, 10, 2, out var minutes)
                || !Number(text, 12, 2, out var seconds) || !Number(text, 15, 6, out var micros) || days > TimeSpan.MaxValue.Days - 1) return false;
            time = Lasting(new TimeSpan(days, hours, minutes, seconds) + TimeSpan.FromMicroseconds(micros));
            return true;
        }
        if (text[21] is not ('+' or '-') || !Number(text, 22, 3, out var offset) || offset > 14 * 60) return false;
        if (!DateTime.TryParseExact(text[..21], "yyyyMMddHHmmss.ffffff", CultureInfo.InvariantCulture, DateTimeStyles.None, out var local)) return false;
        var shift = TimeSpan.FromMinutes(text[21] == '-' ? -offset : offset);
        if (local.Ticks - shift.Ticks is < 0 or > 3155378975999999999) return false;
        time = At(new DateTimeOffset(local, shift));
        return true;
    }

    private static bool Number(string text, int start, int length, out int number) =>
        int.TryParse(text.AsSpan(start, length), NumberStyles.None, CultureInfo.InvariantCulture, out number);

    /// <summary>The 25 characters.</summary>
    public override string ToString()
    {
        if (Interval is { } span)
            return string.Create(CultureInfo.InvariantCulture, $"{span.Days:00000000}{span.Hours:00}{span.Minutes:00}{span.Seconds:00}.{span.Ticks % TimeSpan.TicksPerSecond / 10:000000}:000");
        var instant = Instant ?? DateTimeOffset.UnixEpoch;
        var offset = (int)instant.Offset.TotalMinutes;
        return instant.ToString("yyyyMMddHHmmss.ffffff", CultureInfo.InvariantCulture) + (offset < 0 ? '-' : '+') + Math.Abs(offset).ToString("000", CultureInfo.InvariantCulture);
    }
}
