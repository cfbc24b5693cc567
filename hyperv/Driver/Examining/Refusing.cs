using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;

namespace WeaveHypervisor.HyperV.Examining;

/// <summary>All reasons for which a machine cannot be adopted, each with the way out. Pure: what is not known to be copied safely is refused.</summary>
internal static class Refusing
{
    /// <summary>Hyper-V's own names come behind it, and its paths end at 260.</summary>
    private const int LongestPath = 200;
    /// <summary>In the path of each disk that Vagrant's provider for Hyper-V has made, unless it was told to keep its book elsewhere.</summary>
    private const string VagrantsBook = @"\.vagrant\machines\";

    /// <param name="name">Subjects begin with it.</param>
    /// <param name="root">Of the driver's files: disks must be on its volume.</param>
    /// <param name="shared">Disk files that other machines have, too.</param>
    public static IEnumerable<Refusal> Of(string name, HostMachine machine, MachineParts parts, int checkpoints, string root, IReadOnlySet<string> shared)
    {
        // Vagrant sets these anew at each start: what is not in the Vagrantfile would not stay.
        var isVagrants = parts.Disks.Any(d => d.File.Contains(VagrantsBook, StringComparison.OrdinalIgnoreCase));
        if (machine.Mark is { Kind: MarkKind.Copy or MarkKind.Gateway or MarkKind.Trial }) yield return new(name, "It was made by a weave.", "Adopt the original machine.");
        if (Has(parts, GpuPartitionSettingData.ClassName)) yield return new(name, "It has a partition of a GPU, with which Hyper-V makes no checkpoints.", "Remove it: `Remove-VMGpuPartitionAdapter`.");
        if (Has(parts, PciExpressSettingData.ClassName)) yield return new(name, "It has a device of the host (discrete device assignment), with which Hyper-V makes no checkpoints.", "Remove it: `Remove-VMAssignableDevice`.");
        if (parts.All.Any(p => p.ClassName.Contains("FcPort", StringComparison.OrdinalIgnoreCase))) yield return new(name, "It has a virtual fibre channel adapter, whose disks cannot be copied.", "Remove it: `Remove-VMFibreChannelHba`.");
        if (parts.Find(SecuritySettingData.ClassName)?.Find(SecuritySettingData.ShieldingRequested) is true) yield return new(name, "It is shielded: nobody may copy it.", "Only machines that are not shielded can be adopted.");
        if (machine.Settings.Find(VirtualSystemSettingData.UserSnapshotType) == 2) yield return new(name, "Checkpoints are forbidden for it.", isVagrants ? "Remove `enable_checkpoints = false` from its Vagrantfile, then `vagrant reload`." : "Allow them: `Set-VM -CheckpointType Production`.");
        if (machine.Settings.Find(VirtualSystemSettingData.AutomaticSnapshotsEnabled) is true)
            yield return new(name, "Hyper-V makes and merges checkpoints of it by itself, which would break layers.",
                isVagrants ? "Remove `enable_automatic_checkpoints = true` from its Vagrantfile, then `vagrant reload`." : "Switch that off while it is off: `Set-VM -AutomaticCheckpointsEnabled $false`.");
        if (checkpoints > 0)
            yield return new(name, $"It has {checkpoints} checkpoint{(checkpoints == 1 ? "" : "s")}; when one is deleted Hyper-V rewrites the disks that layers would stand on.",
                $"Delete them, and wait until their disks are merged: `{(isVagrants ? "vagrant snapshot delete" : "Get-VMCheckpoint | Remove-VMCheckpoint")}`.");
        if (MachineStates.IsCritical(machine.State)) yield return new(name, "Hyper-V has stopped it in a critical state.", "Look at its storage, and resume it.");
        foreach (var drive in parts.All.Where(p => p.Get(ResourceAllocationSettingData.ResourceSubType) == HardwareKinds.PhysicalDisk && p.ClassName == ResourceAllocationSettingData.ClassName))
            yield return new(name, "It has a disk of the host itself (pass-through); only files can have layers.", "Copy it to a .vhdx file, and use that.");
        foreach (var disk in parts.Disks)
        {
            var subject = $"{name}/{disk.Target}";
            if (disk.Settings.Find(StorageAllocationSettingData.PersistentReservationsSupported) is true || Ends(disk, ".vhds") || shared.Contains(disk.File)) yield return new(subject, "It is shared with other machines.", "Give each machine a disk of its own.");
            if (!HostPath.IsAbsolute(disk.File)) yield return new(subject, $"Its file '{disk.File}' is no full path.", "Name the file in full.");
            else if (Ends(disk, ".vhd")) yield return new(subject, "It is a .vhd file.", "Convert it while the machine is off: `Convert-VHD`.");
            else if (!Ends(disk, ".vhdx") && !Ends(disk, ".avhdx") && !Ends(disk, ".vhds")) yield return new(subject, $"Its file '{disk.File}' is of a kind that is not known.", "Use a .vhdx file.");
            else if (!HostPath.Comparer.Equals(Volume(disk.File), Volume(root))) yield return new(subject, $"Its file is on another volume than '{root}': layers need names on one volume.", "Move the disk, or set another root for the driver.");
            if (disk.File.Length > LongestPath) yield return new(subject, $"The path of its file has {disk.File.Length} characters.", $"Move the disk to a path of at most {LongestPath} characters.");
        }
        foreach (var nic in parts.Nics.Where(n => !n.IsStatic))
            yield return new($"{name}/{nic.Mac}", "Its MAC is dynamic: Hyper-V may give it another one at each start.",
                // Vagrant gives its one address to all adapters.
                isVagrants && parts.Nics.Count == 1 ? $"Keep it: `h.mac = \"{nic.Mac.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant()}\"` in the `provider \"hyperv\"` block of its Vagrantfile, then `vagrant reload`."
                    : "Make it static while the machine is off: `Set-VMNetworkAdapter -StaticMacAddress`.");
        foreach (var twice in parts.Nics.GroupBy(n => n.Mac).Where(g => g.Count() > 1)) yield return new($"{name}/{twice.Key}", "Two of its adapters have the same MAC.", "Change one of them.");
    }

    private static bool Has(MachineParts parts, string className) => parts.All.Any(p => p.ClassName == className);
    private static bool Ends(MachineDisk disk, string ending) => HostPath.Ending(disk.File).Equals(ending, StringComparison.OrdinalIgnoreCase);

    /// <summary>A drive, or a share.</summary>
    private static string Volume(string path) => path.StartsWith(@"\\", StringComparison.Ordinal) ? string.Join('\\', path.Split('\\').Take(4)) : path[..Math.Min(2, path.Length)];
}
