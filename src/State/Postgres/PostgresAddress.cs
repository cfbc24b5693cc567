using Npgsql;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.State.Postgres;

/// <summary>A connection to PostgreSQL as the administrator gave it, and its name in messages, which has no password.</summary>
internal sealed record PostgresAddress(NpgsqlConnectionStringBuilder Connection)
{
    /// <summary>InvalidRequest where it cannot be read. The text is not repeated: it may hold a password.</summary>
    public static PostgresAddress Parse(string text)
    {
        NpgsqlConnectionStringBuilder read;
        try
        {
            read = new(text);
        }
        catch (Exception e) when (e is ArgumentException or FormatException or KeyNotFoundException or InvalidCastException or OverflowException or NotSupportedException)
        {
            // Without the cause, whose text may quote from it.
            throw new WeaveException(Fault.InvalidRequest, "The connection to PostgreSQL cannot be read.", Form);
        }
        if (string.IsNullOrWhiteSpace(read.Host) || string.IsNullOrWhiteSpace(read.Database)) throw new WeaveException(Fault.InvalidRequest, "The connection to PostgreSQL names no Host or no Database.", Form);
        if (read.Multiplexing) throw new WeaveException(Fault.InvalidRequest, "The connection to PostgreSQL asks for Multiplexing, with which no transaction can be held.", "Leave it out.");
        // Not ContainsKey, which is true of every word that Npgsql knows.
        var given = read.Keys.Cast<string>().ToHashSet(StringComparer.OrdinalIgnoreCase);
        if (!given.Contains("Application Name")) read.ApplicationName = "weave";
        if (!given.Contains("Timeout")) read.Timeout = 10;
        if (!given.Contains("Command Timeout")) read.CommandTimeout = 60;
        // A server that vanishes without a word is noticed.
        if (!given.Contains("Keepalive")) read.KeepAlive = 15;
        // Nothing of ours is left in a session; resetting it costs more than many a command.
        if (!given.Contains("No Reset On Close")) read.NoResetOnClose = true;
        read.PersistSecurityInfo = false;
        read.IncludeErrorDetail = false;
        return new(read);
    }

    private const string Form = "Use \"Host=localhost;Database=weave;Username=weave;Password=…\"; Host may also be the folder of a socket, such as /run/postgresql.";

    /// <summary>"localhost:5432/weave".</summary>
    public string Name => $"{Connection.Host}:{Connection.Port}/{Connection.Database}";
}
