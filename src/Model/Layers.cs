namespace WeaveHypervisor.Model;

/// <summary>One disk file: which layer it is, where it is, how it is written. The path was chosen by the driver.</summary>
public sealed record LayerRef(LayerId Id, string Path, DiskFormat Format, long VirtualSize);

/// <summary>
/// The memory of one machine at one snapshot: a flat RAM file (a base) and a device-state stream. Images of one machine may share a base: then the stream of each holds
/// the pages that differ from it. A base is never written again, and is removed with the last image that needs it.
/// </summary>
public sealed record MemoryImage
{
    /// <summary>Flat file: page N of the main RAM block at offset N × 4096, holes for zero pages.</summary>
    public required string FlatPath { get; init; }
    /// <summary>Migration stream with no page of the main block but those that differ from a base that is shared.</summary>
    public required string DeviceStatePath { get; init; }
    public required long RamBytes { get; init; }
    /// <summary>Bytes allocated on disk by this image's own files: not by a base that was there before.</summary>
    public required long StoredBytes { get; init; }
    /// <summary>The flat file was made by an earlier image, and only the device state by this one.</summary>
    public bool SharesBase { get; init; }
    /// <summary>Name of the main RAM block in the source, needed where the whole stream must be rebuilt.</summary>
    public required string MainBlock { get; init; }
}

/// <summary>State of a machine that is neither disk nor memory and that outlives its power cycles, in a file of its own.</summary>
public enum StateKind
{
    /// <summary>The variables of a UEFI firmware: boot order, secure-boot keys.</summary>
    Nvram,
    /// <summary>An emulated TPM: its seeds, keys and counters.</summary>
    Tpm,
}

/// <summary>One state file that we made or chose the place of. <see cref="Bytes"/> is its length when it was made; 0 where there was none yet to copy, and the hypervisor makes a fresh one.</summary>
public sealed record StateFile(StateKind Kind, string Path, long Bytes);

public enum RunState { Off, Running, Paused }

/// <summary>What a snapshot promises of its instant, best first.</summary>
public enum Consistency
{
    /// <summary>Memory and disks of one instant.</summary>
    Machine,
    /// <summary>Disks of one instant; of every machine that was not off the file systems were frozen by its guest agent, or its memory is there.</summary>
    Filesystem,
    /// <summary>Disks of one instant, as after a power cut.</summary>
    Crash,
}
