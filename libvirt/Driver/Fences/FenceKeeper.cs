using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>
/// The isolated networks of a weave and their gateway. Per environment network a bridge of ours, and a libvirt network that leads machines to it; one network namespace that has
/// a leg in each, with the address and the MAC that the original gateway had; one uplink to the host with an outer address for every machine address.
/// </summary>
internal sealed partial class FenceKeeper(DriverContext context)
{
    private const string RecordName = "fence.json";

    // Two fences made at once must not choose the same subnet, also not by two services on this host.
    private readonly HostLock _choosing = new($"/run/weave.{context.Options.Prefix}.fences.lock");

    private string Folders => Path.Combine(context.Options.Root, "fences");

    public string NetworkName(FenceTag tag, int index) => Names(tag).Network(index);

    /// <summary>Makes what is missing; what is there is kept, and its rules are written again.</summary>
    public async Task<FenceFacts> MakeAsync(FenceSpec fence, CancellationToken stop)
    {
        var names = Names(fence.Tag);
        var record = await RecordAsync(fence, stop);
        var taps = await TapsAsync(names, fence, stop);
        // A namespace whose name is gone may live on in its name server, with the other ends of the links.
        if (!IsThere(names)) await ClearGatewayAsync(names, stop);
        // Most of the time of each is starting a program and waiting for kernel or libvirt. No machine is plugged in before all have ended; where some run already, nothing is joined for them before the rules are there.
        var rules = SetRulesAsync(names, record, fence, taps, stop);
        if (taps.Count > 0) await rules;
        await Task.WhenAll(rules, BridgedFrames.LetPassAsync(Bridges(names, fence), stop), WireAsync());
        await PlugInAsync(taps, stop);
        return new(record.Addresses);

        async Task WireAsync()
        {
            var server = new NameServer(Folder(fence.Tag));
            var starts = server.PrepareAsync(fence, stop);
            await Task.WhenAll(Task.WhenAll(Enumerable.Range(0, fence.Networks.Count).Select(i => EnsureNetworkAsync(names, i, fence, stop))), EnsureNamespaceAsync(names, stop), starts);
            await EnsureLinksAsync(names, record, fence, await starts ? server.Start : "", stop);
        }
    }

    /// <summary>Removes all of a fence, whole or in parts; gone already: success.</summary>
    public async Task RetireAsync(FenceTag tag, CancellationToken stop)
    {
        var names = Names(tag);
        await ClearGatewayAsync(names, stop);
        foreach (var network in await NetworksAsync(stop))
            using (network)
                if (FenceNames.TagOf(context.Options.Prefix, network.Name) == tag) await EndNetworkAsync(network, stop);
        // Ours; or a libvirtd that died while it ended a network of an earlier version, which made its bridge itself, has left it.
        foreach (var link in Links().Where(l => l.StartsWith(names.BridgePrefix, StringComparison.Ordinal)))
            if (await HostCommand.TryAsync("ip", ["link", "delete", link], null, stop) is { Exit: not 0 } failed && Links().Contains(link))
                throw HostCommand.Failed(failed, "Look at the host's network configuration; another program may have changed what the service made.");
        await FirewallRemnants.ClearAsync(names.BridgePrefix, stop);
        await RemoveRulesAsync(names, stop);
        if (Directory.Exists(Folder(tag))) Directory.Delete(Folder(tag), recursive: true);
        if (Directory.Exists(Folders) && !Directory.EnumerateFileSystemEntries(Folders).Any()) TryRemoveFolders();
    }

    private async Task ClearGatewayAsync(FenceNames names, CancellationToken stop)
    {
        await new NameServer(Folder(names.Tag)).StopAsync(stop);
        if (IsThere(names)) await HostCommand.RunAsync("ip", ["netns", "delete", names.Namespace], null, stop);
        // The folder itself is made with the first namespace after each start of the host.
        else if (File.Exists(names.NamespacePath)) File.Delete(names.NamespacePath);
        // Links end with the namespace that holds their other end, in the kernel's own time; these may be half made and have no other end there.
        foreach (var link in Links().Where(l => l == names.HostUplink || l.StartsWith($"wv{names.Tag.Text}g", StringComparison.Ordinal)))
            await HostCommand.TryAsync("ip", ["link", "delete", link], null, stop);
    }

