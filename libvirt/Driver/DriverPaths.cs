using System.Globalization;
using System.Runtime.InteropServices;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>
/// Where the driver's files are. Layers: <c>{Root}/environments/{env}/{tag}/layers/{layer}.qcow2</c>; memory:
/// <c>{Root}/environments/{env}/memory/{snapshot}/{machine}.ram</c> and <c>.state</c>; firmware and TPM state beside that memory as <c>.nvram</c> and <c>.tpm</c>, a copy's own under
/// <c>{Root}/environments/{env}/{tag}/state/{uuid}.nvram</c> and <c>.tpm</c>. Folders are 0710 root:QEMU's group, so that QEMU gets through
/// and nobody else looks in; files are 0600.
/// </summary>
internal sealed partial class DriverPaths(LibvirtDriverOptions options)
{
    /// <summary>Mode of every folder of ours.</summary>
    public const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute;

    private (FileOwner Qemu, FileOwner Folder)? _owners;

    public string Root => options.Root;

    public string Environments { get; } = Path.Combine(options.Root, "environments");

    private string Imports { get; } = Path.Combine(options.Root, "imports");

    public string PlaceLayer(EnvironmentId environment, FenceTag weave, LayerId layer) =>
        Path.Combine(Environments, Checked(environment), Checked(weave), "layers", Checked(layer) + ".qcow2");

    /// <summary>Name of a copy's domain.</summary>
    public string NameCopy(EnvironmentId environment, WeaveId weave, MachineName machine) => $"{options.Prefix}.{environment}.{weave}.{machine}";

    public (string Flat, string DeviceState) PlaceMemory(EnvironmentId environment, SnapshotId snapshot, MachineName machine)
    {
        var stem = Path.Combine(Environments, Checked(environment), "memory", Checked(snapshot), Checked(machine));
        return (stem + ".ram", stem + ".state");
    }

    public string PlaceState(EnvironmentId environment, SnapshotId snapshot, MachineName machine, StateKind kind) =>
        Path.Combine(Environments, Checked(environment), "memory", Checked(snapshot), Checked(machine) + Ending(kind));

    public string PlaceState(EnvironmentId environment, FenceTag weave, MachineRef copy, StateKind kind) =>
        Path.Combine(Environments, Checked(environment), Checked(weave), "state", copy.Uuid.ToString("N") + Ending(kind));

    /// <summary>Beside the tree of layers, in which everything is ours to remove.</summary>
    public string PlaceImport(EnvironmentId environment, MachineRef machine, VolumeName volume) => Path.Combine(Imports, Checked(environment), $"{machine.Name}-{volume}-{machine.Uuid:N}.qcow2");

    /// <summary>The UUID of the copy whose own TPM state has this path; null for any other path.</summary>
    public Guid? TpmOf(string path) => IsOurs(path) && Path.GetFileName(Path.GetDirectoryName(path)) == "state" && path.EndsWith(Ending(StateKind.Tpm), StringComparison.Ordinal)
        && Guid.TryParseExact(Path.GetFileNameWithoutExtension(path), "N", out var uuid) ? uuid : null;

    private static string Ending(StateKind kind) => kind == StateKind.Tpm ? ".tpm" : ".nvram";

    /// <summary>User and group of files that QEMU opens. Unavailable where the host has no such user or group.</summary>
    public FileOwner QemuOwner => Owners().Qemu;

    /// <summary>
    /// True for a file path of the form that this class gives out (also beside it: a <c>.part</c> file), written in full, without <c>..</c>, and with no
    /// symbolic link in any part of it below the root that exists, the file itself included.
    /// </summary>
    public bool IsOurs(string path)
    {
        if (!Path.IsPathFullyQualified(path) || path.Any(char.IsControl) || Path.GetFullPath(path) != path || !path.StartsWith(Environments + "/", StringComparison.Ordinal)) return false;
        var parts = path[(Environments.Length + 1)..].Split('/');
        var shaped = parts.Length == 4 && EnvironmentId.TryCreate(parts[0], out _) && parts[3].Length > 0
            && (parts[2] is "layers" or "state" && FenceTag.TryCreate(parts[1], out _) || parts[1] == "memory" && SnapshotId.TryCreate(parts[2], out _));
        if (!shaped) return false;
        var at = Environments;
        if (IsLink(at)) return false;
        foreach (var part in parts)
            if (IsLink(at = Path.Combine(at, part))) return false;
        return true;
    }

    /// <summary>InvalidRequest for a path that is not <see cref="IsOurs"/>.</summary>
    public void RequireOurs(string path)
    {
        if (!IsOurs(path))
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(path)} is not a file of the driver's own tree {Ids.Quote(Environments)}.", "Only layers and memory images that were made here can be given.");
    }

    /// <summary>Makes the folder of a file of ours, and all between it and the root, with their mode and owner, durably.</summary>
    public void EnsureFolderOf(string path)
    {
        RequireOurs(path);
        var owner = Owners().Folder;
        DurableFile.CreateDirectory(Root, FolderMode, owner);
        DurableFile.CreateDirectory(Environments, FolderMode, owner);
        var at = Environments;
        foreach (var part in Path.GetDirectoryName(path)![(Environments.Length + 1)..].Split('/'))
            DurableFile.CreateDirectory(at = Path.Combine(at, part), FolderMode, owner);
    }

    /// <summary>Makes the folder of an environment's imported disks, `{Root}/imports/{env}`, with the mode and owner of those of layers.</summary>
    public void EnsureImports(string folder)
    {
        var owner = Owners().Folder;
        foreach (var at in (string[])[Root, Imports, folder]) DurableFile.CreateDirectory(at, FolderMode, owner);
    }

    /// <summary>Removes the folder of an environment's imported disks where it is empty.</summary>
    public void RemoveImports(EnvironmentId environment)
    {
        foreach (var folder in (string[])[Path.Combine(Imports, Checked(environment)), Imports])
            if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
    }

    /// <summary>Removes the folders of a file of ours that are empty now, up to the environment's; best-effort, because another call may use them again.</summary>
    public void RemoveEmptyFolders(string path)
    {
        for (var folder = Path.GetDirectoryName(path); folder is not null && folder.Length > Environments.Length && folder.StartsWith(Environments, StringComparison.Ordinal); folder = Path.GetDirectoryName(folder))
        {
            try
            {
                Directory.Delete(folder);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                if (Directory.Exists(folder)) return;
            }
        }
    }

    private (FileOwner Qemu, FileOwner Folder) Owners()
    {
        if (_owners is { } known) return known;
        var user = Number("/etc/passwd", options.QemuUser, "user");
        var group = Number("/etc/group", options.QemuGroup, "group");
        var found = (new FileOwner(user, group), new FileOwner(geteuid(), group));
        _owners = found;
        return found;
    }

    private static uint Number(string database, string name, string what)
    {
        if (uint.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return number;
        try
        {
            foreach (var line in File.ReadLines(database))
                if (line.Split(':') is { Length: > 2 } fields && fields[0] == name && uint.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out number)) return number;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"read {database}");
        }
        throw new WeaveException(Fault.Unavailable, $"This host has no {what} {Ids.Quote(name)}, under which QEMU is said to run.", $"Install libvirt-daemon-system, or set the QEMU {what} of the libvirt driver.");
    }

    private static bool IsLink(string path) => new FileInfo(path).LinkTarget is not null;

    private static string Checked<T>(T id) where T : struct, ITextId<T> => id.Text.Length > 0 ? id.Text : throw new WeaveException(Fault.InvalidRequest, $"A path needs a {T.Noun}.");

    [LibraryImport("libc")]
    private static partial uint geteuid();
}
