using Hangfire;
using Hangfire.Common;
using Hangfire.InMemory;
using Hangfire.PostgreSql;
using Npgsql;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>Where wake-ups wait: in memory, or in PostgreSQL beside the state, in a schema of their own.</summary>
internal static class JobStorages
{
    /// <param name="postgres">Null or empty: in memory.</param>
    /// <param name="durable">
    /// Whether each of Hangfire's commits waits for the disk. Not needed: the journal is the truth, and a wake-up that a power cut has taken is missed by <see cref="LostWakeUps"/>; a job that comes
    /// twice finds its operation ended. What PostgreSQL does not lose by that is order: no job is on disk without what was committed before it.
    /// </param>
    public static JobStorage Make(string? postgres, bool durable = false)
    {
        if (postgres is not { Length: > 0 }) return new InMemoryStorage();
        var options = new PostgreSqlStorageOptions
        {
            SchemaName = "weave_jobs",
            // Wake-ups of this process are told to its workers at once; the others are found by looking.
            QueuePollInterval = TimeSpan.FromSeconds(3),
            // Work of a process that died goes on without its jobs (see TakingOver), so they need not be found soon.
            UseSlidingInvisibilityTimeout = true, InvisibilityTimeout = TimeSpan.FromMinutes(30),
        };
        var connection = new NpgsqlConnectionStringBuilder(postgres);
        // Hangfire leaves nothing in a session either; resetting it would undo the setting below.
        (connection.ApplicationName, connection.NoResetOnClose) = ((connection.ApplicationName ?? "weave") + " jobs", true);
        var source = new NpgsqlDataSourceBuilder(connection.ConnectionString);
        // By a command, because poolers refuse parameters of the start that they do not know.
        if (!durable) source.UsePhysicalConnectionInitializer(Relax, RelaxAsync);
        return new PostgreSqlStorage(new Connections(source.Build()), options);
    }

    private const string Relaxed = "SET synchronous_commit = off";

    private static void Relax(NpgsqlConnection connection)
    {
        using var command = new NpgsqlCommand(Relaxed, connection);
        command.ExecuteNonQuery();
    }

    private static async Task RelaxAsync(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand(Relaxed, connection);
        await command.ExecuteNonQueryAsync();
    }

    private sealed class Connections(NpgsqlDataSource source) : IConnectionFactory
    {
        public NpgsqlConnection GetOrCreateConnection() => source.CreateConnection();
    }
}

/// <summary>Hangfire's filters without those that store and read, for each job, what ours do not have: a culture and continuations.</summary>
internal sealed class JobFilters : IJobFilterProvider
{
    public IEnumerable<JobFilter> GetFilters(Job job) => JobFilterProviders.Providers.GetFilters(job).Where(f => f.Instance is not (CaptureCultureAttribute or ContinuationsSupportAttribute));
}