    /// <summary>The gateway's namespace is there: its name alone may be left of it.</summary>
    private static bool IsThere(FenceNames names) => File.Exists(names.NamespacePath) && File.ReadLines("/proc/self/mountinfo").Any(l => l.Contains($" {names.NamespacePath} ", StringComparison.Ordinal));

    /// <summary>Tags of all fences of this service on the host, whole or in parts.</summary>
    public async Task<IReadOnlyList<FenceTag>> ListAsync(CancellationToken stop)
    {
        var found = new HashSet<FenceTag>();
        if (Directory.Exists("/run/netns")) foreach (var path in Directory.EnumerateFiles("/run/netns")) Add(Path.GetFileName(path));
        foreach (var network in await NetworksAsync(stop))
            using (network) Add(network.Name);
        if (Directory.Exists(Folders))
            foreach (var path in Directory.EnumerateDirectories(Folders)) if (FenceTag.TryCreate(Path.GetFileName(path), out var tag)) found.Add(tag);
        foreach (var line in (await HostCommand.RunAsync("nft", ["list", "tables"], null, stop)).Split('\n')) Add(line.Split(' ')[^1].Trim());
        return [.. found];

        void Add(string name)
        {
            if (FenceNames.TagOf(context.Options.Prefix, name) is { } tag) found.Add(tag);
        }
    }

    private FenceNames Names(FenceTag tag) => new(context.Options.Prefix, tag);
    private string Folder(FenceTag tag) => Path.Combine(Folders, tag.Text.Length == 8 ? tag.Text : throw new WeaveException(Fault.InvalidRequest, "A fence needs a tag."));

    private string RecordPath(FenceTag tag) => Path.Combine(Folder(tag), RecordName);

    /// <summary>What is kept beside a fence; null where there is no such file.</summary>
    public async Task<FenceRecord?> ReadRecordAsync(FenceTag tag, CancellationToken stop) =>
        RecordPath(tag) is var path && File.Exists(path) ? JsonSerializer.Deserialize(await File.ReadAllTextAsync(path, stop), FenceJson.Default.FenceRecord)! : null;

    private void TryRemoveFolders()
    {
        try
        {
            Directory.Delete(Folders);
        }
        catch (IOException)
        {
            // Another fence has come meanwhile.
        }
    }

