using System.Globalization;
using System.Net;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator.Networks;

/// <summary>Virtual switches, and the host's own addresses and address translation. Names of switches may repeat; destroying one leaves the connections to it dangling.</summary>
internal sealed class HostNetwork(SimulatedHost host)
{
    private const int LongestNatName = 39;

    private sealed class Switch(Guid id, CimObject settings, bool isInternal, uint index)
    {
        public Guid Id { get; } = id;
        public CimObject Settings { get; set; } = settings;
        public bool IsInternal { get; } = isInternal;
        /// <summary>Of the host's own adapter on an internal switch.</summary>
        public uint Index { get; } = index;
    }

    private readonly List<Switch> _switches = [];
    private readonly List<CimObject> _standard = [];
    private uint _nextIndex = 20;
    private uint _nextMapping;
    private int _nextMac;

    public string NewMac() => "00155D01" + (_nextMac++ & 0xFFFF).ToString("X4", CultureInfo.InvariantCulture);

    public bool HasSwitch(string? hostResource) => CimPath.TryParse(hostResource, out var path) && _switches.Exists(s => PathOf(s).Equals(path));

    /// <summary>The name of the switch that an adapter is connected to; null where it is to none that is there.</summary>
    public string? SwitchOf(Configuration own, CimObject nic) => own.Resources.Find(r => r.ClassName == EthernetPortAllocationSettingData.ClassName && SimulatedHost.ParentOf(own, r) == nic && r.Find(EthernetPortAllocationSettingData.EnabledState) != 3) is { } connection
        && CimPath.TryParse(connection.List(EthernetPortAllocationSettingData.HostResource).FirstOrDefault(), out var path) ? _switches.Find(s => PathOf(s).Equals(path))?.Settings.Get(VirtualEthernetSwitchSettingData.ElementName) : null;

    /// <summary>A frame from one machine's NIC reaches another's: both are on the same switch, connected and running, and neither address is there twice among them.</summary>
    public bool Reaches(Machine from, Machine to) => Ports(from).Any(a => Ports(to).Any(b => a.Switch.Equals(b.Switch)
        && host.Machines.Where(m => !m.IsPlanned && m.State == RunState.Running).SelectMany(Ports).Where(p => p.Switch.Equals(a.Switch)).GroupBy(p => p.Mac).All(g => g.Count() == 1 || (g.Key != a.Mac && g.Key != b.Mac))));

    /// <summary>Nobody else that runs has the same address on a switch.</summary>
    public bool IsAlone(CimPath place, string mac) => host.Machines.Where(m => !m.IsPlanned && m.State == RunState.Running).SelectMany(Ports).Count(p => p.Switch.Equals(place) && p.Mac.Equals(mac, StringComparison.OrdinalIgnoreCase)) == 1;

    /// <summary>Two machines are on one switch, the first with this address; the second, where it is given, with an adapter on which its guest has <paramref name="address"/>.</summary>
    public bool Meet(Machine one, string mac, Machine other, string? address = null) => Ports(one).Where(a => a.Mac.Equals(mac, StringComparison.OrdinalIgnoreCase) && IsAlone(a.Switch, a.Mac))
        .Any(a => Ports(other).Any(b => a.Switch.Equals(b.Switch) && IsAlone(b.Switch, b.Mac) && (address is null || host.GuestAddresses.GetValueOrDefault(b.Mac).Address == address)));

    /// <summary>The host's own addresses on internal switches, with their networks.</summary>
    public IEnumerable<(CimPath Switch, IPNetwork Network)> HostAddresses() =>
        from address in _standard
        where address.ClassName == NetIPAddress.ClassName
        from place in _switches
        where place.IsInternal && place.Index == address.Find(NetIPAddress.InterfaceIndex)
        let length = address.Find(NetIPAddress.PrefixLength)!.Value
        select (PathOf(place), new IPNetwork(Mask(IPAddress.Parse(address.Get(NetIPAddress.IPAddress)!), length), length));

    /// <summary>TCP ports on which programs of the host listen.</summary>
    public HashSet<ushort> TakenPorts { get; } = [];

    /// <summary>Where a published port of the host leads; null where it is none.</summary>
    public (string Address, int Port)? MappedTo(int port, bool udp) => _standard.Find(o => o.ClassName == NetNatStaticMapping.ClassName && o.Find(NetNatStaticMapping.ExternalPort) == port && o.Find(NetNatStaticMapping.Protocol) == (udp ? 17u : 6u)) is { } mapping
        ? (mapping.Get(NetNatStaticMapping.InternalIPAddress)!, mapping.Find(NetNatStaticMapping.InternalPort)!.Value) : null;

