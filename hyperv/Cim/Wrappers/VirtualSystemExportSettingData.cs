// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemExportSettingData</c>.</summary>
public static class VirtualSystemExportSettingData
{
    public const string ClassName = "Msvm_VirtualSystemExportSettingData";
    public static readonly CimProperty<byte> BackupIntent = new("BackupIntent");
    public static readonly CimProperty<byte> CaptureLiveState = new("CaptureLiveState");
    public static readonly CimProperty<byte> CopySnapshotConfiguration = new("CopySnapshotConfiguration");
    public static readonly CimProperty<bool> CopyVmRuntimeInformation = new("CopyVmRuntimeInformation");
    public static readonly CimProperty<bool> CopyVmStorage = new("CopyVmStorage");
    public static readonly CimProperty<bool> CreateVmExportSubdirectory = new("CreateVmExportSubdirectory");
    public static readonly CimProperty<string> DifferentialBackupBase = new("DifferentialBackupBase");
    public static readonly CimProperty<bool> DisableDifferentialOfIgnoredStorage = new("DisableDifferentialOfIgnoredStorage");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string[]> ExcludedVirtualHardDisks = new("ExcludedVirtualHardDisks");
    public static readonly CimProperty<bool> ExportForLiveMigration = new("ExportForLiveMigration");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> GuestDebugStateFilePath = new("GuestDebugStateFilePath");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> SnapshotVirtualSystem = new("SnapshotVirtualSystem");
}
