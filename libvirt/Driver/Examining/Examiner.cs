using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>Reads machines and their networks for adoption and gathers everything that stands against it. Changes nothing.</summary>
internal sealed class Examiner(DriverContext context)
{
    /// <inheritdoc cref="IHypervisorDriver.ExamineAsync"/>
    public Task<Examination> ExamineAsync(IReadOnlyList<MachineRequest> machines, CancellationToken stop) => context.Host.CallAsync("examine machines", async connection =>
    {
        List<Refusal> refusals = [];
        foreach (var twice in machines.GroupBy(m => m.Name).Where(g => g.Count() > 1)) refusals.Add(new(twice.Key.Text, "Two machines are to have this name.", "Give each a name of its own."));
        foreach (var twice in machines.GroupBy(m => m.HypervisorName).Where(g => g.Count() > 1)) refusals.Add(new(twice.Key, "It is named twice.", "Name each machine once."));

        var host = await HostPicture.TakeAsync(connection, stop).ConfigureAwait(false);
        List<Examined> found = [];
        foreach (var request in machines)
            if (await ReadAsync(connection, host, request, refusals, stop).ConfigureAwait(false) is { } one) found.Add(one);

        foreach (var twice in found.GroupBy(f => f.Uuid).Where(g => g.Count() > 1 && g.Select(f => f.Request.HypervisorName).Distinct().Count() > 1))
            refusals.Add(new(twice.First().HypervisorName, "It is named twice, by its name and its UUID.", "Name each machine once."));

        var lans = new LanRegister(connection, refusals);
        foreach (var nic in found.SelectMany(f => f.Reading.Nics)) await lans.AddAsync(nic, stop).ConfigureAwait(false);

        List<MachineBlueprint> blueprints = [];
        foreach (var one in found)
        {
            List<NicBlueprint> nics = [];
            foreach (var nic in one.Reading.Nics)
            {
                if (lans.Of(nic) is not { } lan) continue;
                var lease = lan.Leases.FirstOrDefault(l => Same(l.Mac, nic.Mac));
                var addresses = one.Neighbours.Where(a => a.Mac == nic.Mac).Select(a => a.Address)
                    .Prepend(lease?.IpAddress)
                    .Prepend(lan.Network.Hosts.FirstOrDefault(h => Same(h.Mac, nic.Mac))?.Address)
                    .OfType<string>().Where(a => NetworkReading.Contains(lan.Network, a)).Distinct().ToList();
                nics.Add(new(nic.Mac, lan.Network.Name, addresses));
                lan.Learn(nic.Mac, addresses, lease);
            }
            blueprints.Add(new()
            {
                Name = one.Request.Name, Definition = one.Definition, MemoryBytes = one.Reading.MemoryBytes, VirtualCpus = one.Reading.VirtualCpus,
                Volumes = [.. one.Volumes.Select(v => new VolumeBlueprint { Name = v.Volume, Target = v.Volume.Text, VirtualSize = v.VirtualSize })], Nics = nics, States = one.Reading.States, MemoryRefusal = one.Reading.MemoryRefusal,
            });
        }
        return new Examination(new() { Machines = blueprints, Networks = lans.Networks },
            [.. found.Select(f => new ExaminedMachine(new(f.Request.Name, f.HypervisorName, f.Uuid), f.RunState, f.Volumes))], refusals);
    }, stop);

    private sealed record Examined(MachineRequest Request, string HypervisorName, Guid Uuid, RunState RunState, string Definition, MachineReading Reading, IReadOnlyList<ExaminedVolume> Volumes, IReadOnlyList<(string Mac, string Address)> Neighbours);

