using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Examining;

/// <summary>Reads machines and their networks for adoption. Touches nothing; tells all refusals together. Paths are the host's.</summary>
internal sealed class Examiner(DriverContext context, DiskFiles disks, HostSwitches switches, GuestNetworks guests, PortRules rules)
{
    public async Task<Examination> ExamineAsync(IReadOnlyList<MachineRequest> requests, CancellationToken stop)
    {
        // An account without rights sees an empty host: then the service itself is not there either, and that is an error, not "no such machine".
        await context.Services.SystemsAsync(stop);
        var all = await context.Machines.ListAsync(stop);
        var files = await SharedFilesAsync(stop);
        var refusals = new List<Refusal>();
        var read = new List<(MachineName Name, HostMachine Machine, MachineParts Parts, IReadOnlyDictionary<string, GuestAdapter> Guests)>();
        foreach (var request in requests)
        {
            var subject = request.Name.Text;
            var byId = Guid.TryParse(request.HypervisorName, out var id);
            var found = all.Where(m => byId ? m.Id == id : m.Name.Equals(request.HypervisorName, StringComparison.OrdinalIgnoreCase)).ToList();
            if (found.Count != 1)
            {
                refusals.Add(found.Count == 0
                    ? new(subject, $"The host has no machine {(byId ? $"with the id {id}" : Ids.Quote(request.HypervisorName))}.",
                        byId ? "List machines with `Get-VM | Select Name, Id`: it was removed, or is on another host, whose own service adopts it." : "List machines with `Get-VM`.")
                    : new(subject, $"The host has {found.Count} machines named {Ids.Quote(request.HypervisorName)}.", "Name it by its id: `Get-VM | Select Name, Id`."));
                continue;
            }
            var parts = await context.Machines.ReadAsync(found[0].Settings, stop);
            refusals.AddRange(Refusing.Of(subject, found[0], parts, (await context.Machines.CheckpointsAsync(found[0], stop)).Count(c => !context.Paths.IsOurCheckpoint(c.Get(VirtualSystemSettingData.ElementName))), context.Options.Root, files));
            read.Add((request.Name, found[0], parts, await guests.ReadAsync(found[0], stop)));
        }
        foreach (var twice in read.GroupBy(m => m.Machine.Id).Where(g => g.Count() > 1)) refusals.Add(new(twice.Last().Name.Text, $"Machine '{twice.First().Machine.Name}' is named twice.", "Name each machine once."));
        var networks = await NetworksAsync([.. read.SelectMany(m => m.Parts.Nics.Select(n => (n, GuestNetworks.Of(m.Guests, n))))], stop);
        var examined = new List<ExaminedMachine>();
        var blueprints = new List<MachineBlueprint>();
        foreach (var (name, machine, parts, adapters) in read)
        {
            var volumes = new List<ExaminedVolume>();
            foreach (var disk in parts.Disks)
                if (await SizeAsync($"{name}/{disk.Target}", disk.File, refusals, stop) is { } size) volumes.Add(new(VolumeName.Parse(disk.Target), disk.File, DiskFormat.Vhdx, size));
            examined.Add(new(new(name, machine.Name, machine.Id), machine.RunState, volumes));
            blueprints.Add(new()
            {
                Name = name, Definition = MachineDefinition.Write(machine, parts, await rules.ReadAsync(parts, stop)), States = StateKeeper.KindsOf(machine),
                MemoryBytes = parts.MemoryBytes,
                VirtualCpus = (int)(parts.Find(ProcessorSettingData.ClassName)?.Find(ProcessorSettingData.VirtualQuantity) ?? 1),
                Volumes = [.. volumes.Select(v => new VolumeBlueprint { Name = v.Volume, Target = v.Volume.Text, VirtualSize = v.VirtualSize })],
                Nics = Nics(parts, adapters, networks),
            });
        }
        return new(new() { Machines = blueprints, Networks = [.. networks.Values.Select(n => n.Blueprint)] }, examined, refusals);
    }

