using WeaveHypervisor.Weaving.Access;
using Xunit;

namespace WeaveHypervisor.Conformance.Stores;

/// <summary>What every audit log promises.</summary>
public abstract class AuditLogContract
{
    private static readonly CancellationToken Go = CancellationToken.None;

    protected abstract IAuditLog Log { get; }

    private static AuditEntry Entry(string subject = "lab/past") => new(0, StoredThings.Noon.AddTicks(1), "admin", "weave.create", subject, "accepted");

    [Fact]
    public async Task An_entry_is_kept_as_it_was_told_with_a_number_of_the_logs_own()
    {
        var written = await Log.AppendAsync(Entry() with { Number = 4711 }, Go);
        Assert.Equal(Entry() with { Number = written.Number }, written);
        Assert.InRange(written.Number, 1, 4710);
        Assert.Equal(written, Assert.Single(await Log.ListAsync(10, null, Go)));
    }

    [Fact]
    public async Task An_instant_is_the_same_instant_whatever_the_zone_it_was_told_in()
    {
        await Log.AppendAsync(Entry() with { At = Entry().At.ToOffset(TimeSpan.FromHours(-11)) }, Go);
        var read = Assert.Single(await Log.ListAsync(1, null, Go)).At;
        Assert.Equal((Entry().At, TimeSpan.Zero), (read, read.Offset));
    }

    [Fact]
    public async Task Hostile_text_is_kept_to_the_last_character()
    {
        string[] texts = ["'); DROP TABLE audit; --", "a\0b\r\n\u001b[2J\u202e", "\ud83d\ude00", "", new('x', 1_000_000)];
        foreach (var text in texts) await Log.AppendAsync(Entry(text), Go);
        Assert.Equal(texts.Reverse(), (await Log.ListAsync(10, null, Go)).Select(e => e.Subject));
    }

    [Fact]
    public async Task The_list_is_newest_first_and_its_pages_join_without_gap_or_double()
    {
        for (var i = 0; i < 7; i++) await Log.AppendAsync(Entry(i.ToString(System.Globalization.CultureInfo.InvariantCulture)), Go);
        List<string> read = [];
        long? before = null;
        while (await Log.ListAsync(3, before, Go) is { Count: > 0 } page)
        {
            Assert.InRange(page.Count, 1, 3);
            read.AddRange(page.Select(e => e.Subject));
            before = page[^1].Number;
            // What is written meanwhile is newer than any page to come.
            await Log.AppendAsync(Entry("later"), Go);
        }
        Assert.Equal(["6", "5", "4", "3", "2", "1", "0"], read);
        Assert.Empty(await Log.ListAsync(0, null, Go));
        Assert.Empty(await Log.ListAsync(-1, null, Go));
        Assert.Empty(await Log.ListAsync(10, 0, Go));
    }

    [Fact]
    public async Task Entries_that_are_written_at_once_are_all_there_with_growing_numbers_of_their_own()
    {
        var written = await Task.WhenAll(Enumerable.Range(0, 6).Select(n => Task.Run(async () =>
        {
            List<AuditEntry> own = [];
            for (var i = 0; i < 5; i++) own.Add(await Log.AppendAsync(Entry($"{n}/{i}"), Go));
            return own;
        })));
        Assert.All(written, own => Assert.Equal(own.OrderBy(e => e.Number), own));
        Assert.Equal(written.SelectMany(own => own).OrderByDescending(e => e.Number), await Log.ListAsync(100, null, Go));
        Assert.Equal(30, written.SelectMany(own => own).DistinctBy(e => e.Number).Count());
    }
}
