using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;
using WeaveHypervisor.Drivers;

namespace WeaveHypervisor.HyperV;

/// <summary>
/// Where the driver's files are on the host, and what its things are called. Layers: <c>{Root}\environments\{env}\{tag}\layers\{layer}.vhdx</c>; memory:
/// <c>{Root}\environments\{env}\memory\{snapshot}\{machine}.vmrs</c> with the definition that it belongs to as <c>.vmcx</c>; variables of firmware beside that as <c>.vmgs</c>, a copy's own under
/// <c>{Root}\environments\{env}\{tag}\state\{uuid}.vmgs</c>. A copy's definition is Hyper-V's own, below <c>{Root}\copies\{uuid}</c>; exports and imports pass through <c>{Root}\work</c>.
/// A layer that Hyper-V has named itself (<c>…_GUID.avhdx</c>) has its path here as a second name.
/// </summary>
internal sealed class DriverPaths(HyperVOptions options, IHostFiles files)
{
    /// <summary>Of files that hold layers.</summary>
    public const string LayerEnding = ".vhdx";

    public string Root => options.Root;
    public string Environments { get; } = HostPath.Join(options.Root, "environments");
    public string Copies { get; } = HostPath.Join(options.Root, "copies");
    /// <summary>What is in it belongs to a call that is at work, or died: everything is made anew by a repeat.</summary>
    public string Work { get; } = HostPath.Join(options.Root, "work");

    public string PlaceLayer(EnvironmentId environment, FenceTag weave, LayerId layer) => HostPath.Join(Environments, Checked(environment), Checked(weave), "layers", Checked(layer) + LayerEnding);

    public (string Flat, string DeviceState) PlaceMemory(EnvironmentId environment, SnapshotId snapshot, MachineName machine)
    {
        var stem = HostPath.Join(Environments, Checked(environment), "memory", Checked(snapshot), Checked(machine));
        return (stem + ".vmrs", stem + ".vmcx");
    }

    public string PlaceState(EnvironmentId environment, SnapshotId snapshot, MachineName machine, StateKind kind) => HostPath.Join(Environments, Checked(environment), "memory", Checked(snapshot), Checked(machine) + Ending(kind));

    public string PlaceState(EnvironmentId environment, FenceTag weave, MachineRef copy, StateKind kind) => HostPath.Join(Environments, Checked(environment), Checked(weave), "state", copy.Uuid.ToString("N") + Ending(kind));

    /// <summary>Folder of a copy's own configuration, memory and firmware state, which Hyper-V keeps there.</summary>
    public string PlaceCopy(Guid uuid) => HostPath.Join(Copies, uuid.ToString("N"));

    /// <summary>Name of a copy.</summary>
    public string NameCopy(EnvironmentId environment, WeaveId weave, MachineName machine) => $"{options.Prefix}.{environment}.{weave}.{machine}";

    /// <summary>Name of the checkpoint that froze a machine's disks: says what stands on it.</summary>
    public string NameCheckpoint(EnvironmentId environment, SnapshotId snapshot) => $"{options.Prefix}.{environment}.{snapshot} (layers stand on it: do not delete)";

    /// <summary>True for the name of a checkpoint that was made here: layers stand on it, and nobody deletes it.</summary>
    public bool IsOurCheckpoint(string? name) => name?.StartsWith(options.Prefix + ".", StringComparison.Ordinal) == true;

    /// <summary>Name of the private switch that is a network of a fence. Names of switches need not be unique: the switch's notes hold a mark, too (<see cref="Owned.OwnedMark"/>).</summary>
    public string NameSwitch(FenceTag tag, NetworkName network) => $"{options.Prefix}.{tag}.{network}";

    /// <summary>True for the path of a file of the form that this class gives out.</summary>
    public bool IsOurs(string path)
    {
        if (!HostPath.IsAbsolute(path) || !HostPath.IsBelow(path, Environments)) return false;
        var parts = path[(Environments.Length + 1)..].Split('\\');
        return parts.Length == 4 && EnvironmentId.TryCreate(parts[0], out _)
            && (parts[2] == "layers" && FenceTag.TryCreate(parts[1], out _) && IsLayer(parts[3]) || parts[2] == "state" && FenceTag.TryCreate(parts[1], out _) || parts[1] == "memory" && SnapshotId.TryCreate(parts[2], out _));
    }

    /// <summary>A path of ours as this class spells it: the host may tell another case.</summary>
    public string Canonical(string path) => IsOurs(path) ? HostPath.Join(Environments, path[(Environments.Length + 1)..]) : path;

    private static bool IsLayer(string name) => name.EndsWith(LayerEnding, StringComparison.OrdinalIgnoreCase) && LayerId.TryCreate(name[..^LayerEnding.Length], out _);

    /// <summary>InvalidRequest for a path that is not <see cref="IsOurs"/>.</summary>
    public void RequireOurs(string path)
    {
        if (!IsOurs(path))
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.QuotePath(path)} is not a file of the driver's own tree {Ids.QuotePath(Environments)}.", "Only layers and memory images that were made here can be given.");
    }

    /// <summary>Makes the folder of a file of ours.</summary>
    public async Task EnsureFolderOfAsync(string path, CancellationToken stop)
    {
        RequireOurs(path);
        await files.CreateFolderAsync(HostPath.Folder(path), stop);
    }

    private static string Ending(StateKind kind) => kind == StateKind.Tpm ? ".tpm" : ".vmgs";

    private static string Checked<T>(T id) where T : struct, ITextId<T> => id.Text.Length > 0 ? id.Text : throw new WeaveException(Fault.InvalidRequest, $"A path needs a {T.Noun}.");
}
