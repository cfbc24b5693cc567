using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Machines;

/// <summary>States of a machine (Msvm_ComputerSystem.EnabledState).</summary>
internal static class RunState
{
    public const ushort Running = 2, Off = 3, Stopping = 4, Saved = 6, Paused = 9, Starting = 10, Saving = 32773, Pausing = 32776, Resuming = 32777, PausedCritical = 32789;

    /// <summary>A worker process has the machine's disks open.</summary>
    public static bool HoldsDisks(ushort state) => state is not (Off or Saved);
}

/// <summary>Types and names of resources.</summary>
internal static class ResourceNames
{
    public const string HardDisk = "Microsoft:Hyper-V:Virtual Hard Disk", Dvd = "Microsoft:Hyper-V:Virtual CD/DVD Disk", DiskDrive = "Microsoft:Hyper-V:Synthetic Disk Drive", DvdDrive = "Microsoft:Hyper-V:Synthetic DVD Drive",
        PhysicalDrive = "Microsoft:Hyper-V:Physical Disk Drive", Ide = "Microsoft:Hyper-V:Emulated IDE Controller", Scsi = "Microsoft:Hyper-V:Synthetic SCSI Controller", SyntheticNic = "Microsoft:Hyper-V:Synthetic Ethernet Port",
        EmulatedNic = "Microsoft:Hyper-V:Emulated Ethernet Port", Connection = "Microsoft:Hyper-V:Ethernet Connection", Memory = "Microsoft:Hyper-V:Memory", Processor = "Microsoft:Hyper-V:Processor", SerialPort = "Microsoft:Hyper-V:Serial Port";
}

/// <summary>The settings of a machine or of a checkpoint: all InstanceIDs begin with that of its system settings.</summary>
internal sealed class Configuration(CimObject settings, IEnumerable<CimObject> resources, IEnumerable<CimObject> features)
{
    public CimObject Settings { get; set; } = settings;
    public List<CimObject> Resources { get; } = [.. resources];
    public List<CimObject> Features { get; } = [.. features];

    public string Id => Settings.Get(VirtualSystemSettingData.InstanceID)!;
    public Guid Guid => Guid.Parse(Id["Microsoft:".Length..]);
    public bool IsSecondGeneration => Settings.Get(VirtualSystemSettingData.VirtualSystemSubType) == "Microsoft:Hyper-V:SubType:2";

    /// <summary>Those resources that name a disk file of the machine's own.</summary>
    public IEnumerable<CimObject> Disks => Resources.Where(r => r.ClassName == StorageAllocationSettingData.ClassName && r.Get(StorageAllocationSettingData.ResourceSubType) == ResourceNames.HardDisk);

    /// <summary>The files of those disks as they are now: a copy, so that the disks may be pointed elsewhere meanwhile.</summary>
    public IReadOnlyList<string> DiskFiles => [.. Disks.Select(File).OfType<string>()];

    public IEnumerable<CimObject> Nics => Resources.Where(r => r.ClassName is SyntheticEthernetPortSettingData.ClassName or EmulatedEthernetPortSettingData.ClassName);

    public static string? File(CimObject disk) => disk.List(StorageAllocationSettingData.HostResource).FirstOrDefault();

    /// <summary>What a resource is called within its configuration, the same in all copies of it.</summary>
    public string Slot(CimObject resource) => resource.Get(StorageAllocationSettingData.InstanceID)![(Id.Length + 1)..];

    public void Replace(CimObject old, CimObject changed) => Resources[Resources.IndexOf(old)] = changed;

    public void PointDisk(string from, string to)
    {
        foreach (var disk in Disks.Where(d => HostPath.Comparer.Equals(File(d), from)).ToList()) Replace(disk, disk.With(StorageAllocationSettingData.HostResource, [to]));
    }

    /// <summary>A copy under another id: it is in every InstanceID and in every path.</summary>
    public Configuration CopyAs(Guid id)
    {
        var (old, @new) = (Guid.ToString().ToUpperInvariant(), id.ToString().ToUpperInvariant());
        CimObject Copy(CimObject o) => o.Properties.Aggregate(o, (copy, p) => p.Value.Data switch
        {
            string text when p.Key is "InstanceID" or "Parent" => copy.With(p.Key, CimValue.Of(text.Replace(old, @new, StringComparison.OrdinalIgnoreCase))),
            _ => copy,
        });
        return new(Copy(Settings).With(VirtualSystemSettingData.Parent, Settings.Get(VirtualSystemSettingData.Parent)), Resources.Select(Copy), Features.Select(Copy));
    }
}

/// <summary>A machine's memory at one moment, with what it fits to.</summary>
internal sealed record SavedImage(IReadOnlyDictionary<string, string> DiskHashes, IReadOnlyDictionary<string, string> DiskFiles, string Shape, Guid Boot, long Counter, bool SaysCount);

/// <summary>What runs in a machine: a counter that goes up by one each second and never again begins at nothing unless the guest boots.</summary>
internal sealed class GuestModel
{
    public required Guid Boot { get; init; }
    /// <summary>It is the one that writes its count to COM1.</summary>
    public bool SaysCount { get; init; }
    public long Counted { get; set; }
    public DateTimeOffset? RunsSince { get; set; }
    /// <summary>The memory did not fit the disks that it was resumed with.</summary>
    public bool IsCorrupt { get; set; }

    public long CountAt(DateTimeOffset now) => Counted + (RunsSince is { } since ? (long)(now - since).TotalSeconds : 0);

    public void Halt(DateTimeOffset now) => (Counted, RunsSince) = (CountAt(now), null);
}

internal sealed class Checkpoint(Guid id, Configuration configuration)
{
    public Guid Id { get; } = id;
    public Configuration Configuration { get; } = configuration;
    public SavedImage? Memory { get; set; }
    public Guid? Parent { get; set; }
    public bool IsRecovery { get; init; }
}

internal sealed class Machine(Guid id, Configuration own)
{
    public Guid Id { get; } = id;
    public Configuration Own { get; set; } = own;
    public bool IsPlanned { get; set; }
    public ushort State { get; set; } = RunState.Off;
    public List<Checkpoint> Checkpoints { get; } = [];
    /// <summary>The checkpoint that the machine's present is based on.</summary>
    public Guid? Current { get; set; }
    public SavedImage? Saved { get; set; }
    public GuestModel? Guest { get; set; }
    /// <summary>What is at work on it.</summary>
    public string? Busy { get; set; }
    public bool MergesDisks { get; set; } = true;
    /// <summary>Layers of checkpoints that are gone, to be merged with the ones above them.</summary>
    public HashSet<string> Orphans { get; } = new(HostPath.Comparer);
    public DateTimeOffset MergeAt { get; set; }
    /// <summary>The definition file that a planned machine was imported from.</summary>
    public string? ImportedFrom { get; set; }
    /// <summary>The guest can freeze its file systems for a production checkpoint.</summary>
    public bool HasQuiescer { get; set; } = true;
    public bool AnswersShutdown { get; set; } = true;
    /// <summary>The integration services: enabled, and heard of.</summary>
    public bool HasHeartbeat { get; set; } = true;

    public string Name => Own.Settings.Get(VirtualSystemSettingData.ElementName) ?? "";

    public IEnumerable<Configuration> Configurations => Checkpoints.Select(c => c.Configuration).Prepend(Own);
}
