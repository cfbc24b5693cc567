using System.Net;
using System.Net.Sockets;
using System.Numerics;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>What a guest says of one of its adapters; its integration services tell it while it runs, and a guest may say anything.</summary>
/// <param name="Addresses">IPv4, with the length of their prefix (0 where it is not said).</param>
/// <param name="Gateway">IPv4; null where there is none.</param>
internal sealed record GuestAdapter(IReadOnlyList<(string Address, int PrefixLength)> Addresses, string? Gateway, bool Dhcp);

/// <summary>Addresses of guests. Touches nothing.</summary>
internal sealed class GuestNetworks(ICimClient client)
{
    /// <summary>By the InstanceID of the adapter's settings; empty where the guest says nothing.</summary>
    public Task<IReadOnlyDictionary<string, GuestAdapter>> ReadAsync(HostMachine machine, CancellationToken stop) => HyperVFaults.AskAsync<IReadOnlyDictionary<string, GuestAdapter>>(async () =>
    {
        const string kind = @"Microsoft:GuestNetwork\";
        var query = Wql.From(GuestNetworkAdapterConfiguration.ClassName).WhereStarts(GuestNetworkAdapterConfiguration.InstanceID, kind + MachineReader.Name(machine.Id));
        var adapters = new Dictionary<string, GuestAdapter>(StringComparer.OrdinalIgnoreCase);
        foreach (var said in await client.QueryAsync(HostNamespaces.Virtualization, query.ToString(), stop))
            adapters["Microsoft:" + said.Get(GuestNetworkAdapterConfiguration.InstanceID)![kind.Length..]] = Read(said);
        return adapters;
    }, $"Asking for addresses of '{machine.Name}'");

    /// <summary>Of one adapter.</summary>
    public static GuestAdapter? Of(IReadOnlyDictionary<string, GuestAdapter> adapters, MachineNic nic)
    {
        var id = nic.Settings.Get(SyntheticEthernetPortSettingData.InstanceID) ?? "";
        return adapters.FirstOrDefault(a => id.Equals(a.Key, StringComparison.OrdinalIgnoreCase) || id.StartsWith(a.Key + @"\", StringComparison.OrdinalIgnoreCase)).Value;
    }

    private static GuestAdapter Read(CimObject said)
    {
        var (addresses, subnets) = (said.List(GuestNetworkAdapterConfiguration.IPAddresses), said.List(GuestNetworkAdapterConfiguration.Subnets));
        var read = new List<(string, int)>();
        for (var i = 0; i < addresses.Count; i++)
            if (IsV4(addresses[i], out var address)) read.Add((address.ToString(), i < subnets.Count && IsV4(subnets[i], out var mask) ? Length(mask) : 0));
        return new(read, said.List(GuestNetworkAdapterConfiguration.DefaultGateways).FirstOrDefault(g => IsV4(g, out _)), said.Find(GuestNetworkAdapterConfiguration.DHCPEnabled) is true);
    }

    private static bool IsV4(string text, out IPAddress address) => IPAddress.TryParse(text, out address!) && address.AddressFamily == AddressFamily.InterNetwork;

    private static int Length(IPAddress mask) => mask.GetAddressBytes().Sum(b => BitOperations.PopCount(b));
}