    private static async Task<Examined?> ReadAsync(LibvirtConnection connection, HostPicture host, MachineRequest request, List<Refusal> refusals, CancellationToken stop)
    {
        var byUuid = Guid.TryParseExact(request.HypervisorName, "D", out var uuid);
        if (await FindAsync(connection, request.HypervisorName, byUuid ? uuid : null, stop).ConfigureAwait(false) is not { } domain)
        {
            refusals.Add(byUuid ? new(request.HypervisorName, "libvirt has no machine of this UUID.", "Look at `virsh list --all --uuid --name`; a machine of another host is adopted by the service of that host.")
                : new(request.HypervisorName, "libvirt has no machine of this name.", "Look at `virsh list --all`."));
            return null;
        }
        var subject = domain.Name;
        using (domain)
        {
            var active = await domain.IsActiveAsync(stop).ConfigureAwait(false);
            var persistent = await domain.IsPersistentAsync(stop).ConfigureAwait(false);
            if (!persistent) refusals.Add(new(subject, "It is transient: libvirt forgets it when it stops.", "Make it persistent: `virsh dumpxml NAME > F; virsh define F`."));
            if (host.Saved.Contains(domain.Uuid)) refusals.Add(new(subject, "It has a managed-save image, which is bound to its disks as they are.", "Start it, or run `virsh managedsave-remove`."));
            if (host.Checkpointed.Contains(domain.Uuid)) refusals.Add(new(subject, "libvirt keeps checkpoints of it.", "Delete them with `virsh checkpoint-delete`."));
            var snapshots = await domain.ListSnapshotsAsync(0, stop).ConfigureAwait(false);
            foreach (var snapshot in snapshots) snapshot.Dispose();
            if (snapshots.Count > 0) refusals.Add(new(subject, $"libvirt keeps {snapshots.Count} snapshot(s) of it, which would point at wrong files.", "Delete them with `virsh snapshot-delete`."));

            // The running machine's XML has the addresses and the processor that its guest really sees.
            var definition = await domain.GetXmlAsync(active ? DomainXmlFlags.Secure : DomainXmlFlags.Secure | DomainXmlFlags.Inactive, stop).ConfigureAwait(false);
            var document = DomainText.Parse(definition);
            var reading = MachineReading.Read(subject, document);
            refusals.AddRange(reading.Refusals);
            if (active && persistent) await CompareAsync(domain, subject, document, refusals, stop).ConfigureAwait(false);

            List<ExaminedVolume> volumes = [];
            foreach (var disk in reading.Disks)
            {
                if (active && await domain.GetBlockJobInfoAsync(disk.Target, 0, stop).ConfigureAwait(false) is not null)
                    refusals.Add(new($"{subject}/{disk.Target}", "A block job works on it.", "Wait for it, or end it with `virsh blockjob --abort`."));
                if (Volume(host, domain.Uuid, subject, disk, active, refusals) is { } volume) volumes.Add(volume);
            }
            var state = RunStates.From((await domain.GetStateAsync(stop).ConfigureAwait(false)).State);
            return new(request, domain.Name, domain.Uuid, state, definition, reading, volumes, active ? HostNeighbours.Read() : []);
        }
    }

    /// <summary>By UUID where it has the form of one, else by name, as virsh does; null where there is none.</summary>
    private static async Task<LibvirtDomain?> FindAsync(LibvirtConnection connection, string name, Guid? uuid, CancellationToken stop)
    {
        try
        {
            if (uuid is { } known) return await connection.LookupDomainAsync(known, stop).ConfigureAwait(false);
        }
        catch (LibvirtException error) when (error.Code == VirErrorCode.NoDomain)
        {
            // A machine may bear the UUID of another as its name.
        }
        try
        {
            return await connection.LookupDomainAsync(name, stop).ConfigureAwait(false);
        }
        catch (LibvirtException error) when (error.Code == VirErrorCode.NoDomain)
        {
            return null;
        }
    }

    /// <summary>A change that waits for the next start would be lost or half done by what adoption does to both definitions.</summary>
    private static async Task CompareAsync(LibvirtDomain domain, string subject, XDocument live, List<Refusal> refusals, CancellationToken stop)
    {
        var stored = DomainText.Parse(await domain.GetXmlAsync(DomainXmlFlags.Inactive, stop).ConfigureAwait(false));
        if (!MachineReading.WritablePaths(live).ToHashSet().SetEquals(MachineReading.WritablePaths(stored)))
            refusals.Add(new(subject, "The disks of the running machine are not those of its definition.", "Shut it down once, or attach and detach with --live --config."));
    }

    private static ExaminedVolume? Volume(HostPicture host, Guid uuid, string subject, DeclaredDisk disk, bool active, List<Refusal> refusals)
    {
        var part = $"{subject}/{disk.Target}";
        IReadOnlyList<DiskImageFacts> chain;
        try
        {
            chain = DiskChainInspector.Inspect(disk.Path, disk.Format);
        }
        catch (WeaveException error) when (error.Fault is not Fault.Internal)
        {
            refusals.Add(new(part, error.Message, error.NextStep ?? "Repair the disk, or use another."));
            return null;
        }
        // A running QEMU with lazy refcounts marks its image dirty and clears that when it ends.
        if (chain[0].IsDirty && !active) refusals.Add(new(part, "Its image was not closed properly.", $"Repair it: qemu-img check -r all {disk.Path}"));
        foreach (var layer in chain.Skip(1).Where(l => l.IsDirty)) refusals.Add(new(part, $"Its backing file {Ids.Quote(layer.Path)} was not closed properly.", $"Repair it: qemu-img check -r all {layer.Path}"));
        foreach (var layer in chain)
            foreach (var other in host.WritersOf(layer.Identity).Where(w => w.Uuid != uuid).Select(w => w.Name).Distinct())
                refusals.Add(new(part, $"{Ids.Quote(layer.Path)} is also a writable disk of machine {Ids.Quote(other)}.", "Give each machine a disk of its own."));
        return new(VolumeName.Parse(disk.Target), disk.Path, disk.Format, chain[0].VirtualSize);
    }

    private static bool Same(string? left, string? right) => left is not null && string.Equals(left, right, StringComparison.OrdinalIgnoreCase);
}
