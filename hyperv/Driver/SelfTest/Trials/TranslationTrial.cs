using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>Whether the host translates addresses when it is asked through CIM. Where somebody has a translation already, nothing is tried: most hosts take one prefix only.</summary>
internal sealed class TranslationTrial : IHostTrial
{
    /// <summary>An address for the moment, of those that no network in use has (RFC 6598), and the discard port.</summary>
    private const string Prefix = "100.127.254.0/29", Inside = "100.127.254.2";
    private const ushort OuterPort = 47961, InnerPort = 9;
    private const uint Tcp = 6;

    public string Name => "translation";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        const string question = "a translation and a port of it can be made and removed through CIM";
        var client = run.Context.Client;
        try
        {
            var others = await client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).ToString(), stop);
            if (others.Count > 0)
            {
                run.Skip(this, question, $"taken by {string.Join(", ", others.Select(n => $"'{n.Get(NetNat.Name)}' ({n.Get(NetNat.InternalIPInterfaceAddressPrefix)})"))}");
                return;
            }
        }
        catch (CimException e) when (e.Status is CimStatus.InvalidClass or CimStatus.InvalidNamespace)
        {
            run.Skip(this, question, "this edition of Windows has no such class");
            return;
        }
        await run.AskAsync(this, question, async () =>
        {
            var name = TrialThings.Name(run.Context);
            var nat = await client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, name).With(NetNat.InternalIPInterfaceAddressPrefix, Prefix), stop);
            var mapping = await client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNatStaticMapping.ClassName).With(NetNatStaticMapping.NatName, name).With(NetNatStaticMapping.Protocol, Tcp)
                .With(NetNatStaticMapping.ExternalIPAddress, "0.0.0.0").With(NetNatStaticMapping.ExternalPort, OuterPort).With(NetNatStaticMapping.InternalIPAddress, Inside).With(NetNatStaticMapping.InternalPort, InnerPort), stop);
            await client.DeleteAsync(mapping.Reference, stop);
            await client.DeleteAsync(nat.Reference, stop);
            var left = await client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).Where(NetNat.Name, name).ToString(), stop);
            return Seen.If(left.Count == 0, "made, mapped, removed", "it is there after it was removed");
        }, stop);
    }
}
