using System.Globalization;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>Times and durations as people write them, at noon UTC on 2030-01-01, which is 14:00 in the zone of the tests.</summary>
public sealed class TimesTests
{
    private static DateTimeOffset Parse(string text) => Times.Parse(text, CliRun.Noon, CliRun.Zone);

    [Theory]
    [InlineData("2030-01-01T10:00:00Z", "2030-01-01T10:00:00.000Z")]
    [InlineData("2030-01-01t10:00:00.123456z", "2030-01-01T10:00:00.123Z")]
    [InlineData("2030-01-01T10:00:00+01:00", "2030-01-01T09:00:00.000Z")]
    [InlineData("2030-01-01 10:00:00-05:30", "2030-01-01T15:30:00.000Z")]
    [InlineData("2029-12-31 20:15", "2029-12-31T18:15:00.000Z")]
    [InlineData("2029-12-31 20:15:30.250", "2029-12-31T18:15:30.250Z")]
    [InlineData("2029-12-31T20:15:30", "2029-12-31T18:15:30.000Z")]
    [InlineData("10:32", "2030-01-01T08:32:00.000Z")]
    [InlineData("10:32:05", "2030-01-01T08:32:05.000Z")]
    [InlineData("10:32:05.007", "2030-01-01T08:32:05.007Z")]
    [InlineData("00:30", "2029-12-31T22:30:00.000Z")]
    [InlineData("-10m", "2030-01-01T11:50:00.000Z")]
    [InlineData("-1h30m", "2030-01-01T10:30:00.000Z")]
    [InlineData("-90s", "2030-01-01T11:58:30.000Z")]
    [InlineData("-0.5s", "2030-01-01T11:59:59.500Z")]
    [InlineData("-2d", "2029-12-30T12:00:00.000Z")]
    [InlineData("5 minutes ago", "2030-01-01T11:55:00.000Z")]
    [InlineData("1 minute ago", "2030-01-01T11:59:00.000Z")]
    [InlineData("a minute ago", "2030-01-01T11:59:00.000Z")]
    [InlineData("an hour ago", "2030-01-01T11:00:00.000Z")]
    [InlineData("30  seconds ago", "2030-01-01T11:59:30.000Z")]
    [InlineData("3 days ago", "2029-12-29T12:00:00.000Z")]
    [InlineData("2 weeks ago", "2029-12-18T12:00:00.000Z")]
    [InlineData("  -10m ", "2030-01-01T11:50:00.000Z")]
    public void A_time_is_understood(string text, string means) =>
        Assert.Equal(means, Parse(text).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));

    [Theory]
    [InlineData("")]
    [InlineData("-")]
    [InlineData("now")]
    [InlineData("10m")]
    [InlineData("+10m")]
    [InlineData("-10")]
    [InlineData("-10x")]
    [InlineData("-30m1h")]
    [InlineData("-999999d")]
    [InlineData("25:00")]
    [InlineData("10:60")]
    [InlineData("2030-02-30 10:00")]
    [InlineData("2030-13-01T10:00:00Z")]
    [InlineData("01/02/2030")]
    [InlineData("2030-01-01")]
    [InlineData("5 fortnights ago")]
    [InlineData("minutes ago")]
    [InlineData("-5 minutes ago")]
    [InlineData("999999 weeks ago")]
    public void What_is_no_time_is_refused_with_the_forms_that_are(string text)
    {
        var refusal = Assert.Throws<UsageException>(() => Parse(text));
        Assert.Contains("is no time", refusal.Message);
        Assert.Contains("5 minutes ago", refusal.NextStep);
    }

    [Fact]
    public void A_time_that_is_shown_is_read_back_as_the_same()
    {
        var seed = Environment.GetEnvironmentVariable("WEAVE_SEED") is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : Random.Shared.Next();
        var random = new Random(seed);
        for (var i = 0; i < 1000; i++)
        {
            var time = DateTimeOffset.UnixEpoch.AddMilliseconds(random.NextInt64(4_000_000_000_000));
            Assert.True(time == Parse(Times.Show(time, CliRun.Zone)), $"{time:O}, WEAVE_SEED={seed}");
        }
    }

    [Theory]
    [InlineData("90s", 90)]
    [InlineData("1h30m", 5400)]
    [InlineData("7d", 604800)]
    [InlineData("1d2h3m4.5s", 93784.5)]
    public void A_duration_is_understood(string text, double seconds)
    {
        Assert.True(Times.TryDuration(text, out var duration));
        Assert.Equal(TimeSpan.FromSeconds(seconds), duration);
    }

    [Theory]
    [InlineData(0, "0 ms")]
    [InlineData(1.25, "1.3 ms")]
    [InlineData(42.4, "42 ms")]
    [InlineData(1234, "1.2 s")]
    [InlineData(119_999, "120.0 s")]
    [InlineData(120_000, "2.0 min")]
    public void A_duration_is_shown_as_short_as_it_may_be(double milliseconds, string shown) => Assert.Equal(shown, Times.Show(milliseconds));

    [Theory]
    [InlineData(0, "-")]
    [InlineData(1023, "1023 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(268435456, "256 MiB")]
    [InlineData(1610612736, "1.5 GiB")]
    public void Sizes_are_shown_in_binary_units(long bytes, string shown) => Assert.Equal(shown, Times.Bytes(bytes));
}
