using System.Net.Sockets;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.State.Postgres;

/// <summary>What may be done after a failure without asking anybody.</summary>
internal enum Retry { Never, SameConnection, NewConnection }

/// <summary>PostgreSQL's SQLSTATE codes (postgresql.org/docs/15/errcodes-appendix.html) and the failures of a connection as faults.</summary>
internal static class PostgresFaults
{
    /// <summary>Runs <paramref name="work"/>; a failure of the database <paramref name="name"/> in it becomes a fault that says so. <paramref name="what"/> is what was being done, in the form "reading a token".</summary>
    public static async Task<T> TranslateAsync<T>(string name, string what, Func<Task<T>> work)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (Exception e) when (Find(e) is { } failure)
        {
            throw Translate(name, what, failure);
        }
    }

    /// <summary>Whether a transaction that failed so, and was not being committed, may be tried again.</summary>
    public static Retry MayRetry(Exception e) => Find(e) switch
    {
        // serialization_failure, deadlock_detected
        PostgresException { SqlState: "40001" or "40P01" } => Retry.SameConnection,
        // admin_shutdown, crash_shutdown, cannot_connect_now; class 08: connection
        PostgresException { SqlState: "57P01" or "57P02" or "57P03" } => Retry.NewConnection,
        PostgresException p => p.SqlState.StartsWith("08", StringComparison.Ordinal) ? Retry.NewConnection : Retry.Never,
        NpgsqlException n => IsPoolExhausted(n) ? Retry.Never : IsTimeout(n) ? Retry.Never : Retry.NewConnection,
        null => Retry.Never,
        _ => Retry.NewConnection,
    };

    /// <summary>True where the connection failed, so that it is not known what the server did last.</summary>
    public static bool IsLost(Exception e) => MayRetry(e) == Retry.NewConnection || Find(e) is { } failure && IsTimeout(failure);

    /// <summary>The failure of the database in an exception of EF Core or Npgsql; null where it is none.</summary>
    private static Exception? Find(Exception e) => e switch
    {
        PostgresException or NpgsqlException or SocketException => e,
        // EF Core wraps what may be transient once more.
        DbUpdateException or InvalidOperationException or IOException or TimeoutException when e.InnerException is { } inner && Find(inner) is { } found => found,
        IOException { InnerException: SocketException } => e,
        _ => null,
    };

    private static bool IsPoolExhausted(Exception e) => e is NpgsqlException { InnerException: TimeoutException } && e.Message.Contains("pool", StringComparison.OrdinalIgnoreCase);
    private static bool IsTimeout(Exception e) => e is NpgsqlException and not PostgresException && e.InnerException is TimeoutException;

    private static WeaveException Translate(string name, string what, Exception e) => e switch
    {
        PostgresException p => Translate(name, what, p),
        _ when IsPoolExhausted(e) => new(Fault.Busy, $"All connections to the database {name} are in use while {what}.", "Try again; a larger \"Maximum Pool Size\" in Weave:Storage:Postgres allows more at once.", e),
        _ when IsTimeout(e) => new(Fault.Unavailable, $"The database {name} does not answer in time while {what}.", "Look at PostgreSQL's log and load.", e),
        _ => new(Fault.Unavailable, $"The database {name} cannot be reached while {what}: {Innermost(e).Message}", "Start PostgreSQL, or correct Weave:Storage:Postgres.", e),
    };

    private static WeaveException Translate(string name, string what, PostgresException e) => e.SqlState switch
    {
        "28P01" or "28000" => new(Fault.Unavailable, $"The database {name} refuses the user or its password ({e.MessageText}) while {what}.", "Correct Username and Password in Weave:Storage:Postgres, or pg_hba.conf.", e),
        "3D000" => new(Fault.Unavailable, $"There is no database {name}, found while {what}.", "Make it with `createdb`, or correct Database in Weave:Storage:Postgres.", e),
        "42501" => new(Fault.Unavailable, $"The user may not do that in the database {name} ({e.MessageText}) while {what}.", "Make it the owner of the database.", e),
        "25006" => new(Fault.Unavailable, $"The database {name} can only be read, found while {what}.", "Connect to the primary server, and unset default_transaction_read_only.", e),
        "53100" => new(Fault.Exhausted, $"The disk of the database {name} is full while {what}.", "Make room on it.", e),
        "53300" => new(Fault.Busy, $"The database {name} takes no more connections while {what}.", "Try again; raise max_connections, or set a smaller \"Maximum Pool Size\" in Weave:Storage:Postgres.", e),
        "53200" => new(Fault.Exhausted, $"The server of the database {name} has no memory left while {what}.", "Look at the server.", e),
        "40001" or "40P01" or "55P03" => new(Fault.Busy, $"The database {name} is busy while {what}.", "Try again.", e),
        "57P01" or "57P02" or "57P03" => new(Fault.Unavailable, $"The database {name} is being started or stopped while {what}.", "Wait until PostgreSQL runs.", e),
        "57014" => new(Fault.Unavailable, $"The database {name} broke off {what}: {e.MessageText}", "Look at its statement_timeout and load.", e),
        "23505" => new(Fault.AlreadyExists, $"What is to be stored exists already, found while {what}: {e.MessageText}", "Choose another name, address or port.", e),
        "XX001" or "XX002" => new(Fault.DataLoss, $"The database {name} is damaged, found while {what}: {e.MessageText}", "Stop the service, and restore the database from a backup.", e),
        _ => e.SqlState[..2] switch
        {
            "08" => new(Fault.Unavailable, $"The connection to the database {name} failed while {what}: {e.MessageText}", "Start PostgreSQL, or correct Weave:Storage:Postgres.", e),
            "53" => new(Fault.Exhausted, $"The server of the database {name} has run out of something while {what}: {e.MessageText}", "Look at the server.", e),
            "58" => new(Fault.Unavailable, $"The server of the database {name} cannot read or write its files while {what}: {e.MessageText}", "Look at the server's disk and log.", e),
            _ => new(Fault.Internal, $"The database {name} failed while {what} ({e.SqlState}): {e.MessageText}", null, e),
        },
    };

    private static Exception Innermost(Exception e) => e.InnerException is { } inner ? Innermost(inner) : e;
}
