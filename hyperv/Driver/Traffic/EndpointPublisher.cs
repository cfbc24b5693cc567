using System.Net;
using System.Text.Json.Serialization;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Fences;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Traffic;

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(IReadOnlyList<PublishedEndpoint>))]
internal sealed partial class PublishedJson : JsonSerializerContext;

/// <summary>
/// The published ports of this service: static mappings of Windows' translation (MSFT_NetNatStaticMapping). They bear no mark of their own, so that a record, <c>{Root}\published.json</c>, says which are ours: written
/// before they are made, and after they are removed. A target must be within a prefix that the host translates: outer addresses are, by the translation of the uplink; machines of a user are where the user's own is.
/// Windows has no transaction for it: what is new is made first, and taken back where any of it is refused; only then what is not wanted any more goes.
/// </summary>
internal sealed class EndpointPublisher(DriverContext context) : IDisposable
{
    private const uint Tcp = 6, Udp = 17;
    private const string Any = "0.0.0.0";
    private readonly Uplink _uplink = new(context, new(context));
    private readonly UplinkPlan _plan = new(context.Options);
    private readonly SemaphoreSlim _one = new(1, 1);

    private string RecordPath { get; } = HostPath.Join(context.Options.Root, "published.json");

    public void Dispose() => _one.Dispose();

