using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>Security groups and sources of published ports are refused: this driver would have nothing by which it held to them.</summary>
internal static class UnenforcedRules
{
    public const string Reason = "On Hyper-V this version enforces neither security groups nor access policies; port ACLs of the originals go along with copies as before.";

    /// <summary>Refuses (Unsupported) a fence with groups, before anything is made.</summary>
    public static void Check(FenceSpec fence)
    {
        if (fence.Groups.Count > 0) throw Refusal($"The fence of '{fence.Environment}/{fence.Weave}' cannot have security groups");
    }

    /// <summary>Refuses (Unsupported) a port that is for some alone, before anything is published.</summary>
    public static void Check(PublishedEndpoint endpoint)
    {
        if (endpoint.Sources is not null) throw Refusal($"Port {endpoint.ListenPort} cannot be published for some sources alone");
    }

    private static WeaveException Refusal(string what) => new(Fault.Unsupported, $"{what}: {Reason.TrimEnd('.')}.", "Clear the rules of the weave with `weave rules clear`, and guard its machines by port ACLs or firewalls of their own.");
}
