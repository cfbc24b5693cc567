using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>Whether the host has the classes and properties that the driver knows, by one query for each class that selects nothing.</summary>
internal sealed class SchemaTrial : IHostTrial
{
    public string Name => "schema";

    public Task AskAsync(TrialRun run, CancellationToken stop) => run.AskAsync(this, "the host has the classes and properties of a build that is known", async () =>
    {
        HostProfile[] profiles = [HostProfile.Server23H2, HostProfile.Server2019];
        var missing = profiles.ToDictionary(p => p, _ => new List<string>());
        foreach (var profile in profiles)
        {
            foreach (var c in CimSchema.Of(profile).Classes.Where(IsUsed))
                if (!await HasAsync(run, c, stop)) missing[profile].Add(c.Name);
            if (missing[profile].Count == 0) return Seen.Of($"all that {profile} has");
        }
        var fewest = profiles.MinBy(p => missing[p].Count);
        return Seen.Not($"nearest is {fewest}; missing or other than there: {string.Join(", ", missing[fewest])}");
    }, stop);

    /// <summary>Classes of Hyper-V that are queried; those of address translation are asked for where it is tried.</summary>
    private static bool IsUsed(CimClass c) => !c.IsAssociation && c.Keys.Count > 0 && c.Name.StartsWith("Msvm_", StringComparison.Ordinal);

    private static async Task<bool> HasAsync(TrialRun run, CimClass c, CancellationToken stop)
    {
        try
        {
            await run.Context.Client.QueryAsync(c.Namespace, $"SELECT {string.Join(", ", c.Properties.Keys)} FROM {c.Name} WHERE {c.Keys[0]} = ''", stop);
            return true;
        }
        catch (CimException e) when (e.Status is CimStatus.InvalidClass or CimStatus.InvalidQuery or CimStatus.NotFound or CimStatus.InvalidParameter or CimStatus.NoSuchProperty)
        {
            return false;
        }
    }
}