    /// <summary>The host translates what comes from an address.</summary>
    public bool Translates(string address) => _standard.Exists(o => o.ClassName == NetNat.ClassName && IPNetwork.Parse(o.Get(NetNat.InternalIPInterfaceAddressPrefix)!).Contains(IPAddress.Parse(address)));

    public IEnumerable<(CimPath Switch, string Mac)> Ports(Machine machine) =>
        from nic in machine.Own.Nics
        from connection in machine.Own.Resources
        where machine.State == RunState.Running && connection.ClassName == EthernetPortAllocationSettingData.ClassName && connection.Find(EthernetPortAllocationSettingData.EnabledState) != 3
            && SimulatedHost.ParentOf(machine.Own, connection) == nic
        let path = connection.List(EthernetPortAllocationSettingData.HostResource).FirstOrDefault()
        where HasSwitch(path)
        select (CimPath.Parse(path!), nic.Get(SyntheticEthernetPortSettingData.Address)!);

    public CimPath AddSwitch(string name, bool isInternal)
    {
        var made = Make(new CimObject(VirtualEthernetSwitchSettingData.ClassName).With(VirtualEthernetSwitchSettingData.ElementName, name), isInternal);
        _switches.Add(made);
        return PathOf(made);
    }

    private Switch Make(CimObject settings, bool isInternal)
    {
        var id = host.NewId();
        return new(id, settings.With(VirtualEthernetSwitchSettingData.InstanceID, "Microsoft:" + MachineFiles.Name(id)).With(VirtualEthernetSwitchSettingData.VirtualSystemIdentifier, MachineFiles.Name(id)), isInternal, _nextIndex++);
    }

    public MethodReply DefineSwitch(MethodCall call)
    {
        var given = call.NeedSettings("SystemSettings");
        var ports = call.AllSettings("ResourceSettings");
        var own = host.PathOf(ComputerSystem.ClassName, HostNamespaces.Virtualization, ("CreationClassName", ComputerSystem.ClassName), ("Name", host.Options.Name));
        if (ports.Any(p => !CimPath.TryParse(p.List(EthernetPortAllocationSettingData.HostResource).FirstOrDefault(), out var path) || !path.Equals(own))) throw new Refusal(Refusal.InvalidParameter, "A port names neither this host nor an adapter of it.");
        return host.Short(call, null, "Defining a virtual switch", () =>
        {
            var made = Make(given, ports.Count > 0);
            _switches.Add(made);
            return ([PathOf(made)], [("ResultingSystem", PathOf(made))]);
        });
    }

    public MethodReply DestroySwitch(MethodCall call)
    {
        var path = call.NeedPath("AffectedSystem");
        var gone = _switches.Find(s => PathOf(s).Equals(path)) ?? throw new Refusal(Refusal.InvalidParameter);
        return host.Short(call, null, "Removing a virtual switch", () =>
        {
            _switches.Remove(gone);
            _standard.RemoveAll(o => o.ClassName == NetIPAddress.ClassName && o.Find(NetIPAddress.InterfaceIndex) == gone.Index);
            return ([], []);
        });
    }

    public MethodReply ModifySwitch(MethodCall call)
    {
        var given = call.NeedSettings("SystemSettings");
        var changed = _switches.Find(s => s.Settings.Get(VirtualEthernetSwitchSettingData.InstanceID)!.Equals(given.Get(VirtualEthernetSwitchSettingData.InstanceID), StringComparison.OrdinalIgnoreCase)) ?? throw new Refusal(Refusal.InvalidParameter);
        return host.Short(call, null, "Changing a virtual switch", () =>
        {
            changed.Settings = given.Properties.Where(p => p.Key != "InstanceID").Aggregate(changed.Settings, (s, p) => s.With(p.Key, p.Value));
            return ([PathOf(changed)], []);
        });
    }

    public void RequireValid(CimObject acl)
    {
        if (acl.Find(EthernetSwitchPortExtendedAclSettingData.Direction) is not (1 or 2) || acl.Find(EthernetSwitchPortExtendedAclSettingData.Action) is not (1 or 2) || acl.Find(EthernetSwitchPortExtendedAclSettingData.Weight) is not > 0)
            throw new Refusal(Refusal.InvalidParameter, "A rule needs a direction, an action and a weight.");
    }

