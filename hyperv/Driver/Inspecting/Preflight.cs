using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Inspecting;

/// <summary>What can be told of a host before anything is done on it: role, rights, services, address translation. Everything is a finding, also a host that does not answer. Touches nothing.</summary>
/// <param name="ownNat">The name of our own translation; null: none is ours.</param>
internal sealed class Preflight(ICimClient client, string? ownNat = null)
{
    internal const string Virtualization = HostNamespaces.Virtualization, Standard = HostNamespaces.Standard;

    private static readonly string[] Services = [VirtualSystemManagementService.ClassName, VirtualSystemSnapshotService.ClassName, ImageManagementService.ClassName, VirtualEthernetSwitchManagementService.ClassName];

    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken stop)
    {
        var findings = new List<Finding>();
        try
        {
            // Without rights nothing is shown, and no call fails: then the service itself is not there either.
            var missing = new List<string>();
            foreach (var service in Services)
                if ((await client.QueryAsync(Virtualization, Wql.From(service).ToString(), stop)).Count == 0) missing.Add(service);
            if (missing.Count == Services.Length)
            {
                findings.Add(new(FindingLevel.Error, "rights", "Hyper-V shows this account nothing.", "Run the service elevated, as a member of Hyper-V Administrators (S-1-5-32-578) or Administrators."));
                return findings;
            }
            findings.Add(missing.Count == 0
                ? new(FindingLevel.Ok, "Hyper-V", "The management services answer.", null)
                : new(FindingLevel.Error, "Hyper-V", $"Services are missing: {string.Join(", ", missing)}.", "Install all of the Hyper-V role on Windows Server 2016 or newer."));
        }
        catch (CimException e) when (e.Status == CimStatus.InvalidNamespace)
        {
            findings.Add(new(FindingLevel.Error, "Hyper-V", "The Hyper-V role is not installed.", "Install it: `Install-WindowsFeature Hyper-V -IncludeManagementTools`."));
            return findings;
        }
        catch (CimException e)
        {
            var error = HyperVFaults.From(e, "Asking Hyper-V for its services");
            findings.Add(new(FindingLevel.Error, "Hyper-V", error.Message, error.NextStep));
            return findings;
        }
        findings.Add(await TranslationAsync(stop));
        return findings;
    }

    private async Task<Finding> TranslationAsync(CancellationToken stop)
    {
        const string subject = "address translation";
        try
        {
            var nats = await client.QueryAsync(Standard, Wql.From(NetNat.ClassName).ToString(), stop);
            if (nats.Any(n => n.Get(NetNat.Name) == ownNat)) return new(FindingLevel.Ok, subject, $"The host translates for the gateways of weaves ('{ownNat}').", null);
            return nats.Count == 0
                ? new(FindingLevel.Ok, subject, "The host can translate addresses, and does so for nobody.", null)
                : new(FindingLevel.Warning, subject, $"The host's one translated prefix is taken by {string.Join(", ", nats.Select(n => $"'{n.Get(NetNat.Name)}' ({n.Get(NetNat.InternalIPInterfaceAddressPrefix)})"))}.", "Remove it if nothing needs it: `Remove-NetNat`.");
        }
        catch (CimException e) when (e.Status == CimStatus.InvalidClass)
        {
            return new(FindingLevel.Warning, subject, "This edition of Windows cannot translate addresses: published ports will not lead into weaves.", "Use Windows Server, or an edition with the containers feature.");
        }
        catch (CimException e)
        {
            var error = HyperVFaults.From(e, "Asking for address translation");
            return new(FindingLevel.Warning, subject, error.Message, error.NextStep);
        }
    }
}
