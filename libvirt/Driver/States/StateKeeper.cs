using System.Formats.Tar;
using System.Xml.Linq;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.States;

/// <summary>A state of one instant, read while the machine stood still and not written down yet.</summary>
internal sealed record HeldState(StateKind Kind, string Path, byte[] Content);

/// <summary>
/// UEFI variables and TPM state. Variables are a file that the definition names: QEMU writes each change into it at once (pflash), so that its content is that of the instant while no
/// processor runs. TPM state is a folder that libvirt chooses by the machine's UUID; swtpm replaces each file in it whole. With us it is one file, a tar archive of that folder, which a copy's
/// folder is filled from at its first start; from then on the folder is the truth, and the file marks it as ours. libvirt keeps the folder of a copy that ends (persistent_state).
/// </summary>
internal sealed class StateKeeper(DriverContext context)
{
    /// <summary>Bytes; the largest variable stores have 4 MiB, TPM folders some 10 KiB.</summary>
    private const long Largest = 64 << 20;

    /// <summary>Kinds of state that a definition has.</summary>
    public static IReadOnlyList<StateKind> KindsOf(XDocument definition)
    {
        List<StateKind> kinds = [];
        var os = definition.Root?.Element("os");
        if (os?.Element("nvram") is not null || (string?)os?.Attribute("firmware") == "efi" && (string?)os.Element("loader")?.Attribute("stateless") != "yes") kinds.Add(StateKind.Nvram);
        if (Emulated(definition)) kinds.Add(StateKind.Tpm);
        return kinds;
    }

    /// <summary>The variable store of a definition; libvirt's own choice where only a firmware is asked for. Null where there is none.</summary>
    public string? NvramOf(XDocument definition)
    {
        if (!KindsOf(definition).Contains(StateKind.Nvram)) return null;
        var nvram = definition.Root!.Element("os")!.Element("nvram");
        var path = (string?)nvram?.Element("source")?.Attribute("file") ?? nvram?.Nodes().OfType<XText>().FirstOrDefault()?.Value.Trim();
        return string.IsNullOrEmpty(path) ? Path.Combine(context.Options.NvramFolder, (string?)definition.Root.Element("name") + "_VARS.fd") : path;
    }

    /// <summary>Reads what is to be captured, as it is now. To be called while the machine stands still, or is off.</summary>
    /// <param name="definition">Of the machine as it is; null for a copy that is off.</param>
    public IReadOnlyList<HeldState> Take(CaptureMachine machine, XDocument? definition)
    {
        List<HeldState> held = [];
        foreach (var state in machine.States)
        {
            var content = state.Kind == StateKind.Tpm
                ? Pack(FolderOf(machine.Machine.Uuid)) ?? (state.Own is { } own ? Read(own) : null)
                : (definition is null ? state.Own : NvramOf(definition)) is { } path ? Read(path) : null;
            // Empty: a mark of ours for a state that the hypervisor has not made yet.
            if (content is { Length: > 0 }) held.Add(new(state.Kind, state.Path, content));
        }
        return held;
    }

    /// <summary>Writes down what was taken.</summary>
    public IReadOnlyList<StateFile> Keep(IEnumerable<HeldState> held) => [.. held.Select(state =>
    {
        context.Paths.EnsureFolderOf(state.Path);
        DurableFile.Write(state.Path, file => file.Write(state.Content), owner: context.Paths.QemuOwner);
        return new StateFile(state.Kind, state.Path, state.Content.Length);
    })];

    /// <inheritdoc cref="IHypervisorDriver.CreateStateAsync"/>
    public Task CreateAsync(StateFile captured, string path, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        context.Paths.RequireOurs(captured.Path);
        context.Paths.RequireOurs(path);
        if (File.Exists(path)) return Task.CompletedTask;
        if (Read(captured.Path) is not { } content)
            throw new WeaveException(Fault.DataLoss, $"The {Called(captured.Kind)} {Ids.Quote(captured.Path)} is gone.", "Put it back where it was, or use another snapshot.");
        context.Paths.EnsureFolderOf(path);
        DurableFile.Write(path, file => file.Write(content), owner: context.Paths.QemuOwner);
        return Task.CompletedTask;
    }

