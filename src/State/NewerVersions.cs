using Microsoft.EntityFrameworkCore;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.State;

internal static class NewerVersions
{
    /// <summary>Tables of another shape would be read wrongly, or written so that the newer version cannot go on.</summary>
    public static async Task RefuseAsync(WeaveDbContext context, string where, CancellationToken stop)
    {
        var known = context.Database.GetMigrations().ToHashSet(StringComparer.Ordinal);
        var unknown = (await context.Database.GetAppliedMigrationsAsync(stop).ConfigureAwait(false)).Where(m => !known.Contains(m)).ToList();
        if (unknown.Count > 0)
            throw new WeaveException(Fault.Unsupported, $"The database {where} was written by a newer version of the service ({string.Join(", ", unknown)} is not known here).",
                "Start the version that wrote it, or put back a backup from before it was started.");
    }
}
