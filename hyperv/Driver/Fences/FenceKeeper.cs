using System.Globalization;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>
/// The isolated networks of a weave: a private switch for each network, on which machines keep addresses and MACs, because no frame leaves it. Where the driver has an image for it
/// (<see cref="HyperVOptions.GatewayImage"/>), a gateway leads in from the host, and out where the uplink is open. Windows translates for one prefix only and keeps one set of addresses, so that equal networks of several
/// weaves never meet the host itself: each gateway translates to addresses of its own.
/// </summary>
internal sealed class FenceKeeper : IDisposable
{
    private readonly DriverContext _context;
    private readonly FenceStore _store;
    private readonly SwitchBoard _switches;
    private readonly Uplink _uplink;
    private readonly Gateway _gateway;
    private readonly VirtualHardware _hardware;
    private readonly UplinkPlan _plan;
    // Two fences made at once must not choose the same block, and the uplink is not taken away while one is made.
    private readonly SemaphoreSlim _one = new(1, 1);

    public FenceKeeper(DriverContext context)
    {
        _context = context;
        _store = new(context);
        _switches = new(context);
        _uplink = new(context, _switches);
        _gateway = new(context, _store);
        _hardware = new(context);
        _plan = new(context.Options);
    }

    public void Dispose() => _one.Dispose();

    private bool HasGateway => _context.Options.GatewayImage is not null;

    /// <inheritdoc cref="IHypervisorDriver.MakeFenceAsync"/>
    public Task<FenceFacts> MakeAsync(FenceSpec fence, CancellationToken stop) => HyperVFaults.AskAsync(async () =>
    {
        UnenforcedRules.Check(fence);
        await _one.WaitAsync(stop);
        try
        {
            var record = await RecordAsync(fence, stop);
            foreach (var network in fence.Networks) await _switches.EnsurePrivateAsync(fence.Tag, network.Name, stop);
            if (HasGateway && fence.Networks.Any(n => n.Gateway is not null))
            {
                var uplink = await _uplink.EnsureAsync(stop);
                if (fence.Uplink == UplinkMode.Nat) await _uplink.EnsureNatAsync(stop);
                await _gateway.EnsureAsync(fence, record, await _switches.ListAsync(stop), uplink, stop);
            }
            foreach (var (_, nic, place) in await LooseAsync(fence, await _switches.ListAsync(stop), stop)) await _hardware.ConnectAsync(nic, place, stop);
            return new FenceFacts(record.Addresses);
        }
        finally
        {
            _one.Release();
        }
    }, $"Making the fence of '{fence.Environment}/{fence.Weave}'");

    /// <inheritdoc cref="IHypervisorDriver.InspectFenceAsync"/>
    public Task<IReadOnlyList<string>> InspectAsync(FenceSpec fence, CancellationToken stop) => HyperVFaults.AskAsync<IReadOnlyList<string>>(async () =>
    {
        var switches = await _switches.ListAsync(stop);
        var record = await _store.ReadAsync(fence.Tag, stop);
        if (record is null && switches.All(s => s.Mark.Key != fence.Tag.Text) && await _gateway.FindAsync(fence.Tag, stop) is null) return ["it is gone from the host"];
        var missing = new List<string>();
        if (fence.Groups.Count > 0) missing.Add("its security groups are not enforced on Hyper-V");
        if (record is null) missing.Add($"its record {Ids.QuotePath(_store.RecordPath(fence.Tag))} is gone");
        foreach (var network in fence.Networks)
            if (SwitchBoard.Of(switches, fence.Tag, network.Name) is null) missing.Add($"the switch of its network {network.Name} is gone");
        if (HasGateway && fence.Networks.Any(n => n.Gateway is not null))
        {
            missing.AddRange(await _uplink.InspectAsync(fence.Uplink == UplinkMode.Nat, stop));
            missing.AddRange(await _gateway.InspectAsync(fence, switches, await _switches.FindUplinkAsync(stop), stop));
        }
        foreach (var (machine, nic, _) in await LooseAsync(fence, switches, stop)) missing.Add($"machine {machine} is not plugged into its network with {nic.Mac}");
        return missing;
    }, $"Looking at the fence of '{fence.Environment}/{fence.Weave}'");

    /// <summary>Removes all of a fence, whole or in parts; gone already: success. With the last one goes the way to the host.</summary>
    public Task RetireAsync(FenceTag tag, CancellationToken stop) => HyperVFaults.DoAsync(async () =>
    {
        await _one.WaitAsync(stop);
        try
        {
            await _gateway.RetireAsync(tag, stop);
            foreach (var place in (await _switches.ListAsync(stop)).Where(s => s.Mark.Key == tag.Text)) await _switches.DestroyAsync(place.Path, stop);
            await _store.DeleteAsync(tag, stop);
            if ((await TagsAsync(stop)).Count == 0 && await _switches.FindUplinkAsync(stop) is not null) await _uplink.RetireAsync(stop);
        }
        finally
        {
            _one.Release();
        }
    }, $"Removing fence {tag}");

