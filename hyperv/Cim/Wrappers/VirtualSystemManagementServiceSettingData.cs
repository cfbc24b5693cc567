// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemManagementServiceSettingData</c>.</summary>
public static class VirtualSystemManagementServiceSettingData
{
    public const string ClassName = "Msvm_VirtualSystemManagementServiceSettingData";
    public static readonly CimProperty<string> BiosLockString = new("BiosLockString");
    public static readonly CimProperty<string> CurrentWWNNAddress = new("CurrentWWNNAddress");
    public static readonly CimProperty<string> DefaultExternalDataRoot = new("DefaultExternalDataRoot");
    public static readonly CimProperty<ushort> DefaultVirtualHardDiskCachingMode = new("DefaultVirtualHardDiskCachingMode");
    public static readonly CimProperty<string> DefaultVirtualHardDiskPath = new("DefaultVirtualHardDiskPath");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<bool> EnhancedSessionModeEnabled = new("EnhancedSessionModeEnabled");
    public static readonly CimProperty<uint> HbaLunTimeout = new("HbaLunTimeout");
    public static readonly CimProperty<bool> HypervisorRootSchedulerEnabled = new("HypervisorRootSchedulerEnabled");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> HypervisorSnpStatus = new("HypervisorSnpStatus");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> HypervisorTdxStatus = new("HypervisorTdxStatus");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> MaximumMacAddress = new("MaximumMacAddress");
    public static readonly CimProperty<string> MaximumWWPNAddress = new("MaximumWWPNAddress");
    public static readonly CimProperty<string> MinimumMacAddress = new("MinimumMacAddress");
    public static readonly CimProperty<string> MinimumWWPNAddress = new("MinimumWWPNAddress");
    public static readonly CimProperty<bool> NumaSpanningEnabled = new("NumaSpanningEnabled");
    public static readonly CimProperty<string> PrimaryOwnerContact = new("PrimaryOwnerContact");
    public static readonly CimProperty<string> PrimaryOwnerName = new("PrimaryOwnerName");
}
