using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Examining;
using WeaveHypervisor.Libvirt.Inspecting;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Importing;

/// <summary>Makes machines of a user's from images and a manifest. Nothing of ours marks them: from then on they are adopted like any others, and stay when they are released.</summary>
internal sealed class MachineImporter(DriverContext context)
{
    public Task PrepareAsync(string path, CancellationToken stop) => Task.Run(() => context.Paths.EnsureImports(Path.GetDirectoryName(path)!), stop);

    public Task AcceptAsync(string path, long virtualSize, CancellationToken stop) => Task.Run(() =>
    {
        var facts = DiskImageInspector.Inspect(path, DiskFormat.Qcow2);
        if (facts.BackingName is { } backing) throw new WeaveException(Fault.Unsupported, $"The image {Ids.QuotePath(path)} stands on another file ({Ids.QuotePath(backing)}).", "Import images that stand alone, as `weave export` makes them.");
        if (facts.VirtualSize != virtualSize)
            throw new WeaveException(Fault.DataLoss, $"The image {Ids.QuotePath(path)} is a disk of {facts.VirtualSize} bytes, and its manifest says {virtualSize}.", "Copy the folder again, or export anew.");
        DurableFile.Own(path, context.Paths.QemuOwner);
    }, stop);

    public Task<IReadOnlyList<NetworkName>> CheckAsync(ImportRequest request, CancellationToken stop) => context.Host.CallAsync<IReadOnlyList<NetworkName>>("look whether machines can be imported", async connection =>
    {
        List<Refusal> refusals = [];
        var there = await NetworksAsync(connection, stop);
        List<NetworkName> made = [];
        foreach (var wanted in request.Networks)
        {
            if (there.TryGetValue(wanted.Name.Text, out var found))
            {
                if ((found.Gateway, found.PrefixLength) != (wanted.Gateway, wanted.PrefixLength))
                    refusals.Add(new($"network {wanted.Name}", $"There is a network of that name with {(found.Gateway is null ? "no address" : $"the addresses of {found.Gateway}/{found.PrefixLength}")}, not of {wanted.Gateway ?? "none"}/{wanted.PrefixLength}.", "Rename or remove it, or import on another host."));
            }
            else if (there.FirstOrDefault(n => NetworkReading.Overlap(n.Value, wanted)) is { Key: { } other })
                refusals.Add(new($"network {wanted.Name}", $"Its addresses ({wanted.Gateway}/{wanted.PrefixLength}) are those of network {Ids.Quote(other)}.", "Remove that network, or import on another host."));
            else made.Add(wanted.Name);
        }
        await MachinesAsync(connection, request, refusals, stop);
        if (refusals.Count > 0)
            throw new WeaveException(Fault.Unsupported, $"'{request.Environment}' cannot be imported here: {string.Join("; ", refusals.Select(r => $"{r.Subject}: {r.Reason}"))}", string.Join(" ", refusals.Select(r => r.NextStep).Distinct()));
        return made;
    }, stop);