    /// <summary>Adapters that are on a network, with the addresses that the guest says it has.</summary>
    private static IReadOnlyList<NicBlueprint> Nics(MachineParts parts, IReadOnlyDictionary<string, GuestAdapter> adapters, IReadOnlyDictionary<CimPath, Network> networks) =>
        [.. from nic in parts.Nics where nic.Switch is not null && networks.ContainsKey(nic.Switch) select new NicBlueprint(nic.Mac, networks[nic.Switch!].Blueprint.Name, [.. GuestNetworks.Of(adapters, nic)?.Addresses.Select(a => a.Address) ?? []])];

    private async Task<long?> SizeAsync(string subject, string file, List<Refusal> refusals, CancellationToken stop)
    {
        if (!HostPath.IsAbsolute(file)) return null;
        try
        {
            return (long?)(await disks.ReadAsync(file, stop)).Find(VirtualHardDiskSettingData.MaxInternalSize) ?? 0;
        }
        // A running machine's disk is open for writing: what the host does not tell then is in the file itself, which nobody changes.
        catch (HostException e) when (e.Kind == HostErrorKind.InUse)
        {
            return (await Disks.Vhdx.VhdxFacts.ReadAsync(context.Files.Local(file), stop)).Capacity;
        }
        catch (HostException e) when (e.Kind is HostErrorKind.NotFound or HostErrorKind.Damaged or HostErrorKind.Unsupported or HostErrorKind.AccessDenied)
        {
            refusals.Add(new(subject, $"Its disk cannot be read: {e.Message}.", "Look at it with `Test-VHD`."));
            return null;
        }
        catch (HostException e)
        {
            throw HyperVFaults.From(e);
        }
        catch (CimException e)
        {
            throw HyperVFaults.From(e, $"Looking at {file}");
        }
    }

    /// <summary>Files that are attached more than once on this host; checkpoints name frozen files, which their machines stand on.</summary>
    private async Task<IReadOnlySet<string>> SharedFilesAsync(CancellationToken stop)
    {
        var all = await HyperVFaults.AskAsync(() => context.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(StorageAllocationSettingData.ClassName).ToString(), stop), "Looking for disks");
        return all.Where(MachineParts.IsDisk).Where(d => d.List(StorageAllocationSettingData.HostResource).Count > 0)
            .GroupBy(d => d.List(StorageAllocationSettingData.HostResource)[0], HostPath.Comparer).Where(g => g.Count() > 1).Select(g => g.Key).ToHashSet(HostPath.Comparer);
    }

    private sealed record Network(NetworkBlueprint Blueprint);

    /// <summary>
    /// The switches that machines are on. Hyper-V knows no addresses of a switch: gateway and prefix are what the guests say.
    /// </summary>
    private async Task<IReadOnlyDictionary<CimPath, Network>> NetworksAsync(IReadOnlyList<(MachineNic Nic, GuestAdapter? Guest)> nics, CancellationToken stop)
    {
        var networks = new Dictionary<CimPath, Network>();
        var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        if (nics.All(n => n.Nic.Switch is null)) return networks;
        foreach (var found in (await switches.ListAsync(stop)).Where(s => nics.Any(n => s.Path.Equals(n.Nic.Switch))))
        {
            var said = nics.Where(n => found.Path.Equals(n.Nic.Switch)).Select(n => n.Guest).OfType<GuestAdapter>().ToList();
            var gateway = said.Select(g => g.Gateway).FirstOrDefault(g => g is not null);
            var prefix = said.SelectMany(g => g.Addresses).Select(a => a.PrefixLength).FirstOrDefault(l => l is >= 1 and <= 30);
            networks[found.Path] = new(new() { Name = NameOf(found.Name, names), Gateway = prefix > 0 ? gateway : null, PrefixLength = gateway is null ? 0 : prefix, Dhcp = said.Exists(g => g.Dhcp) });
        }
        return networks;
    }

    /// <summary>A switch's name as that of a network: in the characters that one may have.</summary>
    internal static string Label(string name)
    {
        var label = new string([.. name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '-')]).TrimStart('.', '_', '-');
        if (label.Length > 50) label = label[..50];
        return NetworkName.TryCreate(label, out _) ? label : "network" + (label.Length > 0 ? "-" + label : "");
    }

    /// <summary>Names of switches may repeat.</summary>
    private static NetworkName NameOf(string name, HashSet<string> taken)
    {
        var label = Label(name);
        var free = label;
        for (var i = 2; !taken.Add(free); i++) free = $"{label}-{i}";
        return NetworkName.Parse(free);
    }
}
