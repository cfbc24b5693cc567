// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemReferencePointService</c>.</summary>
public static class VirtualSystemReferencePointService
{
    public const string ClassName = "Msvm_VirtualSystemReferencePointService";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> SystemName = new("SystemName");

    public static CimCall CreateReferencePoint(CimPath? affectedSystem = null, CimObject? referencePointSettings = null, ushort? referencePointType = null, CimPath? resultingReferencePoint = null) =>
        CimCall.Of("CreateReferencePoint", ("AffectedSystem", affectedSystem), ("ReferencePointSettings", CimCall.Embed(referencePointSettings)), ("ReferencePointType", referencePointType), ("ResultingReferencePoint", resultingReferencePoint));

    /// <summary>What <see cref="CreateReferencePoint"/> answers.</summary>
    public static class CreateReferencePointAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath> ResultingReferencePoint = new("ResultingReferencePoint");
    }

    public static CimCall DestroyReferencePoint(CimPath? affectedReferencePoint = null) =>
        CimCall.Of("DestroyReferencePoint", ("AffectedReferencePoint", affectedReferencePoint));

    public static CimCall ExportReferencePoint(string? exportDirectory = null, CimObject? exportSettingData = null, CimPath? referencePoint = null) =>
        CimCall.Of("ExportReferencePoint", ("ExportDirectory", exportDirectory), ("ExportSettingData", CimCall.Embed(exportSettingData)), ("ReferencePoint", referencePoint));

    public static CimCall ImportReferencePointMetadata(CimPath? affectedSystem = null, string? configFilePath = null, string? runtimeStateFilePath = null) =>
        CimCall.Of("ImportReferencePointMetadata", ("AffectedSystem", affectedSystem), ("ConfigFilePath", configFilePath), ("RuntimeStateFilePath", runtimeStateFilePath));

    public static CimCall RemoveAssociatedData(CimPath? affectedReferencePoint = null) =>
        CimCall.Of("RemoveAssociatedData", ("AffectedReferencePoint", affectedReferencePoint));

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));
}
