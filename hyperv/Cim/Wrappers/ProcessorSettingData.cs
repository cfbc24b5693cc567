// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_ProcessorSettingData</c>.</summary>
public static class ProcessorSettingData
{
    public const string ClassName = "Msvm_ProcessorSettingData";
    public static readonly CimProperty<string> Address = new("Address");
    public static readonly CimProperty<string> AddressOnParent = new("AddressOnParent");
    public static readonly CimProperty<string> AllocationUnits = new("AllocationUnits");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> AllowACountMCount = new("AllowACountMCount");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<byte> ApicMode = new("ApicMode");
    public static readonly CimProperty<bool> AutomaticAllocation = new("AutomaticAllocation");
    public static readonly CimProperty<bool> AutomaticDeallocation = new("AutomaticDeallocation");
    public static readonly CimProperty<string[]> Connection = new("Connection");
    public static readonly CimProperty<ushort> ConsumerVisibility = new("ConsumerVisibility");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> CpuBrandString = new("CpuBrandString");
    public static readonly CimProperty<string> CpuGroupId = new("CpuGroupId");
    public static readonly CimProperty<bool> DisableSpeculationControls = new("DisableSpeculationControls");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<bool> EnableHostResourceProtection = new("EnableHostResourceProtection");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> EnableLegacyApicMode = new("EnableLegacyApicMode");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<byte> EnablePageShattering = new("EnablePageShattering");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> EnablePerfmonArchPmu = new("EnablePerfmonArchPmu");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> EnablePerfmonIpt = new("EnablePerfmonIpt");
    public static readonly CimProperty<bool> EnablePerfmonLbr = new("EnablePerfmonLbr");
    public static readonly CimProperty<bool> EnablePerfmonPebs = new("EnablePerfmonPebs");
    public static readonly CimProperty<bool> EnablePerfmonPmu = new("EnablePerfmonPmu");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> EnableSocketTopology = new("EnableSocketTopology");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> EnlightenmentSet = new("EnlightenmentSet");
    public static readonly CimProperty<bool> ExposeVirtualizationExtensions = new("ExposeVirtualizationExtensions");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> ExtendedVirtualizationExtensions = new("ExtendedVirtualizationExtensions");
    public static readonly CimProperty<bool> HideHypervisorPresent = new("HideHypervisorPresent");
    public static readonly CimProperty<string[]> HostResource = new("HostResource");
    public static readonly CimProperty<ulong> HwThreadsPerCore = new("HwThreadsPerCore");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<uint> L3CacheWays = new("L3CacheWays");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> L3ProcessorDistributionPolicy = new("L3ProcessorDistributionPolicy");
    public static readonly CimProperty<ulong> Limit = new("Limit");
    public static readonly CimProperty<bool> LimitCPUID = new("LimitCPUID");
    public static readonly CimProperty<bool> LimitProcessorFeatures = new("LimitProcessorFeatures");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> LimitProcessorFeaturesMode = new("LimitProcessorFeaturesMode");
    public static readonly CimProperty<ushort> MappingBehavior = new("MappingBehavior");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<uint> MaxClusterCountPerSocket = new("MaxClusterCountPerSocket");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<uint> MaxHwIsolatedGuests = new("MaxHwIsolatedGuests");
    public static readonly CimProperty<ulong> MaxNumaNodesPerSocket = new("MaxNumaNodesPerSocket");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<uint> MaxProcessorCountPerL3 = new("MaxProcessorCountPerL3");
    public static readonly CimProperty<ulong> MaxProcessorsPerNumaNode = new("MaxProcessorsPerNumaNode");
    public static readonly CimProperty<string> OtherResourceType = new("OtherResourceType");
    public static readonly CimProperty<string> Parent = new("Parent");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<uint> PerfCpuFreqCapMhz = new("PerfCpuFreqCapMhz");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<uint> PhysicalAddressWidth = new("PhysicalAddressWidth");
    public static readonly CimProperty<string> PoolID = new("PoolID");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> ProcessorFeatureSet = new("ProcessorFeatureSet");
    public static readonly CimProperty<ulong> Reservation = new("Reservation");
    public static readonly CimProperty<string> ResourceSubType = new("ResourceSubType");
    public static readonly CimProperty<ushort> ResourceType = new("ResourceType");
    public static readonly CimProperty<ulong> VirtualQuantity = new("VirtualQuantity");
    public static readonly CimProperty<string> VirtualQuantityUnits = new("VirtualQuantityUnits");
    public static readonly CimProperty<uint> Weight = new("Weight");
}
