// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualEthernetSwitchManagementService</c>.</summary>
public static class VirtualEthernetSwitchManagementService
{
    public const string ClassName = "Msvm_VirtualEthernetSwitchManagementService";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> SystemName = new("SystemName");

    public static CimCall AddFeatureSettings(CimPath? affectedConfiguration = null, IReadOnlyList<CimObject>? featureSettings = null) =>
        CimCall.Of("AddFeatureSettings", ("AffectedConfiguration", affectedConfiguration), ("FeatureSettings", CimCall.Embed(featureSettings)));

    /// <summary>What <see cref="AddFeatureSettings"/> answers.</summary>
    public static class AddFeatureSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingFeatureSettings = new("ResultingFeatureSettings");
    }

    public static CimCall AddResourceSettings(CimPath? affectedConfiguration = null, IReadOnlyList<CimObject>? resourceSettings = null) =>
        CimCall.Of("AddResourceSettings", ("AffectedConfiguration", affectedConfiguration), ("ResourceSettings", CimCall.Embed(resourceSettings)));

    /// <summary>What <see cref="AddResourceSettings"/> answers.</summary>
    public static class AddResourceSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingResourceSettings = new("ResultingResourceSettings");
    }

    public static CimCall DefineSystem(CimPath? referenceConfiguration = null, IReadOnlyList<CimObject>? resourceSettings = null, CimObject? systemSettings = null) =>
        CimCall.Of("DefineSystem", ("ReferenceConfiguration", referenceConfiguration), ("ResourceSettings", CimCall.Embed(resourceSettings)), ("SystemSettings", CimCall.Embed(systemSettings)));

    /// <summary>What <see cref="DefineSystem"/> answers.</summary>
    public static class DefineSystemAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath> ResultingSystem = new("ResultingSystem");
    }

    public static CimCall DestroySystem(CimPath? affectedSystem = null) =>
        CimCall.Of("DestroySystem", ("AffectedSystem", affectedSystem));

    public static CimCall ModifyFeatureSettings(IReadOnlyList<CimObject>? featureSettings = null) =>
        CimCall.Of("ModifyFeatureSettings", ("FeatureSettings", CimCall.Embed(featureSettings)));

    /// <summary>What <see cref="ModifyFeatureSettings"/> answers.</summary>
    public static class ModifyFeatureSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingFeatureSettings = new("ResultingFeatureSettings");
    }

    public static CimCall ModifyResourceSettings(IReadOnlyList<CimObject>? resourceSettings = null) =>
        CimCall.Of("ModifyResourceSettings", ("ResourceSettings", CimCall.Embed(resourceSettings)));

    /// <summary>What <see cref="ModifyResourceSettings"/> answers.</summary>
    public static class ModifyResourceSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingResourceSettings = new("ResultingResourceSettings");
    }

    public static CimCall ModifySystemSettings(CimObject? systemSettings = null) =>
        CimCall.Of("ModifySystemSettings", ("SystemSettings", CimCall.Embed(systemSettings)));

    public static CimCall RemoveFeatureSettings(IReadOnlyList<CimPath>? featureSettings = null) =>
        CimCall.Of("RemoveFeatureSettings", ("FeatureSettings", featureSettings?.ToArray()));

    public static CimCall RemoveResourceSettings(IReadOnlyList<CimPath>? resourceSettings = null) =>
        CimCall.Of("RemoveResourceSettings", ("ResourceSettings", resourceSettings?.ToArray()));

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));
}
