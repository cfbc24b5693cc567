using WeaveHypervisor.Model;

namespace WeaveHypervisor.Drivers;

/// <summary>
/// Optional ability of a driver: what machines are, and what their disks held, in a form that leaves the hypervisor. Nothing here changes a machine, a layer or the pool.
/// </summary>
public interface IMachineExports
{
    /// <summary>What can be told of a machine to another tool, read from its definition. Pure.</summary>
    MachineShape Describe(MachineBlueprint machine);

    /// <summary>Space of the file system in which an existing folder is.</summary>
    Task<StorageFacts> InspectFolderAsync(string folder, CancellationToken stop);

    /// <summary>Bytes that an image made by <see cref="WriteImageAsync"/> takes at most. The layer may be a live one: the answer is then an estimate.</summary>
    /// <param name="format">As there.</param>
    Task<long> MeasureImageAsync(LayerRef layer, DiskFormat format, CancellationToken stop);

    /// <summary>
    /// Writes an image that stands alone (no backing file, no parent) and reads as the frozen <paramref name="layer"/> with all below it. 0600, the service's own, synced. A file of that
    /// path is replaced; after an error or cancellation there is none. Machines that have the layer open run on.
    /// </summary>
    /// <param name="format">Qcow2: version 3, compressed. Vhdx: dynamic, with blocks of 1 MiB. Refused (InvalidRequest): others.</param>
    /// <param name="path">In a folder that is there, outside the driver's own tree.</param>
    Task WriteImageAsync(LayerRef layer, DiskFormat format, string path, IProgress<Progress>? progress, CancellationToken stop);
}

public enum FirmwareKind { Bios, Uefi }

/// <summary>A machine without what only its hypervisor understands.</summary>
public sealed record MachineShape
{
    public FirmwareKind Firmware { get; init; }
    /// <summary>Chipset by QEMU's short name, "pc" or "q35"; null where it is neither.</summary>
    public string? Chipset { get; init; }
    /// <summary>Its volumes, the one that it boots from first.</summary>
    public required IReadOnlyList<DiskShape> Disks { get; init; }
    public required IReadOnlyList<NicShape> Nics { get; init; }
    /// <summary>Where Vagrant made it: the folder of its Vagrantfile; null where it did not.</summary>
    public string? VagrantFolder { get; init; }
    /// <summary>What of the machine cannot be told, a phrase each.</summary>
    public IReadOnlyList<string> NotCarried { get; init => field = value ?? []; } = [];
}

/// <param name="Bus">libvirt's name: virtio, sata, scsi, ide, usb.</param>
public sealed record DiskShape(VolumeName Volume, string Bus);

/// <param name="Model">libvirt's name: virtio, e1000…</param>
/// <param name="IsManagement">The interface that Vagrant adds to each machine by itself.</param>
public sealed record NicShape(string Mac, NetworkName Network, string Model, IReadOnlyList<string> Addresses, bool IsManagement);
