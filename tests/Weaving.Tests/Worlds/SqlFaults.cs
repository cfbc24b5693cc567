using System.Data.Common;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace WeaveHypervisor.Weaving.Tests.Worlds;

/// <summary>Every command and every commit of a database passes here: to be counted, and to fail once, before its effect or (a commit) after it.</summary>
public sealed class SqlFaults : DbCommandInterceptor, IDbTransactionInterceptor
{
    private int _at = -1;
    private Func<string, Exception>? _failure;

    /// <summary>Points passed since <see cref="Arm"/>.</summary>
    public int Passed { get; private set; }
    /// <summary>Their names.</summary>
    public List<string> Points { get; } = [];
    /// <summary>The point that failed; null: none yet.</summary>
    public string? Fired { get; private set; }

    /// <summary>Counts anew; the point of that number fails with what the database's library throws, made from a message.</summary>
    public void Arm(int at = -1, Func<string, Exception>? failure = null)
    {
        (_at, _failure, Passed, Fired) = (at, failure, 0, null);
        Points.Clear();
    }

    private void Pass(string point)
    {
        Points.Add(point);
        if (Passed++ != _at) return;
        Fired = point;
        throw _failure!($"{point} fails by a test.");
    }

    public override ValueTask<InterceptionResult<DbDataReader>> ReaderExecutingAsync(DbCommand command, CommandEventData eventData, InterceptionResult<DbDataReader> result, CancellationToken cancellationToken = default)
    {
        Pass(Verb(command));
        return base.ReaderExecutingAsync(command, eventData, result, cancellationToken);
    }

    public override ValueTask<InterceptionResult<int>> NonQueryExecutingAsync(DbCommand command, CommandEventData eventData, InterceptionResult<int> result, CancellationToken cancellationToken = default)
    {
        Pass(Verb(command));
        return base.NonQueryExecutingAsync(command, eventData, result, cancellationToken);
    }

    public ValueTask<InterceptionResult<DbTransaction>> TransactionStartingAsync(DbConnection connection, TransactionStartingEventData eventData, InterceptionResult<DbTransaction> result, CancellationToken cancellationToken = default)
    {
        Pass("begin");
        return ValueTask.FromResult(result);
    }

    public ValueTask<InterceptionResult> TransactionCommittingAsync(DbTransaction transaction, TransactionEventData eventData, InterceptionResult result, CancellationToken cancellationToken = default)
    {
        Pass("commit");
        return ValueTask.FromResult(result);
    }

    public Task TransactionCommittedAsync(DbTransaction transaction, TransactionEndEventData eventData, CancellationToken cancellationToken = default)
    {
        Pass("the answer of a commit");
        return Task.CompletedTask;
    }

    private static string Verb(DbCommand command) => command.CommandText.TrimStart().Split([' ', '\n', '\r'], 2)[0].ToLowerInvariant();
}
