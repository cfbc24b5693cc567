// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_ImageManagementService</c>.</summary>
public static class ImageManagementService
{
    public const string ClassName = "Msvm_ImageManagementService";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> SystemName = new("SystemName");

    public static CimCall AttachVirtualHardDisk(bool? assignDriveLetter = null, string? path = null, bool? readOnly = null) =>
        CimCall.Of("AttachVirtualHardDisk", ("AssignDriveLetter", assignDriveLetter), ("Path", path), ("ReadOnly", readOnly));

    public static CimCall CompactVirtualHardDisk(ushort? mode = null, string? path = null) =>
        CimCall.Of("CompactVirtualHardDisk", ("Mode", mode), ("Path", path));

    public static CimCall ConvertVirtualHardDisk(string? sourcePath = null, CimObject? virtualDiskSettingData = null) =>
        CimCall.Of("ConvertVirtualHardDisk", ("SourcePath", sourcePath), ("VirtualDiskSettingData", CimCall.Embed(virtualDiskSettingData)));

    public static CimCall ConvertVirtualHardDiskToVHDSet(string? virtualHardDiskPath = null) =>
        CimCall.Of("ConvertVirtualHardDiskToVHDSet", ("VirtualHardDiskPath", virtualHardDiskPath));

    public static CimCall CreateVirtualFloppyDisk(string? path = null) =>
        CimCall.Of("CreateVirtualFloppyDisk", ("Path", path));

    public static CimCall CreateVirtualHardDisk(CimObject? virtualDiskSettingData = null) =>
        CimCall.Of("CreateVirtualHardDisk", ("VirtualDiskSettingData", CimCall.Embed(virtualDiskSettingData)));

    public static CimCall DeleteVHDSnapshot(bool? persistReferenceSnapshot = null, string? snapshotId = null, string? vHDSetPath = null) =>
        CimCall.Of("DeleteVHDSnapshot", ("PersistReferenceSnapshot", persistReferenceSnapshot), ("SnapshotId", snapshotId), ("VHDSetPath", vHDSetPath));

    public static CimCall FindMountedStorageImageInstance(ushort? criterionType = null, string? selectionCriterion = null) =>
        CimCall.Of("FindMountedStorageImageInstance", ("CriterionType", criterionType), ("SelectionCriterion", selectionCriterion));

    /// <summary>What <see cref="FindMountedStorageImageInstance"/> answers.</summary>
    public static class FindMountedStorageImageInstanceAnswer
    {
        public static readonly CimProperty<CimPath> Image = new("Image");
    }

    public static CimCall GetVHDSetInformation(IReadOnlyList<uint>? additionalInformation = null, string? vHDSetPath = null) =>
        CimCall.Of("GetVHDSetInformation", ("AdditionalInformation", additionalInformation?.ToArray()), ("VHDSetPath", vHDSetPath));

    /// <summary>What <see cref="GetVHDSetInformation"/> answers.</summary>
    public static class GetVHDSetInformationAnswer
    {
        public static readonly CimProperty<string> Information = new("Information");
        public static readonly CimProperty<CimPath> Job = new("Job");
    }

    public static CimCall GetVHDSnapshotInformation(IReadOnlyList<uint>? additionalInformation = null, IReadOnlyList<string>? snapshotIds = null, string? vHDSetPath = null) =>
        CimCall.Of("GetVHDSnapshotInformation", ("AdditionalInformation", additionalInformation?.ToArray()), ("SnapshotIds", snapshotIds?.ToArray()), ("VHDSetPath", vHDSetPath));

    /// <summary>What <see cref="GetVHDSnapshotInformation"/> answers.</summary>
    public static class GetVHDSnapshotInformationAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<string[]> SnapshotInformation = new("SnapshotInformation");
    }

    public static CimCall GetVirtualDiskChanges(ulong? byteLength = null, ulong? byteOffset = null, string? limitId = null, string? path = null, string? targetSnapshotId = null) =>
        CimCall.Of("GetVirtualDiskChanges", ("ByteLength", byteLength), ("ByteOffset", byteOffset), ("LimitId", limitId), ("Path", path), ("TargetSnapshotId", targetSnapshotId));

    /// <summary>What <see cref="GetVirtualDiskChanges"/> answers.</summary>
    public static class GetVirtualDiskChangesAnswer
    {
        public static readonly CimProperty<ulong[]> ChangedByteLengths = new("ChangedByteLengths");
        public static readonly CimProperty<ulong[]> ChangedByteOffsets = new("ChangedByteOffsets");
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<ulong> ProcessedByteLength = new("ProcessedByteLength");
    }

    public static CimCall GetVirtualHardDiskSettingData(string? path = null) =>
        CimCall.Of("GetVirtualHardDiskSettingData", ("Path", path));

    /// <summary>What <see cref="GetVirtualHardDiskSettingData"/> answers.</summary>
    public static class GetVirtualHardDiskSettingDataAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<string> SettingData = new("SettingData");
    }

    public static CimCall GetVirtualHardDiskState(string? path = null) =>
        CimCall.Of("GetVirtualHardDiskState", ("Path", path));

    /// <summary>What <see cref="GetVirtualHardDiskState"/> answers.</summary>
    public static class GetVirtualHardDiskStateAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<string> State = new("State");
    }

    public static CimCall MergeVirtualHardDisk(string? destinationPath = null, string? sourcePath = null) =>
        CimCall.Of("MergeVirtualHardDisk", ("DestinationPath", destinationPath), ("SourcePath", sourcePath));

    public static CimCall OptimizeVHDSet(string? vHDSetPath = null) =>
        CimCall.Of("OptimizeVHDSet", ("VHDSetPath", vHDSetPath));

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall ResizeVirtualHardDisk(ulong? maxInternalSize = null, string? path = null) =>
        CimCall.Of("ResizeVirtualHardDisk", ("MaxInternalSize", maxInternalSize), ("Path", path));

    public static CimCall SetParentVirtualHardDisk(string? childPath = null, bool? ignoreIDMismatch = null, string? leafPath = null, string? parentPath = null) =>
        CimCall.Of("SetParentVirtualHardDisk", ("ChildPath", childPath), ("IgnoreIDMismatch", ignoreIDMismatch), ("LeafPath", leafPath), ("ParentPath", parentPath));

    public static CimCall SetVHDSnapshotInformation(CimObject? information = null) =>
        CimCall.Of("SetVHDSnapshotInformation", ("Information", CimCall.Embed(information)));

    public static CimCall SetVirtualHardDiskSettingData(CimObject? virtualDiskSettingData = null) =>
        CimCall.Of("SetVirtualHardDiskSettingData", ("VirtualDiskSettingData", CimCall.Embed(virtualDiskSettingData)));

    public static CimCall ValidatePersistentReservationSupport(string? path = null) =>
        CimCall.Of("ValidatePersistentReservationSupport", ("Path", path));

    public static CimCall ValidateVirtualHardDisk(string? path = null) =>
        CimCall.Of("ValidateVirtualHardDisk", ("Path", path));
}
