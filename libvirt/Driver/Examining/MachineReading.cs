using System.Globalization;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>A writable disk as the definition declares it.</summary>
internal sealed record DeclaredDisk(string Target, string Path, DiskFormat Format);

/// <summary>A network interface as the definition declares it; the MAC in lower case.</summary>
internal sealed record DeclaredNic(string Mac, string Network);

/// <summary>
/// What a domain's XML says of a machine, and all reasons in it why the machine cannot be adopted. Pure: looks at text only.
/// What is not known to be copied safely is refused.
/// </summary>
internal sealed record MachineReading(long MemoryBytes, int VirtualCpus, IReadOnlyList<DeclaredDisk> Disks, IReadOnlyList<DeclaredNic> Nics, IReadOnlyList<StateKind> States, string? MemoryRefusal, IReadOnlyList<Refusal> Refusals)
{
    private static readonly XNamespace Mark = DriverContext.MarkNamespace;

    /// <param name="name">Of the machine; subjects of refusals begin with it.</param>
    public static MachineReading Read(string name, XDocument definition)
    {
        var domain = definition.Root!;
        var devices = domain.Element("devices") ?? new XElement("devices");
        List<Refusal> refusals = [];
        void Refuse(string? part, string reason, string next) => refusals.Add(new(part is null ? name : $"{name}/{part}", reason, next));

        if (domain.Element("metadata")?.Element(Mark + "copy") is not null)
            Refuse(null, "It is a copy that a weave made.", "Adopt the original machine.");
        if (domain.Elements().Any(e => e.Name.Namespace == DomainText.Qemu && (e.HasElements || e.HasAttributes)))
            Refuse(null, "It has arguments for QEMU's command line (qemu:commandline), which nobody can check.", "Remove them with `virsh edit`.");
        if ((string?)domain.Attribute("type") is not ("kvm" or "qemu"))
            Refuse(null, $"Its type is {Ids.Quote((string?)domain.Attribute("type"))}.", "Only machines of QEMU (kvm, qemu) can be adopted.");
        var os = domain.Element("os");
        if (os?.Element("nvram") is { } nvram && ((string?)nvram.Attribute("type") is not (null or "file") || (string?)nvram.Attribute("format") is not (null or "raw")))
            Refuse(null, "Its UEFI variable store is no raw file.", "Convert it to a raw file with `qemu-img convert -O raw`, and name that in <nvram> with `virsh edit`.");
        if (os?.Element("varstore") is not null) Refuse(null, "Its UEFI variable store is of a kind that is not known here (varstore).", "Use a firmware with <nvram>.");
        foreach (var socket in devices.Elements("vsock").Where(v => (string?)v.Element("cid")?.Attribute("auto") != "yes"))
            Refuse(null, $"Its vsock has the fixed address {(string?)socket.Element("cid")?.Attribute("address")}, which only one machine of a host can have.", "Set auto='yes' on its <cid> with `virsh edit`.");

        var memory = Bytes(domain.Element("memory"));
        if (memory <= 0) Refuse(null, "Its memory size cannot be read.", "Look at it with `virsh dumpxml`.");
        var vcpu = domain.Element("vcpu");
        if (!int.TryParse((string?)vcpu?.Attribute("current") ?? vcpu?.Value ?? "1", NumberStyles.None, CultureInfo.InvariantCulture, out var cpus) || cpus < 1) cpus = 1;

        List<DeclaredDisk> disks = [];
        foreach (var disk in devices.Elements("disk"))
            if (Disk(disk, Refuse) is { } declared) disks.Add(declared);
        foreach (var twice in disks.GroupBy(d => d.Path).Where(g => g.Count() > 1))
            Refuse(twice.Last().Target, $"{Ids.Quote(twice.Key)} is attached twice.", "Detach one of them.");
        List<DeclaredNic> nics = [];
        foreach (var nic in devices.Elements("interface"))
            if (Nic(nic, Refuse) is { } declared) nics.Add(declared);
        foreach (var twice in nics.GroupBy(n => n.Mac).Where(g => g.Count() > 1))
            Refuse(twice.Key, "Two of its network interfaces have the same MAC.", "Change one of them with `virsh edit`.");
        return new(memory, cpus, disks, nics, StateKeeper.KindsOf(definition), WhyNoMemory(domain, devices), refusals);
    }

    /// <summary>Writable disks by target and path, also of machines that would be refused: what others may have open.</summary>
    public static IEnumerable<(string Target, string Path)> WritablePaths(XDocument definition) =>
        from disk in definition.Root!.Element("devices")?.Elements("disk") ?? []
        where (string?)disk.Attribute("device") is null or "disk" or "lun" or "floppy" && disk.Element("readonly") is null
        let path = (string?)disk.Element("source")?.Attribute("file") ?? (string?)disk.Element("source")?.Attribute("dev")
        where path is not null
        select ((string?)disk.Element("target")?.Attribute("dev") ?? "", path);

