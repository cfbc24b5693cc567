using System.Globalization;
using System.Text.RegularExpressions;

namespace WeaveHypervisor.Cli;

/// <summary>Times and durations as people write them.</summary>
internal static partial class Times
{
    private static readonly string[] Local = ["yyyy-MM-dd HH:mm:ss.fff", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm", "yyyy-MM-dd'T'HH:mm:ss.fff", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd'T'HH:mm"];
    private static readonly string[] Today = ["HH:mm:ss.fff", "HH:mm:ss", "HH:mm"];

    /// <summary>
    /// RFC 3339; a local date and time with seconds and milliseconds as far as wanted; a local time of today; or a time before now: -10m, -1h30m, -90s, -2d,
    /// "5 minutes ago", "an hour ago".
    /// Throws <see cref="UsageException"/>.
    /// </summary>
    public static DateTimeOffset Parse(string text, DateTimeOffset now, TimeZoneInfo zone)
    {
        text = text.Trim();
        if (text.StartsWith('-') && TryDuration(text[1..], out var back))
        {
            return back < now - DateTimeOffset.MinValue ? now - back : throw Wrong(text);
        }
        if (Ago().Match(text) is { Success: true } ago)
        {
            var count = ago.Groups["n"].Value is var n && char.IsAsciiDigit(n[0]) ? double.Parse(n, CultureInfo.InvariantCulture) : 1;
            var past = TimeSpan.FromSeconds(count * (ago.Groups["unit"].ValueSpan[0] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => 604800 }));
            return past < now - DateTimeOffset.MinValue ? now - past : throw Wrong(text);
        }
        if (Rfc3339().IsMatch(text) && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var exact)) return exact.ToUniversalTime();
        if (DateTime.TryParseExact(text, Local, CultureInfo.InvariantCulture, DateTimeStyles.None, out var local)) return In(zone, local);
        if (TimeOnly.TryParseExact(text, Today, CultureInfo.InvariantCulture, DateTimeStyles.None, out var time))
            return In(zone, TimeZoneInfo.ConvertTime(now, zone).Date + time.ToTimeSpan());
        throw Wrong(text);
    }

    /// <summary>Days, hours, minutes and seconds, each at most once and in this order: "1h30m", "90s", "2d". At least one.</summary>
    public static bool TryDuration(string text, out TimeSpan duration)
    {
        duration = default;
        var match = Duration().Match(text);
        if (!match.Success || text.Length == 0) return false;
        double seconds = 0;
        foreach (var (group, unit) in new[] { ("d", 86400.0), ("h", 3600), ("m", 60), ("s", 1) })
            if (match.Groups[group] is { Success: true } g) seconds += double.Parse(g.Value, CultureInfo.InvariantCulture) * unit;
        if (seconds > 1e10) return false;
        duration = TimeSpan.FromSeconds(seconds);
        return true;
    }

    /// <summary>A time as it is shown, in a form that <see cref="Parse"/> reads back.</summary>
    public static string Show(DateTimeOffset time, TimeZoneInfo zone) => TimeZoneInfo.ConvertTime(time, zone).ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);

    public static string Show(double milliseconds) => milliseconds switch
    {
        < 10 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds:0.#} ms"),
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds:0} ms"),
        < 120_000 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000:0.0} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 60_000:0.0} min"),
    };

    /// <summary>How long something still lasts, in its two greatest units: "3h 20m left", "over".</summary>
    public static string Left(TimeSpan left) => left switch
    {
        { Ticks: <= 0 } => "over",
        { TotalDays: >= 1 } => $"{(int)left.TotalDays}d {left.Hours}h left",
        { TotalHours: >= 1 } => $"{left.Hours}h {left.Minutes}m left",
        { TotalMinutes: >= 1 } => $"{left.Minutes}m {left.Seconds}s left",
        _ => $"{left.Seconds}s left",
    };

    public static string Bytes(long bytes) => bytes switch
    {
        0 => "-",
        < 1 << 10 => $"{bytes} B",
        < 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.#} KiB"),
        < 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.#} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1073741824.0:0.##} GiB"),
    };

    private static DateTimeOffset In(TimeZoneInfo zone, DateTime local) => new DateTimeOffset(local, zone.GetUtcOffset(local)).ToUniversalTime();

    private static UsageException Wrong(string text) => new($"'{text}' is no time.",
        "Use RFC 3339 (2026-11-23T20:15:00Z), a local date and time ('2026-11-23 20:15:00'), a time of today (20:15), or a time before now (-10m, -1h30m, '5 minutes ago').");

    [GeneratedRegex(@"\A(?<n>\d{1,6}|an?)\s+(?<unit>seconds?|minutes?|hours?|days?|weeks?)\s+ago\z", RegexOptions.CultureInvariant)]
    private static partial Regex Ago();

    [GeneratedRegex(@"\A\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})\z", RegexOptions.CultureInvariant)]
    private static partial Regex Rfc3339();

    [GeneratedRegex(@"\A((?<d>\d{1,6})d)?((?<h>\d{1,6})h)?((?<m>\d{1,7})m)?((?<s>\d{1,8}(\.\d{1,3})?)s)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Duration();
}

/// <summary>The command line is wrong in a way that only its meaning shows.</summary>
internal sealed class UsageException(string message, string? nextStep = null) : Exception(message)
{
    public string? NextStep { get; } = nextStep;
}