    /// <inheritdoc cref="IHypervisorDriver.PublishAsync"/>
    public Task PublishAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop) => HyperVFaults.DoAsync(async () =>
    {
        foreach (var endpoint in endpoints) Check(endpoint);
        await _one.WaitAsync(stop);
        try
        {
            var recorded = await ReadAsync(stop);
            if (endpoints.Count == 0 && recorded.Count == 0) return;
            var there = await _uplink.MappingsAsync(stop);
            var names = await NamesAsync(endpoints, stop);
            var fresh = endpoints.Where(e => there.All(m => !Is(m, e))).ToList();
            foreach (var e in fresh)
                if (there.FirstOrDefault(m => Collides(m, e) && !recorded.Any(r => Is(m, r))) is { } taken)
                    throw Taken(e, $"the translation '{taken.Get(NetNatStaticMapping.NatName)}' leads it to {taken.Get(NetNatStaticMapping.InternalIPAddress)}:{taken.Find(NetNatStaticMapping.InternalPort)}", taken.Get(NetNatStaticMapping.NatName));
            var gone = there.Where(m => recorded.Any(r => Is(m, r)) && endpoints.All(e => !Is(m, e))).ToList();
            if (endpoints.Any(e => _plan.Contains(e.TargetAddress))) await _uplink.EnsureNatAsync(stop);
            await WriteAsync([.. endpoints, .. recorded.Where(r => endpoints.All(e => !IsSame(e, r)))], stop);
            await AddAsync([.. fresh.Where(e => gone.All(m => !Collides(m, e)))], names, recorded, stop);
            foreach (var mapping in gone) await context.UntilAsync("Removing a published port", async () =>
            {
                if ((await _uplink.MappingsAsync(stop)).FirstOrDefault(m => m.Reference.Equals(mapping.Reference)) is not { } left) return true;
                await _uplink.DeleteAsync(left, stop);
                return false;
            }, stop);
            foreach (var e in fresh.Where(e => gone.Exists(m => Collides(m, e)))) await AddAsync(e, names[e.TargetAddress], stop);
            await WriteAsync(endpoints, stop);
        }
        finally
        {
            _one.Release();
        }
    }, "Publishing ports");

    /// <summary>What is really published now: what the record says and the host has.</summary>
    public Task<IReadOnlyList<PublishedEndpoint>> ListAsync(CancellationToken stop) => HyperVFaults.AskAsync<IReadOnlyList<PublishedEndpoint>>(async () =>
    {
        var recorded = await ReadAsync(stop);
        if (recorded.Count == 0) return [];
        var there = await _uplink.MappingsAsync(stop);
        return [.. recorded.Where(r => there.Any(m => Is(m, r)))];
    }, "Looking for published ports");

    /// <summary>Makes what is new; where one of them is refused, those that were made are taken back.</summary>
    private async Task AddAsync(IReadOnlyList<PublishedEndpoint> fresh, Dictionary<string, string> names, IReadOnlyList<PublishedEndpoint> before, CancellationToken stop)
    {
        try
        {
            foreach (var e in fresh) await AddAsync(e, names[e.TargetAddress], stop);
        }
        catch (WeaveException e) when (e.Fault == Fault.Conflict)
        {
            foreach (var mapping in (await _uplink.MappingsAsync(stop)).Where(m => fresh.Any(f => Is(m, f)))) await _uplink.DeleteAsync(mapping, stop);
            await WriteAsync(before, stop);
            throw;
        }
    }

    private Task AddAsync(PublishedEndpoint e, string nat, CancellationToken stop) => context.UntilAsync($"Publishing {e.ListenAddress}:{e.ListenPort}", async () =>
    {
        if ((await _uplink.MappingsAsync(stop)).Any(m => Is(m, e))) return true;
        try
        {
            await context.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNatStaticMapping.ClassName).With(NetNatStaticMapping.NatName, nat).With(NetNatStaticMapping.Protocol, Protocol(e))
                .With(NetNatStaticMapping.ExternalIPAddress, e.ListenAddress).With(NetNatStaticMapping.ExternalPort, (ushort)e.ListenPort)
                .With(NetNatStaticMapping.InternalIPAddress, e.TargetAddress).With(NetNatStaticMapping.InternalPort, (ushort)e.TargetPort), stop);
        }
        catch (CimException error)
        {
            var told = HostErrors.Of(error, $"Publishing {e.ListenAddress}:{e.ListenPort}");
            throw told.Kind is HostErrorKind.InUse or HostErrorKind.AlreadyExists || error.WindowsError == 0x80070034 ? Taken(e, "a program of this host listens on it, or something else leads it away", null, told) : told;
        }
        return false;
    }, stop);

    /// <summary>The translation for each target. Without one that covers it: Unsupported, before anything is changed.</summary>
    private async Task<Dictionary<string, string>> NamesAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop)
    {
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        if (endpoints.Count == 0) return names;
        var nats = await _uplink.NatsAsync(stop);
        foreach (var target in endpoints.Select(e => e.TargetAddress).Distinct())
            names[target] = _plan.Contains(target) ? _uplink.NatName
                : nats.FirstOrDefault(n => IPNetwork.TryParse(n.Get(NetNat.InternalIPInterfaceAddressPrefix), out var prefix) && prefix.Contains(IPAddress.Parse(target)))?.Get(NetNat.Name)
                ?? throw new WeaveException(Fault.Unsupported, $"The host does not translate for {target}: a port cannot lead there.", "Use the machine's own address; or have the host translate for its network: `New-NetNat`.");
        return names;
    }

    private static WeaveException Taken(PublishedEndpoint e, string why, string? holder, Exception? inner = null) =>
        new(Fault.Conflict, $"Port {e.ListenPort} of {e.ListenAddress} is taken: {why}.", "Choose another port, or free it (`Get-NetTCPConnection -State Listen`, `Get-NetNatStaticMapping`).", inner, [holder ?? $"{e.ListenAddress}:{e.ListenPort}"]);

    private static uint Protocol(PublishedEndpoint e) => e.Protocol == RouteProtocol.Udp ? Udp : Tcp;

    private static bool Is(CimObject mapping, PublishedEndpoint e) => mapping.Find(NetNatStaticMapping.Protocol) == Protocol(e) && mapping.Get(NetNatStaticMapping.ExternalIPAddress) == e.ListenAddress && mapping.Find(NetNatStaticMapping.ExternalPort) == e.ListenPort
        && mapping.Get(NetNatStaticMapping.InternalIPAddress) == e.TargetAddress && mapping.Find(NetNatStaticMapping.InternalPort) == e.TargetPort;

    private static bool IsSame(PublishedEndpoint a, PublishedEndpoint b) => (a.Protocol, a.ListenAddress, a.ListenPort, a.TargetAddress, a.TargetPort) == (b.Protocol, b.ListenAddress, b.ListenPort, b.TargetAddress, b.TargetPort);

    private static bool Collides(CimObject mapping, PublishedEndpoint e) => mapping.Find(NetNatStaticMapping.Protocol) == Protocol(e) && mapping.Find(NetNatStaticMapping.ExternalPort) == e.ListenPort
        && (e.ListenAddress == Any || mapping.Get(NetNatStaticMapping.ExternalIPAddress) is { } at && (at == Any || at == e.ListenAddress));

    private static void Check(PublishedEndpoint endpoint)
    {
        UnenforcedRules.Check(endpoint);
        foreach (var address in new[] { endpoint.ListenAddress, endpoint.TargetAddress }) UplinkPlan.Checked(address);
        if (endpoint.ListenPort is < 1 or > 65535 || endpoint.TargetPort is < 1 or > 65535) throw new WeaveException(Fault.InvalidRequest, $"Route {endpoint.Id} has no valid port.");
        if (IPAddress.IsLoopback(IPAddress.Parse(endpoint.ListenAddress)))
            throw new WeaveException(Fault.Unsupported, $"Windows leads nothing on from {endpoint.ListenAddress}: a port of a loopback address cannot be published.", "Publish it at 0.0.0.0, or at an address of the host's, and let the firewall say who may connect.");
    }

    private async Task<IReadOnlyList<PublishedEndpoint>> ReadAsync(CancellationToken stop) =>
        await context.Files.ReadRecordAsync(RecordPath, PublishedJson.Default.IReadOnlyListPublishedEndpoint, "record of published ports", "Remove the mappings by hand (`Get-NetNatStaticMapping`), then delete it.", stop) ?? [];

    private Task WriteAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop) =>
        endpoints.Count == 0 ? context.Files.DeleteAsync(RecordPath, stop) : context.Files.WriteRecordAsync(RecordPath, endpoints, PublishedJson.Default.IReadOnlyListPublishedEndpoint, stop);
}
