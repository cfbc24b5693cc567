// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>MSFT_NetIPAddress</c>.</summary>
public static class NetIPAddress
{
    public const string ClassName = "MSFT_NetIPAddress";
    public static readonly CimProperty<string> Address = new("Address");
    public static readonly CimProperty<ushort> AddressFamily = new("AddressFamily");
    public static readonly CimProperty<ushort> AddressOrigin = new("AddressOrigin");
    public static readonly CimProperty<ushort> AddressState = new("AddressState");
    public static readonly CimProperty<ushort> AddressType = new("AddressType");
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> InterfaceAlias = new("InterfaceAlias");
    public static readonly CimProperty<uint> InterfaceIndex = new("InterfaceIndex");
    public static readonly CimProperty<string> IPAddress = new("IPAddress");
    public static readonly CimProperty<string> IPv4Address = new("IPv4Address");
    public static readonly CimProperty<string> IPv6Address = new("IPv6Address");
    public static readonly CimProperty<ushort> IPVersionSupport = new("IPVersionSupport");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<string> NameFormat = new("NameFormat");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> OtherTypeDescription = new("OtherTypeDescription");
    public static readonly CimProperty<CimTime> PreferredLifetime = new("PreferredLifetime");
    public static readonly CimProperty<byte> PrefixLength = new("PrefixLength");
    public static readonly CimProperty<ushort> PrefixOrigin = new("PrefixOrigin");
    public static readonly CimProperty<ushort> ProtocolIFType = new("ProtocolIFType");
    public static readonly CimProperty<ushort> ProtocolType = new("ProtocolType");
    public static readonly CimProperty<bool> SkipAsSource = new("SkipAsSource");
    public static readonly CimProperty<byte> Store = new("Store");
    public static readonly CimProperty<string> SubnetMask = new("SubnetMask");
    public static readonly CimProperty<ushort> SuffixOrigin = new("SuffixOrigin");
    public static readonly CimProperty<string> SystemCreationClassName = new("SystemCreationClassName");
    public static readonly CimProperty<string> SystemName = new("SystemName");
    public static readonly CimProperty<byte> Type = new("Type");
    public static readonly CimProperty<CimTime> ValidLifetime = new("ValidLifetime");

    public static CimCall Create(ushort? addressFamily = null, ushort? addressState = null, string? defaultGateway = null, string? interfaceAlias = null, uint? interfaceIndex = null, string? iPAddress = null, bool? passThru = null, string? policyStore = null, CimTime? preferredLifetime = null, byte? prefixLength = null, ushort? prefixOrigin = null, bool? skipAsSource = null, ushort? suffixOrigin = null, byte? type = null, CimTime? validLifetime = null) =>
        CimCall.Of("Create", ("AddressFamily", addressFamily), ("AddressState", addressState), ("DefaultGateway", defaultGateway), ("InterfaceAlias", interfaceAlias), ("InterfaceIndex", interfaceIndex), ("IPAddress", iPAddress), ("PassThru", passThru), ("PolicyStore", policyStore), ("PreferredLifetime", preferredLifetime), ("PrefixLength", prefixLength), ("PrefixOrigin", prefixOrigin), ("SkipAsSource", skipAsSource), ("SuffixOrigin", suffixOrigin), ("Type", type), ("ValidLifetime", validLifetime));

    /// <summary>What <see cref="Create"/> answers.</summary>
    public static class CreateAnswer
    {
        public static readonly CimProperty<CimObject[]> CmdletOutput = new("CmdletOutput");
    }

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));
}
