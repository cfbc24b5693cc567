using System.Globalization;
using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Libvirt.Examining;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Inspecting;

/// <summary>The present of one machine.</summary>
internal sealed class MachineInspector(DriverContext context)
{
    /// <summary>Null where libvirt has no such domain.</summary>
    public async Task<MachineFacts?> InspectAsync(MachineRef machine, CancellationToken stop)
    {
        using var domain = await context.Host.FindDomainAsync(machine, stop);
        if (domain is null) return null;
        return await context.Host.CallAsync<MachineFacts?>($"look at machine '{machine.HypervisorName}'", async connection =>
        {
            try
            {
                var now = await domain.GetStateAsync(stop);
                var state = RunStates.From(now.State);
                var xml = DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop));
                var addresses = new Dictionary<string, IReadOnlyList<string>>(StringComparer.OrdinalIgnoreCase);
                if (state != RunState.Off)
                {
                    foreach (var group in (await SeenAsync(domain, xml, stop)).GroupBy(a => a.Mac)) addresses[group.Key] = [.. group.Select(a => a.Address).Distinct()];
                }
                var (resident, own) = state == RunState.Off ? (0, 0) : Memory(domain.Name);
                return new(state, DiskCut.Paths(xml), addresses, resident, own)
                {
                    Trouble = now is { State: DomainState.Paused, Reason: (int)DomainPausedReason.Ioerror } ? await TroubleAsync(domain, stop) : null,
                };
            }
            catch (LibvirtException e) when (e.Code == VirErrorCode.NoDomain)
            {
                // A transient machine ended while it was looked at.
                return null;
            }
        }, stop);
    }

    /// <summary>QEMU pauses a machine whose write finds no space, and keeps the write to try it again (io-status of query-block); other errors only where the definition says so.</summary>
    private static async Task<DiskTrouble> TroubleAsync(LibvirtDomain domain, CancellationToken stop)
    {
        try
        {
            return (await Monitor.ExecuteAsync(domain, "query-block", null, stop)).EnumerateArray().Any(b => b.TryGetProperty("io-status", out var status) && status.GetString() == "nospace") ? DiskTrouble.NoSpace : DiskTrouble.Failed;
        }
        catch (QemuRefusal)
        {
            return DiskTrouble.Failed;
        }
    }

    private static async Task<IEnumerable<(string Mac, string Address)>> SeenAsync(LibvirtDomain domain, XDocument xml, CancellationToken stop)
    {
        var found = new List<(string, string)>();
        try
        {
            foreach (var nic in await domain.GetInterfaceAddressesAsync(InterfaceAddressSource.Lease, stop))
                if (nic.HardwareAddress is { } mac) found.AddRange(nic.Addresses.Where(a => a.Type == IpAddressType.Ipv4).Select(a => (mac.ToLowerInvariant(), a.Address)));
        }
        catch (LibvirtException)
        {
            // Leases are a help; a network without DHCP has none.
        }
        var own = xml.Descendants("interface").Select(i => ((string?)i.Element("mac")?.Attribute("address"))?.ToLowerInvariant()).OfType<string>().ToHashSet();
        found.AddRange(HostNeighbours.Read().Where(n => own.Contains(n.Mac)));
        return found;
    }

    /// <summary>Resident and private bytes of the QEMU process, from its smaps_rollup (proc(5)); 0 where it cannot be read.</summary>
    private static (long Resident, long Private) Memory(string name)
    {
        try
        {
            if (QemuProcess.Find(name) is not { } pid) return (0, 0);
            long resident = 0, own = 0;
            foreach (var line in File.ReadLines($"/proc/{pid}/smaps_rollup"))
            {
                var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if (words.Length < 2 || !long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out var kib)) continue;
                if (words[0] == "Rss:") resident = kib << 10;
                if (words[0] is "Private_Clean:" or "Private_Dirty:") own += kib << 10;
            }
            return (resident, own);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (0, 0);
        }
    }
}