    /// <summary>MSFT_NetIPAddress.Create: 5010 where the address, or one of the same network, is on another interface already.</summary>
    public MethodReply CreateAddress(MethodCall call)
    {
        var text = call.NeedText("IPAddress");
        var index = call.Value<uint>("InterfaceIndex");
        var length = call.Value<byte>("PrefixLength");
        if (!IPAddress.TryParse(text, out var address) || length is null or > 32 || call.Number("AddressFamily") != 2) throw new Refusal(87);
        if (index is null || !_switches.Exists(s => s.IsInternal && s.Index == index)) throw new Refusal(1168, "There is no such interface.");
        var network = new IPNetwork(Mask(address, length.Value), length.Value);
        if (_standard.Exists(o => o.ClassName == NetIPAddress.ClassName && network.Contains(IPAddress.Parse(o.Get(NetIPAddress.IPAddress)!)))) throw new Refusal(5010, "The address overlaps with another interface's.");
        var made = new CimObject(NetIPAddress.ClassName).With(NetIPAddress.Name, $"{text}:{index}").With(NetIPAddress.IPAddress, text).With(NetIPAddress.InterfaceIndex, index.Value).With(NetIPAddress.PrefixLength, length.Value).With(NetIPAddress.AddressFamily, (ushort)2)
            .With("CreationClassName", CimValue.Of("")).With("SystemCreationClassName", CimValue.Of("")).With("SystemName", CimValue.Of(""));
        _standard.Add(made);
        return MethodReply.Done(("CmdletOutput", new[] { Identify(made) }));
    }

