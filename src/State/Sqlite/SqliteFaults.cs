using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.State.Sqlite;

/// <summary>SQLite's primary result codes (sqlite.org/rescode.html) as faults.</summary>
internal static class SqliteFaults
{
    /// <summary>Runs <paramref name="work"/>; a failure of the database <paramref name="path"/> in it becomes a fault that says so. <paramref name="what"/> is what was being done, in the form "reading a token".</summary>
    public static async Task<T> TranslateAsync<T>(string path, string what, Func<Task<T>> work)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (SqliteException e)
        {
            throw Translate(path, what, e);
        }
        catch (DbUpdateException e) when (e.InnerException is SqliteException inner)
        {
            throw Translate(path, what, inner);
        }
    }

    private static WeaveException Translate(string path, string what, SqliteException e) => e.SqliteErrorCode switch
    {
        5 or 6 => new(Fault.Busy, $"The database {path} is busy while {what}.", "Try again.", e),
        8 or 3 or 23 => new(Fault.Unavailable, $"The database {path} may not be written while {what}: {e.Message}", "Give the service the right to write its database file and folder.", e),
        10 or 14 => new(Fault.Unavailable, $"The database {path} cannot be read or written while {what}: {e.Message}", "Look at the disk and at the rights of the database file.", e),
        13 => new(Fault.Exhausted, $"The disk of the database {path} is full while {what}.", "Make room on it.", e),
        11 or 26 => new(Fault.DataLoss, $"The database {path} is damaged or no database (found while {what}): {e.Message}", "Stop the service, and put the file back from a backup without the -wal and -shm files beside it.", e),
        19 => new(Fault.AlreadyExists, $"What is to be stored exists already, found while {what}: {e.Message}", "Choose another name, address or port.", e),
        _ => new(Fault.Internal, $"The database {path} failed while {what}: {e.Message}", null, e),
    };
}