    /// <summary>Decides the subnet and the outer addresses, once; written before anything is made.</summary>
    private async Task<FenceRecord> RecordAsync(FenceSpec fence, CancellationToken stop)
    {
        using (await _choosing.TakeAsync(stop))
        {
            var kept = await ReadRecordAsync(fence.Tag, stop);
            // While a fence is not there, nothing but its record keeps its subnet, and others of this host (another service, a tunnel) know nothing of that.
            var subnet = kept is not null && Directory.Exists("/sys/class/net/" + Names(fence.Tag).HostUplink) ? kept.Subnet : await FreeSubnetAsync(fence.Tag, kept?.Subnet, stop);
            var record = new FenceRecord(fence.Tag, subnet, Outer(fence, subnet))
            {
                GatewayMacs = [.. fence.Networks.Select(n => n.GatewayMac?.ToLowerInvariant()).OfType<string>()], Plugs = GivePlugs(fence, kept?.Plugs ?? []),
                Grouped = GroupRules.Wanted(fence) || kept is { Grouped: true },
            };
            DurableFile.CreateDirectory(context.Options.Root, DriverPaths.FolderMode);
            DurableFile.CreateDirectory(Folders, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            DurableFile.CreateDirectory(Folder(fence.Tag), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            DurableFile.Write(RecordPath(fence.Tag), file => JsonSerializer.Serialize(file, record, FenceJson.Default.FenceRecord));
            return record;
        }
    }

    private static IReadOnlyList<MachineAddress> Outer(FenceSpec fence, string subnet)
    {
        // A network without a gateway gives the namespace no address from which it could reach machines there.
        var reachable = fence.Networks.Where(n => n.Gateway is not null).Select(n => n.Name).ToHashSet();
        var inner = fence.Machines.SelectMany(m => m.Nics.Where(n => reachable.Contains(n.Network)).SelectMany(n => n.Addresses.Select(a => (m.Name, n.Mac, Address: a)))).DistinctBy(a => a.Address).ToList();
        if (inner.Count > FenceRecord.LastOuter - FenceRecord.FirstOuter + 1)
            throw new WeaveException(Fault.Unsupported, $"The weave '{fence.Environment}/{fence.Weave}' has {inner.Count} addresses; a fence has room for 240.", "Split the environment.");
        return [.. inner.Select((a, i) => new MachineAddress(a.Name, a.Mac, Checked(a.Address), string.Create(CultureInfo.InvariantCulture, $"{subnet}.{FenceRecord.FirstOuter + i}")))];
    }

    internal static bool IsAddress(string address) => IPAddress.TryParse(address, out var ip) && ip.ToString() == address && ip.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;

    internal static string Checked(string address) => IsAddress(address) ? address
        : throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(address)} is no IPv4 address.");

    /// <summary>A /24 of 100.64.0.0/10 that no interface of the host and no other fence uses: the one that is wanted, or the first from a place that the tag decides.</summary>
    private async Task<string> FreeSubnetAsync(FenceTag tag, string? wanted, CancellationToken stop)
    {
        var used = new HashSet<string>();
        // proc(5) has no word on it: all routing tables, those of local addresses too, with a line `|-- ADDRESS` for each leaf.
        foreach (var line in await File.ReadAllLinesAsync("/proc/net/fib_trie", stop))
            if (line.Split("|-- 100.") is [_, var rest]) used.Add("100." + rest[..rest.LastIndexOf('.')]);
        if (Directory.Exists(Folders))
            foreach (var path in Directory.EnumerateFiles(Folders, RecordName, SearchOption.AllDirectories).Where(p => p != RecordPath(tag)))
                if (JsonSerializer.Deserialize(await File.ReadAllTextAsync(path, stop), FenceJson.Default.FenceRecord) is { } other) used.Add(other.Subnet);
        if (wanted is not null && !used.Contains(wanted)) return wanted;
        const int count = 64 * 256;
        var start = (int)(uint.Parse(tag.Text, NumberStyles.HexNumber, CultureInfo.InvariantCulture) % count);
        for (var i = 0; i < count; i++)
        {
            var n = (start + i) % count;
            var subnet = string.Create(CultureInfo.InvariantCulture, $"100.{64 + n / 256}.{n % 256}");
            if (used.Add(subnet)) return subnet;
        }
        throw new WeaveException(Fault.Exhausted, "All subnets of 100.64.0.0/10 are in use on this host.", "Delete weaves that are no longer needed.");
    }

    private static async Task EndNetworkAsync(LibvirtNetwork network, CancellationToken stop)
    {
        try
        {
            if (await network.IsActiveAsync(stop)) await network.DestroyAsync(stop);
            if (await network.IsPersistentAsync(stop)) await network.UndefineAsync(stop);
        }
        catch (LibvirtException e) when (e.Code == VirErrorCode.NoNetwork)
        {
            // A transient network is gone as soon as it is not active.
        }
    }

    private Task<IReadOnlyList<LibvirtNetwork>> NetworksAsync(CancellationToken stop) => context.Host.CallAsync("list networks", connection => connection.ListNetworksAsync(cancellationToken: stop), stop);

    private static IEnumerable<string> Links() => Directory.EnumerateFileSystemEntries("/sys/class/net").Select(p => Path.GetFileName(p));
}