    private static DeclaredDisk? Disk(XElement disk, Action<string?, string, string> refuse)
    {
        var device = (string?)disk.Attribute("device") ?? "disk";
        var target = (string?)disk.Element("target")?.Attribute("dev") ?? "";
        var source = disk.Element("source");
        var readOnly = disk.Element("readonly") is not null;
        if (device == "cdrom" || readOnly && device is "disk" or "floppy") return null;
        if (device == "floppy")
        {
            if (source is not null) refuse(target, "It is a writable floppy.", "Eject it.");
            return null;
        }
        var before = true;
        void Refuse(string reason, string next)
        {
            before = false;
            refuse(target, reason, next);
        }
        if (device != "disk") Refuse($"Its device kind is {Ids.Quote(device)}, which gives the guest the host's own device.", "Use disks that are files.");
        if (!VolumeName.TryCreate(target, out _)) Refuse($"Its target name {Ids.Quote(target)} cannot name a volume.", "Rename the target with `virsh edit`.");
        if (disk.Element("shareable") is not null) Refuse("It is shared with other machines (shareable).", "Give each machine a disk of its own.");
        if (disk.Element("transient") is not null) Refuse("Its writes are thrown away at the end (transient).", "Remove <transient/> with `virsh edit`.");
        if (disk.Element("mirror") is not null) Refuse("A block job works on it.", "Wait for it, or end it with `virsh blockjob --abort`.");
        var path = (string?)source?.Attribute("file");
        if ((string?)disk.Attribute("type") != "file" || path is null) Refuse($"It is not a file but of type {Ids.Quote((string?)disk.Attribute("type"))}.", "Copy it to a qcow2 file with `qemu-img convert` and use that.");
        else if (!Path.IsPathFullyQualified(path) || path.Any(char.IsControl)) Refuse($"Its path {Ids.Quote(path)} is no full path.", "Give the full path with `virsh edit`.");
        if (source?.Element("encryption") is not null || disk.Element("encryption") is not null) Refuse("It is encrypted.", "Use an image that is not encrypted.");
        foreach (var part in source?.Elements().Where(e => e.Name.LocalName is "slices" or "reservations" or "initiator" or "ssl" or "cookies") ?? [])
            Refuse($"Its source has <{part.Name.LocalName}>, which a copy cannot have.", "Use a plain file.");
        // Absent means raw to libvirt, never a guess.
        DiskFormat? format = ((string?)disk.Element("driver")?.Attribute("type") ?? "raw") switch { "raw" => DiskFormat.Raw, "qcow2" => DiskFormat.Qcow2, _ => null };
        if (format is null) Refuse($"Its format is {Ids.Quote((string?)disk.Element("driver")?.Attribute("type"))}.", "Convert it to qcow2 with `qemu-img convert`.");
        return before ? new(target, path!, format!.Value) : null;
    }

    private static DeclaredNic? Nic(XElement nic, Action<string?, string, string> refuse)
    {
        var mac = ((string?)nic.Element("mac")?.Attribute("address") ?? "").ToLowerInvariant();
        var type = (string?)nic.Attribute("type");
        var network = (string?)nic.Element("source")?.Attribute("network");
        if (type != "network" || network is null)
        {
            refuse(mac, $"Its network interface is of type {Ids.Quote(type)}; only libvirt networks can be fenced.", "Connect it to a libvirt network with `virsh edit`.");
            return null;
        }
        if (mac.Length == 0)
        {
            refuse(mac, "A network interface has no MAC.", "Define the machine anew; libvirt then chooses one.");
            return null;
        }
        if (!NetworkName.TryCreate(network, out _))
        {
            refuse(mac, $"The name of network {Ids.Quote(network)} cannot be used.", "Rename the network: letters, digits, '.', '_' and '-', at most 63.");
            return null;
        }
        return new(mac, network);
    }

    /// <summary>All that QEMU cannot save or that would be shared with the original, in one sentence; null where nothing stands against it.</summary>
    private static string? WhyNoMemory(XElement domain, XElement devices)
    {
        List<string> reasons = [];
        if (devices.Elements("hostdev").Any()) reasons.Add("it has host devices (hostdev)");
        if (devices.Elements("tpm").Any(t => (string?)t.Element("backend")?.Attribute("type") != "emulator")) reasons.Add("it has a TPM of the host (tpm)");
        if (devices.Elements("filesystem").Any()) reasons.Add("it has shared host folders (filesystem)");
        if (devices.Elements("shmem").Any()) reasons.Add("it has memory shared with other processes (shmem)");
        if (devices.Elements("memory").Any(m => (string?)m.Attribute("model") is not "dimm")) reasons.Add("it has persistent or virtio memory devices");
        var backing = domain.Element("memoryBacking");
        if ((string?)backing?.Element("access")?.Attribute("mode") == "shared" || domain.Descendants("cell").Any(c => (string?)c.Attribute("memAccess") == "shared")) reasons.Add("its memory is shared with other processes");
        if (domain.Element("launchSecurity") is not null) reasons.Add("its memory is encrypted (launchSecurity)");
        if ((string?)domain.Element("cpu")?.Attribute("migratable") == "off"
            || domain.Element("cpu")?.Elements("feature").Any(f => (string?)f.Attribute("name") == "invtsc" && (string?)f.Attribute("policy") is "require" or "force") == true)
            reasons.Add("its processor cannot be saved (migratable='off' or invtsc)");
        return reasons.Count == 0 ? null : "No memory can be captured: " + string.Join("; ", reasons) + ".";
    }

    private static long Bytes(XElement? size)
    {
        if (size is null || !long.TryParse(size.Value.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return 0;
        var unit = ((string?)size.Attribute("unit") ?? "KiB") switch
        {
            "b" or "bytes" => 1L, "KB" => 1000, "k" or "KiB" => 1L << 10, "MB" => 1_000_000, "M" or "MiB" => 1L << 20, "GB" => 1_000_000_000, "G" or "GiB" => 1L << 30,
            "TB" => 1_000_000_000_000, "T" or "TiB" => 1L << 40, _ => 0,
        };
        return unit == 0 || number > long.MaxValue / unit ? 0 : number * unit;
    }
}
