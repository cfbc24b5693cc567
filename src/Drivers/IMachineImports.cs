using WeaveHypervisor.Model;

namespace WeaveHypervisor.Drivers;

/// <summary>Optional ability of a driver: making machines of a user's, as if somebody had defined them by hand. What is made belongs to the user, and nothing of ours marks it.</summary>
public interface IMachineImports
{
    /// <summary>
    /// The path at which the disk of an imported machine is made; outside the tree of layers. Pure. It has the machine's new UUID in it: disks of an earlier import are the user's, whatever became of
    /// their machines, and are neither written over nor removed by a later one.
    /// </summary>
    string PlaceImport(EnvironmentId environment, MachineRef machine, VolumeName volume);

    /// <summary>Makes the folder of such a path: as private as that of layers, and QEMU gets through.</summary>
    Task PrepareImportAsync(string path, CancellationToken stop);

    /// <summary>
    /// Gives a file that was written at such a path to QEMU (0600), after a look at it: an image that is not a qcow2 file that stands alone is refused (Unsupported), and one that is not of the size
    /// that its manifest says, too (DataLoss).
    /// </summary>
    /// <param name="virtualSize">Bytes that a guest sees.</param>
    Task AcceptImportAsync(string path, long virtualSize, CancellationToken stop);

    /// <summary>
    /// Which of the networks are to be made; the others are there with the same addresses, and are used as they are. Refused (Unsupported), all reasons together: a network of that name with other
    /// addresses, or whose addresses another network has; another machine of that name; a MAC that another machine has on the same network. Touches nothing.
    /// </summary>
    Task<IReadOnlyList<NetworkName>> CheckImportAsync(ImportRequest request, CancellationToken stop);

    /// <summary>Defines networks and machines, which are off, as <see cref="CheckImportAsync"/> found possible. Repeatable. Conflict where somebody else has made a network of such a name meanwhile.</summary>
    /// <param name="made">The networks that are to be made.</param>
    Task DefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop);

    /// <summary>Takes back a whole or half-done <see cref="DefineAsync"/> and the disks: machines of these UUIDs, the networks in <paramref name="made"/> that this import made itself, files at these paths. Gone is success.</summary>
    Task UndefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop);
}

public sealed record ImportRequest
{
    public required EnvironmentId Environment { get; init; }
    public required IReadOnlyList<NetworkBlueprint> Networks { get; init; }
    public required IReadOnlyList<ImportMachine> Machines { get; init; }
}

/// <param name="Disks">Path of each volume of the shape, in its order.</param>
public sealed record ImportMachine(MachineRef Machine, long MemoryBytes, int VirtualCpus, MachineShape Shape, IReadOnlyList<string> Disks);