    public Task DefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop) => context.Host.CallAsync("define the imported machines", async connection =>
    {
        var there = await NetworksAsync(connection, stop);
        foreach (var network in request.Networks.Where(n => made.Contains(n.Name)))
        {
            var id = ImportDefinition.NetworkUuid(request, network.Name);
            if (!there.ContainsKey(network.Name.Text)) (await connection.DefineNetworkAsync(ImportDefinition.Network(network, id).ToString(SaveOptions.DisableFormatting), stop)).Dispose();
            using var defined = await connection.LookupNetworkAsync(network.Name.Text, stop);
            if (defined.Uuid != id) throw new WeaveException(Fault.Conflict, $"The network {network.Name} was made by somebody else while '{request.Environment}' was being imported.", "Import again: it is then used as it is, if it has the same addresses.");
            if (!await defined.IsActiveAsync(stop)) await defined.CreateAsync(stop);
        }
        var kvm = HostInspector.HasKvm;
        foreach (var machine in request.Machines) (await connection.DefineDomainAsync(ImportDefinition.Domain(machine, kvm).ToString(SaveOptions.DisableFormatting), cancellationToken: stop)).Dispose();
    }, stop);

    public Task UndefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop) => context.Host.CallAsync("remove the imported machines", async connection =>
    {
        foreach (var machine in request.Machines)
        {
            await IgnoreGoneAsync(async () =>
            {
                using var domain = await connection.LookupDomainAsync(machine.Machine.Uuid, stop);
                if (await domain.IsActiveAsync(stop)) await domain.DestroyAsync(cancellationToken: stop);
                await domain.UndefineAsync(DomainUndefineFlags.ManagedSave | DomainUndefineFlags.SnapshotsMetadata | DomainUndefineFlags.Nvram, stop);
            });
            foreach (var path in machine.Disks) DurableFile.Delete(path);
        }
        foreach (var name in made)
            await IgnoreGoneAsync(async () =>
            {
                using var network = await connection.LookupNetworkAsync(name.Text, stop);
                if (network.Uuid != ImportDefinition.NetworkUuid(request, name)) return;
                if (await network.IsActiveAsync(stop)) await network.DestroyAsync(stop);
                await network.UndefineAsync(stop);
            });
        context.Paths.RemoveImports(request.Environment);
    }, stop);

    private static async Task IgnoreGoneAsync(Func<Task> act)
    {
        try
        {
            await act();
        }
        catch (LibvirtException e) when (e.Code is VirErrorCode.NoDomain or VirErrorCode.NoNetwork)
        {
            // Gone is what was wanted.
        }
    }

    /// <summary>Networks of this host by name, running or not.</summary>
    private static async Task<Dictionary<string, NetworkBlueprint>> NetworksAsync(LibvirtConnection connection, CancellationToken stop)
    {
        var networks = new Dictionary<string, NetworkBlueprint>(StringComparer.Ordinal);
        foreach (var network in await connection.ListNetworksAsync(cancellationToken: stop))
            using (network)
                await IgnoreGoneAsync(async () =>
                {
                    // A name that we would not take is nobody's that we look for; its addresses are taken all the same.
                    var name = NetworkName.TryCreate(network.Name, out var known) ? known : NetworkName.Parse("network");
                    networks[network.Name] = NetworkReading.Read(name, DomainText.Parse(await network.GetXmlAsync(0, stop))).Blueprint;
                });
        return networks;
    }

    private static async Task MachinesAsync(LibvirtConnection connection, ImportRequest request, List<Refusal> refusals, CancellationToken stop)
    {
        var ours = request.Machines.Select(m => m.Machine.Uuid).ToHashSet();
        var macs = request.Machines.SelectMany(m => m.Shape.Nics).Select(n => (n.Network.Text, n.Mac)).ToHashSet();
        foreach (var domain in await connection.ListDomainsAsync(cancellationToken: stop))
            using (domain)
            {
                if (ours.Contains(domain.Uuid)) continue;
                if (request.Machines.Any(m => m.Machine.HypervisorName == domain.Name)) refusals.Add(new(domain.Name, "There is a machine of that name already.", "Import under another name with `--name`."));
                await IgnoreGoneAsync(async () =>
                {
                    foreach (var nic in DomainText.Parse(await domain.GetXmlAsync(DomainXmlFlags.Inactive, stop)).Root!.Element("devices")?.Elements("interface") ?? [])
                        if (((string?)nic.Element("source")?.Attribute("network"), ((string?)nic.Element("mac")?.Attribute("address"))?.ToLowerInvariant()) is ({ } network, { } mac) && macs.Contains((network, mac)))
                            refusals.Add(new(domain.Name, $"It has the MAC {mac} on network {Ids.Quote(network)}, which an imported machine would have, too.", "Remove that machine, or import on another host; beside the original a weave runs."));
                });
            }
    }
}
