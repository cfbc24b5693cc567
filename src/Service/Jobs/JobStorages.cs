using Hangfire;
using Hangfire.InMemory;
using Hangfire.PostgreSql;
using Hangfire.PostgreSql.Factories;
using Npgsql;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>Where wake-ups wait: in memory, or in PostgreSQL beside the state, in a schema of their own.</summary>
internal static class JobStorages
{
    public static JobStorage Make(string? postgres)
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
        connection.ApplicationName = (connection.ApplicationName ?? "weave") + " jobs";
        return new PostgreSqlStorage(new NpgsqlConnectionFactory(connection.ConnectionString, options), options);
    }
}
