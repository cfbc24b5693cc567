using System.Globalization;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>A writable disk as the definition declares it.</summary>
internal sealed record DeclaredDisk(string Target, string Path, DiskFormat Format);

/// <summary>A network interface as the definition declares it; the MAC in lower case.</summary>
/// <param name="Network">The libvirt network, or the host's own bridge or interface.</param>
/// <param name="OfHost">It is a bridge or interface of the host, not a libvirt network.</param>
/// <param name="Vlan">The one VLAN of that bridge that it is on; 0 for none.</param>
internal sealed record DeclaredNic(string Mac, string Network, bool OfHost = false, int Vlan = 0);

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
        var memory = Bytes(domain.Element("memory"));
        if (domain.Element("devices")?.Elements("tpm").Any(t => t.Descendants("encryption").Any()) == true)
            Refuse(null, "The state of its TPM is encrypted with a secret of libvirt's, which was not tried with snapshots and copies.", "Use a TPM without <encryption>, on a file system that is encrypted.");
        if (memory <= 0) Refuse(null, "Its memory size cannot be read.", "Look at it with `virsh dumpxml`.");
        var vcpu = domain.Element("vcpu");
        if (!int.TryParse((string?)vcpu?.Attribute("current") ?? vcpu?.Value ?? "1", NumberStyles.None, CultureInfo.InvariantCulture, out var cpus) || cpus < 1) cpus = 1;

        List<DeclaredDisk> disks = [];
        foreach (var disk in devices.Elements("disk"))
            if (Disk(disk, Refuse) is { } declared) disks.Add(declared);
        foreach (var twice in disks.GroupBy(d => d.Path).Where(g => g.Count() > 1))
            Refuse(Named(twice.Last().Target), $"{Ids.Quote(twice.Key)} is attached twice.", "Detach one of them.");
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
        if (device == "cdrom" && (string?)disk.Attribute("type") == "block" && source is not null)
        {
            refuse(Named(target), "Its CD drive is the host's own, whose tray both machines would move.", "Eject it, or put a file in with `virsh change-media`.");
            return null;
        }
        if (device == "cdrom" || readOnly && device is "disk" or "floppy") return null;
        if (device == "floppy")
        {
            if (source is not null) refuse(Named(target), "It is a writable floppy.", "Eject it.");
            return null;
        }
        var before = true;
        void Refuse(string reason, string next)
        {
            before = false;
            refuse(Named(target), reason, next);
        }
        if (device != "disk") Refuse($"Its device kind is {Ids.Quote(device)}, which gives the guest the host's own device.", "Use disks that are files.");
        if (!VolumeName.TryCreate(target, out _)) Refuse($"Its target name {Ids.Quote(target)} cannot name a volume.", "Rename the target with `virsh edit`.");
        if (disk.Element("shareable") is not null) Refuse("It is shared with other machines (shareable).", "Give each machine a disk of its own.");
        if (disk.Element("transient") is not null) Refuse("Its writes are thrown away at the end (transient).", "Remove <transient/> with `virsh edit`.");
        if (disk.Element("mirror") is not null) Refuse("A block job works on it.", "Wait for it, or end it with `virsh blockjob --abort`.");
        var path = (string?)source?.Attribute("file");
        if ((string?)disk.Attribute("type") != "file" || path is null)
        {
            var (what, next) = (string?)disk.Attribute("type") switch
            {
                "block" => ($"is a block device, {Ids.Quote((string?)source?.Attribute("dev"))}", "Copy it to a qcow2 file with `qemu-img convert` while the machine is off, and use that."),
                "network" => ($"is on the network ({Ids.Quote((string?)source?.Attribute("protocol"))})", "Copy it to a qcow2 file with `qemu-img convert` while the machine is off, and use that."),
                "volume" => ($"is named by its pool, {Ids.Quote((string?)source?.Attribute("pool"))}", "Name the file itself, which `virsh vol-path` tells, with `virsh edit`."),
                var other => ($"is of type {Ids.Quote(other)}", "Copy it to a qcow2 file with `qemu-img convert` while the machine is off, and use that."),
            };
            Refuse($"It {what}; only files can have layers.", next);
        }
        else if (!Path.IsPathFullyQualified(path) || path.Any(char.IsControl)) Refuse($"Its path {Ids.Quote(path)} is no full path.", "Give the full path with `virsh edit`.");
        if (source?.Element("encryption") is not null || disk.Element("encryption") is not null) Refuse("It is encrypted.", "Use an image that is not encrypted on a file system that is, or encrypt inside of the guest.");
        foreach (var part in source?.Elements().Where(e => e.Name.LocalName is "slices" or "reservations" or "initiator" or "ssl" or "cookies") ?? [])
            Refuse($"Its source has <{part.Name.LocalName}>, which a copy cannot have.", "Use a plain file.");
        // Absent means raw to libvirt, never a guess.
        DiskFormat? format = ((string?)disk.Element("driver")?.Attribute("type") ?? "raw") switch { "raw" => DiskFormat.Raw, "qcow2" => DiskFormat.Qcow2, _ => null };
        if (format is null) Refuse($"Its format is {Ids.Quote((string?)disk.Element("driver")?.Attribute("type"))}.", "Convert it to qcow2 with `qemu-img convert`.");
        return before ? new(target, path!, format!.Value) : null;
    }

    /// <summary>A target that can stand in a message as it is.</summary>
    private static string Named(string target) => VolumeName.TryCreate(target, out _) ? target : Ids.Quote(target);

    private static DeclaredNic? Nic(XElement nic, Action<string?, string, string> refuse)
    {
        var mac = ((string?)nic.Element("mac")?.Attribute("address") ?? "").ToLowerInvariant();
        var type = (string?)nic.Attribute("type");
        var source = nic.Element("source");
        if (mac.Length != 17 || mac.Where((c, i) => i % 3 == 2 ? c != ':' : !char.IsAsciiHexDigitLower(c)).Any())
        {
            refuse(null, mac.Length == 0 ? "A network interface has no MAC." : $"A network interface has {Ids.Quote(mac)} for a MAC.", "Define the machine anew; libvirt then chooses one.");
            return null;
        }
        var name = type switch { "network" => (string?)source?.Attribute("network"), "bridge" => (string?)source?.Attribute("bridge"), "direct" => (string?)source?.Attribute("dev"), _ => null };
        if (name is null)
        {
            var (why, next) = type switch
            {
                "user" or "server" or "client" or "mcast" or "udp" => ("leads out of QEMU itself, past every fence", "Connect it to a libvirt network or a bridge with `virsh edit`."),
                "hostdev" => ("is a card of the host (hostdev)", "Connect it to a libvirt network or a bridge with `virsh edit`; a copy cannot have the card."),
                "vhostuser" or "vdpa" => ("is served by another process or card of the host", "Connect it to a libvirt network or a bridge with `virsh edit`."),
                "ethernet" => ("is a device that somebody else connects", "Name the bridge in the definition: <interface type='bridge'>."),
                _ => ("cannot be fenced", "Connect it to a libvirt network or a bridge with `virsh edit`."),
            };
            refuse(mac, $"Its network interface of type {Ids.Quote(type)} {why}.", next);
            return null;
        }
        var tags = nic.Element("vlan")?.Elements("tag").ToList() ?? [];
        if (tags.Count > 1 || (string?)nic.Element("vlan")?.Attribute("trunk") == "yes")
        {
            refuse(mac, "Its network interface carries several VLANs (a trunk), which a fence does not have.", "Give it one interface for each VLAN.");
            return null;
        }
        _ = int.TryParse((string?)tags.FirstOrDefault()?.Attribute("id"), NumberStyles.None, CultureInfo.InvariantCulture, out var vlan);
        if (!NetworkName.TryCreate(name, out _))
        {
            refuse(mac, $"The name of network {Ids.Quote(name)} cannot be used.", "Rename the network: letters, digits, '.', '_' and '-', at most 63.");
            return null;
        }
        return new(mac, name, type != "network", vlan);
    }

    /// <summary>All that QEMU cannot save or that would be shared with the original, in one sentence; null where nothing stands against it.</summary>
    private static string? WhyNoMemory(XElement domain, XElement devices)
    {
        List<string> reasons = [];
        if (devices.Elements("hostdev").Any()) reasons.Add("it has host devices (hostdev)");
        if (devices.Elements("tpm").Any(t => (string?)t.Element("backend")?.Attribute("type") != "emulator")) reasons.Add("it has a TPM of the host (tpm)");
        if (devices.Elements("filesystem").Any()) reasons.Add("it has shared host folders (filesystem)");
        if (devices.Elements("smartcard").Any(s => (string?)s.Attribute("mode") != "passthrough")) reasons.Add("it has a smartcard of the host (smartcard)");
        if (devices.Descendants("gl").Any(g => (string?)g.Attribute("enable") == "yes") || devices.Descendants("acceleration").Any(a => (string?)a.Attribute("accel3d") == "yes")) reasons.Add("its screen is drawn by the host's graphics card (gl, accel3d)");
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
