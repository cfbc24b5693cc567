using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Capturing;

/// <summary>What an export takes along (CopySnapshotConfiguration).</summary>
internal static class ExportSettings
{
    /// <summary>The machine as it is, which is off or saved; one checkpoint with its disks, whatever else is said; one checkpoint for a backup.</summary>
    public const byte NoSnapshots = 1, OneSnapshot = 2, OneSnapshotForBackup = 3;

    /// <summary>Settings of an export with memory, into exactly the folder that is named. Disks go along with <see cref="OneSnapshot"/> alone.</summary>
    /// <param name="begin">What the host has for exports of the machine, or an empty object.</param>
    /// <param name="checkpoint">Of which; null with <see cref="NoSnapshots"/>.</param>
    public static CimObject Of(CimObject begin, byte mode, CimObject? checkpoint)
    {
        var settings = begin.With(VirtualSystemExportSettingData.CopySnapshotConfiguration, mode).With(VirtualSystemExportSettingData.CopyVmRuntimeInformation, true).With(VirtualSystemExportSettingData.CopyVmStorage, mode == OneSnapshot)
            .With(VirtualSystemExportSettingData.CreateVmExportSubdirectory, false).With(VirtualSystemExportSettingData.CaptureLiveState.Name, null);
        if (checkpoint is not null) settings = settings.With(VirtualSystemExportSettingData.SnapshotVirtualSystem, checkpoint.Reference.ToString());
        return mode == OneSnapshotForBackup ? settings.With(VirtualSystemExportSettingData.BackupIntent, (byte)0) : settings;
    }
}