    /// <summary>Before a copy is started: its folder for the variable store is there, and its TPM's folder is filled where it never ran.</summary>
    public void Prepare(CopyMachine copy)
    {
        foreach (var state in copy.States)
        {
            context.Paths.EnsureFolderOf(state.Path);
            if (state.Kind != StateKind.Tpm) continue;
            // The mark comes first: by it the folder is found and removed later.
            if (!File.Exists(state.Path)) DurableFile.Write(state.Path, _ => { }, owner: context.Paths.QemuOwner);
            var folder = FolderOf(copy.Machine.Uuid);
            if (Directory.Exists(folder) || Read(state.Path) is not { Length: > 0 } content) continue;
            var making = folder + ".weave";
            try
            {
                if (Directory.Exists(making)) Directory.Delete(making, recursive: true);
                Unpack(content, making, state.Path);
                Directory.Move(making, folder);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw DiskFaults.From(error, $"fill the folder {Ids.Quote(folder)}", writes: true);
            }
        }
    }

    /// <summary>Removes what libvirt keeps of the TPM whose own file <paramref name="path"/> is, if it is one and there; the file itself stays.</summary>
    public void Forget(string path)
    {
        if (context.Paths.TpmOf(path) is not { } uuid || !File.Exists(path)) return;
        foreach (var folder in new[] { FolderOf(uuid), FolderOf(uuid) + ".weave" })
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }

    private string FolderOf(Guid uuid) => Path.Combine(context.Options.TpmFolder, uuid.ToString());

    private static bool Emulated(XDocument definition) => definition.Root?.Element("devices")?.Elements("tpm").Any(t => (string?)t.Element("backend")?.Attribute("type") == "emulator") == true;

    private static string Called(StateKind kind) => kind == StateKind.Tpm ? "TPM state" : "UEFI variable store";

    private static byte[]? Read(string path)
    {
        if (!File.Exists(path)) return null;
        var (handle, facts) = FileFacts.OpenRegular(path);
        using (handle)
        using (var file = new FileStream(handle, FileAccess.Read, 0))
        {
            if (facts.Length > Largest) throw new WeaveException(Fault.Unsupported, $"The state file {Ids.Quote(path)} has {facts.Length >> 20} MiB, more than any firmware or TPM writes.", "Is it the right file? Look at it with `virsh dumpxml`.");
            var content = new byte[facts.Length];
            file.ReadExactly(content);
            return content;
        }
    }

    /// <summary>The regular files of a TPM's folder; null where it is not there. swtpm's lock is no state.</summary>
    private static byte[]? Pack(string folder)
    {
        if (!Directory.Exists(folder)) return null;
        using var packed = new MemoryStream();
        using (var tar = new TarWriter(packed, TarEntryFormat.Pax, leaveOpen: true))
            foreach (var path in Directory.EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint }).Order(StringComparer.Ordinal))
            {
                var name = Path.GetRelativePath(folder, path);
                if (!IsState(name) || Read(path) is not { } content) continue;
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(content), Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
            }
        return packed.ToArray();
    }

    private static void Unpack(byte[] content, string folder, string from)
    {
        DurableFile.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        try
        {
            using var tar = new TarReader(new MemoryStream(content));
            while (tar.GetNextEntry() is { } entry)
            {
                if (entry.EntryType != TarEntryType.RegularFile || !IsState(entry.Name)) throw new InvalidDataException($"it has an entry {Ids.Quote(entry.Name)}");
                var path = Path.Combine(folder, entry.Name);
                DurableFile.CreateDirectory(Path.GetDirectoryName(path)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                // libvirt gives folder and files to swtpm's user when it starts the emulator.
                DurableFile.Write(path, file => entry.DataStream?.CopyTo(file));
            }
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException or FormatException)
        {
            Directory.Delete(folder, recursive: true);
            throw new WeaveException(Fault.DataLoss, $"The TPM state {Ids.Quote(from)} is damaged: {error.Message}.", "Use another snapshot.", error);
        }
    }

    /// <summary>`tpm2/tpm2-00.permall` and its like: one folder, plain names.</summary>
    private static bool IsState(string name) => name.Split('/') is [{ Length: > 0 } part, { Length: > 0 } file] && Plain(part) && Plain(file) && !file.StartsWith('.');

    private static bool Plain(string name) => name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_') && name is not ("." or "..");
}
