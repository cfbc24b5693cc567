using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.State;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>The doctor's line on the database.</summary>
internal static class Storage
{
    /// <summary>The facts of the host with one finding more: where the state is kept, or why it cannot be reached.</summary>
    public static async Task<HostFacts> AddToAsync(HostFacts facts, WeaveDatabase database, CancellationToken stop)
    {
        try
        {
            return facts with { Findings = [.. facts.Findings, new(FindingLevel.Ok, "storage", $"State is kept in {await database.DescribeAsync(stop)}.", null)] };
        }
        catch (WeaveException e)
        {
            return facts with { Findings = [.. facts.Findings, new(FindingLevel.Error, "storage", e.Message, e.NextStep)] };
        }
    }
}
