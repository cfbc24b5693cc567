// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemManagementService</c>.</summary>
public static class VirtualSystemManagementService
{
    public const string ClassName = "Msvm_VirtualSystemManagementService";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> SystemName = new("SystemName");

    public static CimCall AddBootSourceSettings(CimPath? affectedConfiguration = null, IReadOnlyList<CimObject>? bootSourceSettings = null) =>
        CimCall.Of("AddBootSourceSettings", ("AffectedConfiguration", affectedConfiguration), ("BootSourceSettings", CimCall.Embed(bootSourceSettings)));

    /// <summary>What <see cref="AddBootSourceSettings"/> answers.</summary>
    public static class AddBootSourceSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingBootSourceSettings = new("ResultingBootSourceSettings");
    }

    public static CimCall AddFeatureSettings(CimPath? affectedConfiguration = null, IReadOnlyList<CimObject>? featureSettings = null) =>
        CimCall.Of("AddFeatureSettings", ("AffectedConfiguration", affectedConfiguration), ("FeatureSettings", CimCall.Embed(featureSettings)));

    /// <summary>What <see cref="AddFeatureSettings"/> answers.</summary>
    public static class AddFeatureSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingFeatureSettings = new("ResultingFeatureSettings");
    }

    public static CimCall AddFibreChannelChap(IReadOnlyList<CimObject>? fcPortSettings = null, byte? secretEncoding = null, IReadOnlyList<byte>? sharedSecret = null) =>
        CimCall.Of("AddFibreChannelChap", ("FcPortSettings", CimCall.Embed(fcPortSettings)), ("SecretEncoding", secretEncoding), ("SharedSecret", sharedSecret?.ToArray()));

    public static CimCall AddGuestServiceSettings(CimPath? affectedConfiguration = null, IReadOnlyList<string>? guestServiceSettings = null) =>
        CimCall.Of("AddGuestServiceSettings", ("AffectedConfiguration", affectedConfiguration), ("GuestServiceSettings", guestServiceSettings?.ToArray()));

    /// <summary>What <see cref="AddGuestServiceSettings"/> answers.</summary>
    public static class AddGuestServiceSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingGuestServiceSettings = new("ResultingGuestServiceSettings");
    }

    public static CimCall AddKvpItems(IReadOnlyList<CimObject>? dataItems = null, CimPath? targetSystem = null) =>
        CimCall.Of("AddKvpItems", ("DataItems", CimCall.Embed(dataItems)), ("TargetSystem", targetSystem));

    public static CimCall AddResourceSettings(CimPath? affectedConfiguration = null, IReadOnlyList<CimObject>? resourceSettings = null) =>
        CimCall.Of("AddResourceSettings", ("AffectedConfiguration", affectedConfiguration), ("ResourceSettings", CimCall.Embed(resourceSettings)));

    /// <summary>What <see cref="AddResourceSettings"/> answers.</summary>
    public static class AddResourceSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingResourceSettings = new("ResultingResourceSettings");
    }

    public static CimCall AddSystemComponentSettings(CimPath? affectedConfiguration = null, IReadOnlyList<string>? componentSettings = null) =>
        CimCall.Of("AddSystemComponentSettings", ("AffectedConfiguration", affectedConfiguration), ("ComponentSettings", componentSettings?.ToArray()));

    /// <summary>What <see cref="AddSystemComponentSettings"/> answers.</summary>
    public static class AddSystemComponentSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingComponentSettings = new("ResultingComponentSettings");
    }

    public static CimCall DefinePlannedSystem(CimPath? referenceConfiguration = null, IReadOnlyList<CimObject>? resourceSettings = null, CimObject? systemSettings = null) =>
        CimCall.Of("DefinePlannedSystem", ("ReferenceConfiguration", referenceConfiguration), ("ResourceSettings", CimCall.Embed(resourceSettings)), ("SystemSettings", CimCall.Embed(systemSettings)));

    /// <summary>What <see cref="DefinePlannedSystem"/> answers.</summary>
    public static class DefinePlannedSystemAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath> ResultingSystem = new("ResultingSystem");
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

    public static CimCall DiagnoseNetworkConnection(string? diagnosticSettings = null, CimPath? targetNetworkAdapter = null) =>
        CimCall.Of("DiagnoseNetworkConnection", ("DiagnosticSettings", diagnosticSettings), ("TargetNetworkAdapter", targetNetworkAdapter));

    /// <summary>What <see cref="DiagnoseNetworkConnection"/> answers.</summary>
    public static class DiagnoseNetworkConnectionAnswer
    {
        public static readonly CimProperty<string> DiagnosticInformation = new("DiagnosticInformation");
        public static readonly CimProperty<CimPath> Job = new("Job");
    }

    public static CimCall ExportSystemDefinition(CimPath? computerSystem = null, string? exportDirectory = null, CimObject? exportSettingData = null) =>
        CimCall.Of("ExportSystemDefinition", ("ComputerSystem", computerSystem), ("ExportDirectory", exportDirectory), ("ExportSettingData", CimCall.Embed(exportSettingData)));

    public static CimCall FormatError(IReadOnlyList<CimObject>? errors = null) =>
        CimCall.Of("FormatError", ("Errors", CimCall.Embed(errors)));

    /// <summary>What <see cref="FormatError"/> answers.</summary>
    public static class FormatErrorAnswer
    {
        public static readonly CimProperty<string> ErrorMessage = new("ErrorMessage");
    }

    public static CimCall GenerateWwpn(uint? numberOfWwpns = null) =>
        CimCall.Of("GenerateWwpn", ("NumberOfWwpns", numberOfWwpns));

    /// <summary>What <see cref="GenerateWwpn"/> answers.</summary>
    public static class GenerateWwpnAnswer
    {
        public static readonly CimProperty<string[]> GeneratedWwpn = new("GeneratedWwpn");
    }

    public static CimCall GetCurrentWwpnFromGenerator() =>
        CimCall.Of("GetCurrentWwpnFromGenerator");

    /// <summary>What <see cref="GetCurrentWwpnFromGenerator"/> answers.</summary>
    public static class GetCurrentWwpnFromGeneratorAnswer
    {
        public static readonly CimProperty<string> CurrentWwpn = new("CurrentWwpn");
    }

    public static CimCall GetDefinitionFileSummaryInformation(IReadOnlyList<string>? definitionFiles = null) =>
        CimCall.Of("GetDefinitionFileSummaryInformation", ("DefinitionFiles", definitionFiles?.ToArray()));

    /// <summary>What <see cref="GetDefinitionFileSummaryInformation"/> answers.</summary>
    public static class GetDefinitionFileSummaryInformationAnswer
    {
        public static readonly CimProperty<CimObject[]> SummaryInformation = new("SummaryInformation");
    }

    public static CimCall GetSizeOfSystemFiles(CimPath? vssd = null) =>
        CimCall.Of("GetSizeOfSystemFiles", ("Vssd", vssd));

    /// <summary>What <see cref="GetSizeOfSystemFiles"/> answers.</summary>
    public static class GetSizeOfSystemFilesAnswer
    {
        public static readonly CimProperty<ulong> Size = new("Size");
    }

    public static CimCall GetSummaryInformation(IReadOnlyList<uint>? requestedInformation = null, IReadOnlyList<CimPath>? settingData = null) =>
        CimCall.Of("GetSummaryInformation", ("RequestedInformation", requestedInformation?.ToArray()), ("SettingData", settingData?.ToArray()));

    /// <summary>What <see cref="GetSummaryInformation"/> answers.</summary>
    public static class GetSummaryInformationAnswer
    {
        public static readonly CimProperty<CimObject[]> SummaryInformation = new("SummaryInformation");
    }

    public static CimCall GetVirtualSystemThumbnailImage(ushort? heightPixels = null, CimPath? targetSystem = null, ushort? widthPixels = null) =>
        CimCall.Of("GetVirtualSystemThumbnailImage", ("HeightPixels", heightPixels), ("TargetSystem", targetSystem), ("WidthPixels", widthPixels));

    /// <summary>What <see cref="GetVirtualSystemThumbnailImage"/> answers.</summary>
    public static class GetVirtualSystemThumbnailImageAnswer
    {
        public static readonly CimProperty<byte[]> ImageData = new("ImageData");
    }

    public static CimCall ImportSnapshotDefinitions(CimPath? plannedSystem = null, string? snapshotFolder = null) =>
        CimCall.Of("ImportSnapshotDefinitions", ("PlannedSystem", plannedSystem), ("SnapshotFolder", snapshotFolder));

    /// <summary>What <see cref="ImportSnapshotDefinitions"/> answers.</summary>
    public static class ImportSnapshotDefinitionsAnswer
    {
        public static readonly CimProperty<CimPath[]> ImportedSnapshots = new("ImportedSnapshots");
        public static readonly CimProperty<CimPath> Job = new("Job");
    }

    public static CimCall ImportSystemDefinition(bool? generateNewSystemIdentifier = null, string? snapshotFolder = null, string? systemDefinitionFile = null) =>
        CimCall.Of("ImportSystemDefinition", ("GenerateNewSystemIdentifier", generateNewSystemIdentifier), ("SnapshotFolder", snapshotFolder), ("SystemDefinitionFile", systemDefinitionFile));

    /// <summary>What <see cref="ImportSystemDefinition"/> answers.</summary>
    public static class ImportSystemDefinitionAnswer
    {
        public static readonly CimProperty<CimPath> ImportedSystem = new("ImportedSystem");
        public static readonly CimProperty<CimPath> Job = new("Job");
    }

    public static CimCall ModifyDiskMergeSettings(CimObject? settingData = null) =>
        CimCall.Of("ModifyDiskMergeSettings", ("SettingData", CimCall.Embed(settingData)));

    public static CimCall ModifyFeatureSettings(IReadOnlyList<CimObject>? featureSettings = null) =>
        CimCall.Of("ModifyFeatureSettings", ("FeatureSettings", CimCall.Embed(featureSettings)));

    /// <summary>What <see cref="ModifyFeatureSettings"/> answers.</summary>
    public static class ModifyFeatureSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingFeatureSettings = new("ResultingFeatureSettings");
    }

    public static CimCall ModifyGuestServiceSettings(IReadOnlyList<string>? guestServiceSettings = null) =>
        CimCall.Of("ModifyGuestServiceSettings", ("GuestServiceSettings", guestServiceSettings?.ToArray()));

    /// <summary>What <see cref="ModifyGuestServiceSettings"/> answers.</summary>
    public static class ModifyGuestServiceSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingGuestServiceSettings = new("ResultingGuestServiceSettings");
    }

    public static CimCall ModifyKvpItems(IReadOnlyList<CimObject>? dataItems = null, CimPath? targetSystem = null) =>
        CimCall.Of("ModifyKvpItems", ("DataItems", CimCall.Embed(dataItems)), ("TargetSystem", targetSystem));

    public static CimCall ModifyResourceSettings(IReadOnlyList<CimObject>? resourceSettings = null) =>
        CimCall.Of("ModifyResourceSettings", ("ResourceSettings", CimCall.Embed(resourceSettings)));

    /// <summary>What <see cref="ModifyResourceSettings"/> answers.</summary>
    public static class ModifyResourceSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingResourceSettings = new("ResultingResourceSettings");
    }

    public static CimCall ModifyServiceSettings(CimObject? settingData = null) =>
        CimCall.Of("ModifyServiceSettings", ("SettingData", CimCall.Embed(settingData)));

    public static CimCall ModifySystemComponentSettings(IReadOnlyList<string>? componentSettings = null) =>
        CimCall.Of("ModifySystemComponentSettings", ("ComponentSettings", componentSettings?.ToArray()));

    /// <summary>What <see cref="ModifySystemComponentSettings"/> answers.</summary>
    public static class ModifySystemComponentSettingsAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath[]> ResultingComponentSettings = new("ResultingComponentSettings");
    }

    public static CimCall ModifySystemSettings(CimObject? systemSettings = null) =>
        CimCall.Of("ModifySystemSettings", ("SystemSettings", CimCall.Embed(systemSettings)));

    public static CimCall RealizePlannedSystem(CimPath? plannedSystem = null) =>
        CimCall.Of("RealizePlannedSystem", ("PlannedSystem", plannedSystem));

    /// <summary>What <see cref="RealizePlannedSystem"/> answers.</summary>
    public static class RealizePlannedSystemAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<CimPath> ResultingSystem = new("ResultingSystem");
    }

    public static CimCall RemoveBootSourceSettings(IReadOnlyList<CimPath>? bootSourceSettings = null) =>
        CimCall.Of("RemoveBootSourceSettings", ("BootSourceSettings", bootSourceSettings?.ToArray()));

    public static CimCall RemoveFeatureSettings(IReadOnlyList<CimPath>? featureSettings = null) =>
        CimCall.Of("RemoveFeatureSettings", ("FeatureSettings", featureSettings?.ToArray()));

    public static CimCall RemoveFibreChannelChap(IReadOnlyList<CimObject>? fcPortSettings = null) =>
        CimCall.Of("RemoveFibreChannelChap", ("FcPortSettings", CimCall.Embed(fcPortSettings)));

    public static CimCall RemoveGuestServiceSettings(IReadOnlyList<CimPath>? guestServiceSettings = null) =>
        CimCall.Of("RemoveGuestServiceSettings", ("GuestServiceSettings", guestServiceSettings?.ToArray()));

    public static CimCall RemoveKvpItems(IReadOnlyList<CimObject>? dataItems = null, CimPath? targetSystem = null) =>
        CimCall.Of("RemoveKvpItems", ("DataItems", CimCall.Embed(dataItems)), ("TargetSystem", targetSystem));

    public static CimCall RemoveResourceSettings(IReadOnlyList<CimPath>? resourceSettings = null) =>
        CimCall.Of("RemoveResourceSettings", ("ResourceSettings", resourceSettings?.ToArray()));

    public static CimCall RemoveSystemComponentSettings(IReadOnlyList<CimPath>? componentSettings = null) =>
        CimCall.Of("RemoveSystemComponentSettings", ("ComponentSettings", componentSettings?.ToArray()));

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall SetGuestNetworkAdapterConfiguration(CimPath? computerSystem = null, IReadOnlyList<CimObject>? networkConfiguration = null) =>
        CimCall.Of("SetGuestNetworkAdapterConfiguration", ("ComputerSystem", computerSystem), ("NetworkConfiguration", CimCall.Embed(networkConfiguration)));

    public static CimCall SetInitialMachineConfigurationData(IReadOnlyList<byte>? imcData = null, CimPath? targetSystem = null) =>
        CimCall.Of("SetInitialMachineConfigurationData", ("ImcData", imcData?.ToArray()), ("TargetSystem", targetSystem));

    public static CimCall TestNetworkConnection(uint? isolationId = null, bool? isSender = null, string? receiverIP = null, string? receiverMac = null, string? senderIP = null, uint? sequenceNumber = null, CimPath? targetNetworkAdapter = null) =>
        CimCall.Of("TestNetworkConnection", ("IsolationId", isolationId), ("IsSender", isSender), ("ReceiverIP", receiverIP), ("ReceiverMac", receiverMac), ("SenderIP", senderIP), ("SequenceNumber", sequenceNumber), ("TargetNetworkAdapter", targetNetworkAdapter));

    /// <summary>What <see cref="TestNetworkConnection"/> answers.</summary>
    public static class TestNetworkConnectionAnswer
    {
        public static readonly CimProperty<CimPath> Job = new("Job");
        public static readonly CimProperty<uint> RoundTripTime = new("RoundTripTime");
    }

    public static CimCall UpgradeSystemVersion(CimPath? computerSystem = null, string? upgradeSettingData = null) =>
        CimCall.Of("UpgradeSystemVersion", ("ComputerSystem", computerSystem), ("UpgradeSettingData", upgradeSettingData));

    public static CimCall ValidatePlannedSystem(CimPath? plannedSystem = null) =>
        CimCall.Of("ValidatePlannedSystem", ("PlannedSystem", plannedSystem));
}
