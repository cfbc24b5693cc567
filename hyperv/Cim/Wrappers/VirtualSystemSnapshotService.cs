// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemSnapshotService</c>.</summary>
public static class VirtualSystemSnapshotService
{
    public const string ClassName = "Msvm_VirtualSystemSnapshotService";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> SystemName = new("SystemName");

    public static CimCall ApplySnapshot(CimPath? snapshot = null) =>
        CimCall.Of("ApplySnapshot", ("Snapshot", snapshot));

    public static CimCall ClearSnapshotState(CimPath? snapshotSettingData = null) =>
        CimCall.Of("ClearSnapshotState", ("SnapshotSettingData", snapshotSettingData));

    public static CimCall ConvertToReferencePoint(CimPath? affectedSnapshot = null, CimObject? referencePointSettings = null, CimPath? resultingReferencePoint = null) =>
        CimCall.Of("ConvertToReferencePoint", ("AffectedSnapshot", affectedSnapshot), ("ReferencePointSettings", CimCall.Embed(referencePointSettings)), ("ResultingReferencePoint", resultingReferencePoint));

    /// <summary>What <see cref="ConvertToReferencePoint"/> answers.</summary>
    public static class ConvertToReferencePointAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath> ResultingReferencePoint = new("ResultingReferencePoint");
    }

    public static CimCall CreateSnapshot(CimPath? affectedSystem = null, CimPath? resultingSnapshot = null, CimObject? snapshotSettings = null, ushort? snapshotType = null) =>
        CimCall.Of("CreateSnapshot", ("AffectedSystem", affectedSystem), ("ResultingSnapshot", resultingSnapshot), ("SnapshotSettings", CimCall.Embed(snapshotSettings)), ("SnapshotType", snapshotType));

    /// <summary>What <see cref="CreateSnapshot"/> answers.</summary>
    public static class CreateSnapshotAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath> ResultingSnapshot = new("ResultingSnapshot");
    }

    public static CimCall DestroySnapshot(CimPath? affectedSnapshot = null) =>
        CimCall.Of("DestroySnapshot", ("AffectedSnapshot", affectedSnapshot));

    public static CimCall DestroySnapshotTree(CimPath? snapshotSettingData = null) =>
        CimCall.Of("DestroySnapshotTree", ("SnapshotSettingData", snapshotSettingData));

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));
}