    /// <summary>Tags of all fences of this service on the host, whole or in parts.</summary>
    public Task<IReadOnlyList<FenceTag>> ListAsync(CancellationToken stop) => HyperVFaults.AskAsync(() => TagsAsync(stop), "Looking for fences");

    private async Task<IReadOnlyList<FenceTag>> TagsAsync(CancellationToken stop)
    {
        var found = new HashSet<FenceTag>(await _store.ListAsync(stop));
        foreach (var key in (await _switches.ListAsync(stop)).Select(s => s.Mark.Key).Concat((await _gateway.ListAsync(stop)).Select(m => m.Mark!.Key)))
            if (FenceTag.TryCreate(key, out var tag)) found.Add(tag);
        return [.. found.OrderBy(t => t.Text, StringComparer.Ordinal)];
    }

    /// <summary>Decides the outer addresses, once. A gateway that was told otherwise goes before the record says so: what a record says is what its gateway does.</summary>
    private async Task<FenceRecord> RecordAsync(FenceSpec fence, CancellationToken stop)
    {
        var kept = await _store.ReadAsync(fence.Tag, stop);
        var block = 0;
        IReadOnlyList<MachineAddress> addresses = [];
        string? settings = null;
        if (HasGateway && fence.Networks.Any(n => n.Gateway is not null))
        {
            block = kept is { Block: > 0 } ? kept.Block : await FreeBlockAsync(fence.Tag, stop);
            addresses = Outer(fence, block);
            settings = GatewayText.Write(fence, _plan, block, addresses);
        }
        var record = new FenceRecord(fence.Tag, fence.Environment, fence.Weave, block, addresses, settings);
        if (kept?.Settings != settings) await _gateway.RetireAsync(fence.Tag, stop);
        await _store.WriteAsync(record, stop);
        return record;
    }

    private IReadOnlyList<MachineAddress> Outer(FenceSpec fence, int block)
    {
        // In a network without a gateway nothing of ours has an address from which it could reach machines.
        var reachable = fence.Networks.Where(n => n.Gateway is not null).Select(n => n.Name).ToHashSet();
        var inner = fence.Machines.SelectMany(m => m.Nics.Where(n => reachable.Contains(n.Network)).SelectMany(n => n.Addresses.Select(a => (m.Name, n.Mac, Address: a)))).DistinctBy(a => a.Address).ToList();
        if (inner.Count > UplinkPlan.LastOuter - UplinkPlan.FirstOuter + 1)
            throw new WeaveException(Fault.Unsupported, $"The weave '{fence.Environment}/{fence.Weave}' has {inner.Count} addresses; a fence has room for 240.", "Split the environment.");
        return [.. inner.Select((a, i) => new MachineAddress(a.Name, a.Mac, UplinkPlan.Checked(a.Address), _plan.Outer(block, i)))];
    }

    /// <summary>A block that no other fence has; the search begins at a place that the tag decides.</summary>
    private async Task<int> FreeBlockAsync(FenceTag tag, CancellationToken stop)
    {
        var used = new HashSet<int> { 0 };
        foreach (var other in await _store.ListAsync(stop))
            if (await _store.ReadAsync(other, stop) is { } record) used.Add(record.Block);
        var start = uint.Parse(tag.Text, NumberStyles.HexNumber, CultureInfo.InvariantCulture) % (uint)_plan.Blocks;
        for (var i = 0; i < _plan.Blocks; i++)
            if (used.Add((int)((start + i) % _plan.Blocks))) return (int)((start + i) % _plan.Blocks);
        throw new WeaveException(Fault.Exhausted, $"All blocks of {_plan.Prefix} are in use on this host.", $"Delete weaves that are no longer needed, or give the driver a larger prefix ({nameof(HyperVOptions.Uplink)}).");
    }

    /// <summary>The adapters of the fence's copies that are not on the switch that they belong to: those of machines that ran while it was taken away and made again.</summary>
    private async Task<IReadOnlyList<(MachineName Machine, MachineNic Nic, CimPath Place)>> LooseAsync(FenceSpec fence, IReadOnlyList<OwnedSwitch> switches, CancellationToken stop)
    {
        var loose = new List<(MachineName, MachineNic, CimPath)>();
        var copies = (await _context.Machines.ListAsync(stop)).Where(m => OwnedMark.Is(m.Mark, MarkKind.Copy, _context.Options)).ToLookup(m => m.Name);
        foreach (var machine in fence.Machines)
            foreach (var copy in copies[_context.Paths.NameCopy(fence.Environment, fence.Weave, machine.Name)])
                foreach (var nic in (await _context.Machines.ReadAsync(copy.Settings, stop)).Nics)
                    if (nic.Connection is not null && machine.Nics.FirstOrDefault(n => n.Mac.Equals(nic.Mac, StringComparison.OrdinalIgnoreCase)) is { } known
                        && SwitchBoard.Of(switches, fence.Tag, known.Network) is { } place && !place.Equals(nic.Switch))
                        loose.Add((machine.Name, nic, place));
        return loose;
    }
}
