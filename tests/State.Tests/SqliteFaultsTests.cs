using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using WeaveHypervisor.State.Sqlite;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.State.Tests;

public sealed class SqliteFaultsTests
{
    [Theory]
    [InlineData(5, Fault.Busy)]
    [InlineData(6, Fault.Busy)]
    [InlineData(3, Fault.Unavailable)]
    [InlineData(8, Fault.Unavailable)]
    [InlineData(10, Fault.Unavailable)]
    [InlineData(14, Fault.Unavailable)]
    [InlineData(23, Fault.Unavailable)]
    [InlineData(13, Fault.Exhausted)]
    [InlineData(11, Fault.DataLoss)]
    [InlineData(26, Fault.DataLoss)]
    [InlineData(19, Fault.AlreadyExists)]
    public async Task A_result_code_becomes_the_fault_that_says_what_to_do_next(int code, Fault fault)
    {
        var error = new SqliteException("why", code);
        foreach (var thrown in new Exception[] { error, new DbUpdateException("while saving", error) })
        {
            var translated = await Assert.ThrowsAsync<WeaveException>(() => SqliteFaults.TranslateAsync<int>("/state/weave.db", "reading a token", () => throw thrown));
            Assert.Equal((fault, error), (translated.Fault, translated.InnerException));
            Assert.Contains("reading a token", translated.Message, StringComparison.Ordinal);
            Assert.False(string.IsNullOrWhiteSpace(translated.NextStep));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(21)]
    [InlineData(999)]
    public async Task A_code_that_nobody_has_classified_is_a_fault_of_ours_and_keeps_its_text(int code)
    {
        var translated = await Assert.ThrowsAsync<WeaveException>(() => SqliteFaults.TranslateAsync<int>("/state/weave.db", "x", () => throw new SqliteException("why", code)));
        Assert.Equal(Fault.Internal, translated.Fault);
        Assert.Contains("why", translated.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_no_failure_of_the_database_passes_as_it_is()
    {
        var refusal = new WeaveException(Fault.Conflict, "m");
        Assert.Same(refusal, await Assert.ThrowsAsync<WeaveException>(() => SqliteFaults.TranslateAsync<int>("p", "x", () => throw refusal)));
        await Assert.ThrowsAsync<OperationCanceledException>(() => SqliteFaults.TranslateAsync<int>("p", "x", () => throw new OperationCanceledException()));
    }
}