    internal static IPAddress Mask(IPAddress address, int length)
    {
        var bytes = address.GetAddressBytes();
        for (var bit = length; bit < bytes.Length * 8; bit++) bytes[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        return new(bytes);
    }

    /// <summary>Makes an object of a class that has no method for it.</summary>
    public CimObject Create(CimObject instance)
    {
        var made = instance.ClassName switch
        {
            NetNat.ClassName => CreateNat(instance),
            NetNatStaticMapping.ClassName => CreateMapping(instance),
            _ => throw new CimException(CimStatus.NotSupported, $"{instance.ClassName} cannot be made so."),
        };
        _standard.Add(made);
        return Identify(made);
    }

    private CimObject CreateNat(CimObject given)
    {
        var name = given.Get(NetNat.Name);
        if (name is not { Length: > 0 and <= LongestNatName } || !IPNetwork.TryParse(given.Get(NetNat.InternalIPInterfaceAddressPrefix), out _)) throw new CimException(CimStatus.InvalidParameter, "The name or the prefix is not valid.", 0x80070057);
        var nats = _standard.Where(o => o.ClassName == NetNat.ClassName).ToList();
        if (nats.Exists(n => n.Get(NetNat.Name)!.Equals(name, StringComparison.OrdinalIgnoreCase))) throw new CimException(CimStatus.AlreadyExists, $"There is a translation {name} already.", 0x800700B7);
        if (nats.Count > 0 && !host.Behaviour.TakesSeveralNats) throw new CimException(CimStatus.InvalidParameter, "The host has a prefix for translation already.", 0x80070057);
        return given.With(NetNat.InstanceID, name + ";0").With(NetNat.Active, (byte)1);
    }

    private CimObject CreateMapping(CimObject given)
    {
        if (_standard.Find(o => o.ClassName == NetNat.ClassName && o.Get(NetNat.Name) == given.Get(NetNatStaticMapping.NatName)) is not { } nat) throw new CimException(CimStatus.NotFound, "There is no such translation.", 0x80070490);
        if (!IPAddress.TryParse(given.Get(NetNatStaticMapping.InternalIPAddress), out var target) || !IPNetwork.Parse(nat.Get(NetNat.InternalIPInterfaceAddressPrefix)!).Contains(target)) throw new CimException(CimStatus.InvalidParameter, "The address is not within the translation's prefix.", 0x80070057);
        if (given.Find(NetNatStaticMapping.Protocol) == 6 && given.Find(NetNatStaticMapping.ExternalPort) is { } taken && TakenPorts.Contains(taken)) throw new CimException(CimStatus.Failed, "The process cannot access the file because it is being used by another process.", 0x80070020);
        if (_standard.Exists(o => o.ClassName == NetNatStaticMapping.ClassName && o.Find(NetNatStaticMapping.ExternalPort) == given.Find(NetNatStaticMapping.ExternalPort) && o.Find(NetNatStaticMapping.Protocol) == given.Find(NetNatStaticMapping.Protocol)))
            throw new CimException(CimStatus.AlreadyExists, "The port is mapped already.", 0x80070034);
        return given.With(NetNatStaticMapping.StaticMappingID, _nextMapping).With(NetNatStaticMapping.InstanceID, $"{given.Get(NetNatStaticMapping.NatName)};{_nextMapping++}").With(NetNatStaticMapping.Active, (byte)1);
    }

    /// <summary>Deletes such an object; with a translation go its mappings.</summary>
    public void Delete(CimPath path)
    {
        var gone = _standard.Find(o => Identify(o).Reference.Equals(path)) ?? throw new CimException(CimStatus.NotSupported, $"{path} cannot be deleted so.");
        _standard.Remove(gone);
        if (gone.ClassName == NetNat.ClassName) _standard.RemoveAll(o => o.ClassName == NetNatStaticMapping.ClassName && o.Get(NetNatStaticMapping.NatName) == gone.Get(NetNat.Name));
    }

    public IEnumerable<CimObject> Objects()
    {
        foreach (var s in _switches)
        {
            yield return new CimObject(VirtualEthernetSwitch.ClassName).With(VirtualEthernetSwitch.CreationClassName, VirtualEthernetSwitch.ClassName).With(VirtualEthernetSwitch.Name, MachineFiles.Name(s.Id))
                .With(VirtualEthernetSwitch.ElementName, s.Settings.Get(VirtualEthernetSwitchSettingData.ElementName)).With(VirtualEthernetSwitch.EnabledState, (ushort)5);
            yield return s.Settings;
            if (s.IsInternal)
                yield return new CimObject(InternalEthernetPort.ClassName).With("CreationClassName", CimValue.Of(InternalEthernetPort.ClassName)).With(InternalEthernetPort.DeviceID, "Microsoft:" + MachineFiles.Name(s.Id))
                    .With("SystemCreationClassName", CimValue.Of(ComputerSystem.ClassName)).With(InternalEthernetPort.SystemName, host.Options.Name).With(InternalEthernetPort.ElementName, s.Settings.Get(VirtualEthernetSwitchSettingData.ElementName));
        }
    }

    public IEnumerable<Link> Links() =>
        _switches.Select(s => new Link(SettingsDefineState.ClassName, "ManagedElement", PathOf(s), "SettingData", host.PathOf(s.Settings)));

    /// <summary>What is shown in the namespace of Windows' networks.</summary>
    public IEnumerable<CimObject> StandardObjects() => _standard.Concat(_switches.Where(s => s.IsInternal).Select(Adapter)).Where(o => host.Options.HasNat || !o.ClassName.StartsWith("MSFT_NetNat", StringComparison.Ordinal)).Select(Identify);

    private CimObject Adapter(Switch s) => new CimObject(NetAdapter.ClassName).With("CreationClassName", CimValue.Of(NetAdapter.ClassName)).With(NetAdapter.DeviceID, $"{{{MachineFiles.Name(s.Id)}}}")
        .With("SystemCreationClassName", CimValue.Of("CIM_NetworkPort")).With(NetAdapter.SystemName, host.Options.Name).With(NetAdapter.InterfaceIndex, s.Index).With(NetAdapter.InterfaceGuid, $"{{{MachineFiles.Name(s.Id)}}}")
        .With(NetAdapter.Name, $"vEthernet ({s.Settings.Get(VirtualEthernetSwitchSettingData.ElementName)})");

    private CimObject Identify(CimObject o)
    {
        var type = host.Schema.Find(o.ClassName)!;
        return new(type.Name, new CimPath(host.Options.Name, type.Namespace, type.Name, type.Keys.Select(k => new KeyValuePair<string, CimValue>(k, o[k]!))), o.Properties.Select(p => new KeyValuePair<string, CimValue?>(p.Key, p.Value)));
    }

    private CimPath PathOf(Switch s) => host.PathOf(VirtualEthernetSwitch.ClassName, HostNamespaces.Virtualization, ("CreationClassName", VirtualEthernetSwitch.ClassName), ("Name", MachineFiles.Name(s.Id)));
}
