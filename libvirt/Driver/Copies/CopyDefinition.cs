using System.Globalization;
using System.Xml.Linq;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Copies;

/// <summary>How a copy gets its memory.</summary>
internal enum CopyMemory
{
    /// <summary>It boots.</summary>
    None,
    /// <summary>Its RAM is a private map of the flat file; it waits for the device state.</summary>
    Shared,
    /// <summary>It waits for a whole migration stream.</summary>
    Whole,
}

/// <summary>
/// Rewrites a machine's definition into that of a copy. Changed: name, UUID, generation id, disk files, networks, paths and ports that belong to the
/// original alone. Kept: MACs, machine type, processor, device addresses: all that the guest, or its saved state, knows.
/// </summary>
internal static class CopyDefinition
{
    private static readonly XNamespace Mark = DriverContext.MarkNamespace;
    private static readonly string[] Consoles = ["serial", "parallel", "console", "channel", "rng", "redirdev", "smartcard"];

    private static readonly string[] HostBound = ["hostdev", "filesystem", "shmem", "lease"];

    /// <param name="network">Name of the libvirt network of the fence that stands for an environment network of that index.</param>
    /// <param name="plugs">Links that the interfaces get, by MAC; libvirt names those of an interface that is not among them.</param>
    public static string Write(InstantiateRequest request, CopyMachine copy, LibvirtDriverOptions options, CopyMemory memory, Func<int, string> network, IReadOnlyList<(string Mac, string Tap)> plugs)
    {
        var document = DomainText.Parse(copy.Blueprint.Definition);
        var domain = document.Root ?? throw new WeaveException(Fault.DataLoss, $"The stored definition of '{copy.Machine.Name}' is empty.");
        domain.SetAttributeValue("id", null);
        Set(domain, "name", copy.Machine.HypervisorName);
        Set(domain, "uuid", copy.Machine.Uuid.ToString());
        // The guest's kernel reseeds its random numbers when this changes. Where the device was not there, adding it would change the hardware under a saved state.
        if (domain.Element("genid") is { } generation) generation.Value = Guid.NewGuid().ToString();
        domain.Element("title")?.Remove();
        domain.Element("metadata")?.Remove();
        domain.Elements("seclabel").Remove();
        domain.Elements("resource").Remove();
        Processors(domain);
        // libvirt refuses another UUID here than the machine's own. A resumed guest knows its old one until it reboots.
        foreach (var entry in domain.Elements("sysinfo").Elements("system").Elements("entry").Where(e => (string?)e.Attribute("name") == "uuid")) entry.Value = copy.Machine.Uuid.ToString();
        // Supplied definitions never reach QEMU's command line.
        domain.Elements(DomainText.Qemu + "commandline").Remove();
        domain.Elements(DomainText.Qemu + "capabilities").Remove();
        domain.Elements(DomainText.Qemu + "override").Remove();
        domain.Add(new XElement("metadata", new XElement(Mark + "copy", new XAttribute(XNamespace.Xmlns + "weave", Mark.NamespaceName), new XAttribute("owner", options.Prefix),
            new XAttribute("environment", request.Environment.Text), new XAttribute("weave", request.Weave.Text), new XAttribute("tag", request.Tag.Text))));
        var devices = domain.Element("devices") ?? throw new WeaveException(Fault.DataLoss, $"The stored definition of '{copy.Machine.Name}' has no devices.");
        // By these a copy would reach the host, or write where the original writes. Such machines have no memory image, so no saved state misses them.
        devices.Elements().Where(d => HostBound.Contains(d.Name.LocalName) || d.Name.LocalName == "memory" && (string?)d.Attribute("model") is "nvdimm" or "virtio-pmem").Remove();
        State(domain, devices, copy);
        Disks(devices, copy);
        Interfaces(devices, copy, request.Networks, network, [.. plugs]);
        // Guests learn a new number from the device when they are resumed.
        foreach (var cid in devices.Elements("vsock").Elements("cid")) cid.ReplaceAttributes(new XAttribute("auto", "yes"));
        devices.Elements("smartcard").Where(s => (string?)s.Attribute("mode") != "passthrough").Remove();
        Consoles.SelectMany(name => devices.Elements(name)).ToList().ForEach(Console);
        foreach (var sound in devices.Elements("audio").Where(a => (string?)a.Attribute("type") is not ("spice" or "none")))
        {
            sound.ReplaceAttributes(new XAttribute("id", (string?)sound.Attribute("id") ?? "1"), new XAttribute("type", "none"));
            sound.RemoveNodes();
        }
        foreach (var graphics in devices.Elements("graphics").ToList()) Graphics(graphics);
        foreach (var alias in devices.Descendants("alias").Where(a => ((string?)a.Attribute("name"))?.StartsWith("ua-", StringComparison.Ordinal) != true).ToList()) alias.Remove();
        CommandLine(domain, copy, memory);
        return document.ToString(SaveOptions.DisableFormatting);
    }

    /// <summary>A variable store of its own, made from the firmware's template where it is not there; a TPM whose state outlives the copy's process.</summary>
    private static void State(XElement domain, XElement devices, CopyMachine copy)
    {
        foreach (var state in copy.States)
            if (state.Kind == StateKind.Nvram)
            {
                var os = domain.Element("os")!;
                var nvram = os.Element("nvram");
                if (nvram is null)
                {
                    nvram = new XElement("nvram");
                    if (os.Element("loader") is { } loader) loader.AddAfterSelf(nvram);
                    else os.Add(nvram);
                }
                nvram.SetAttributeValue("type", null);
                nvram.ReplaceNodes(state.Path);
            }
        foreach (var tpm in devices.Elements("tpm").ToList())
            if (tpm.Element("backend") is { } backend && (string?)backend.Attribute("type") == "emulator") backend.SetAttributeValue("persistent_state", "yes");
            else tpm.Remove();
    }

    private static void Disks(XElement devices, CopyMachine copy)
    {
        var heads = copy.Heads.ToDictionary(h => h.Target, h => h.Head);
        foreach (var disk in devices.Elements("disk").ToList())
        {
            var target = (string?)disk.Element("target")?.Attribute("dev") ?? "";
            disk.Elements("backingStore").Remove();
            disk.Elements("mirror").Remove();
            if (!heads.Remove(target, out var head))
            {
                // Read-only media are shared as they are.
                disk.Element("source")?.SetAttributeValue("index", null);
                continue;
            }
            disk.SetAttributeValue("type", "file");
            disk.Elements("source").Remove();
            disk.AddFirst(new XElement("source", new XAttribute("file", head.Path)));
            var driver = disk.Element("driver");
            if (driver is null) disk.AddFirst(driver = new XElement("driver", new XAttribute("name", "qemu")));
            driver.SetAttributeValue("type", Qcow2OverlayWriter.NameOf(head.Format));
        }
        if (heads.Count > 0)
            throw new WeaveException(Fault.DataLoss, $"The stored definition of '{copy.Machine.Name}' has no disk '{heads.Keys.First()}', although a layer is kept for it.", "Use another snapshot.");
    }

    /// <summary>A copy does not sit on the processors that are reserved for the original.</summary>
    private static void Processors(XElement domain)
    {
        domain.Element("vcpu")?.SetAttributeValue("cpuset", null);
        domain.Element("vcpu")?.SetAttributeValue("placement", null);
        if (domain.Element("cputune") is not { } tuning) return;
        tuning.Elements().Where(e => e.Name.LocalName is "vcpupin" or "emulatorpin" or "iothreadpin" or "vcpusched" or "emulatorsched" or "iothreadsched" or "cachetune" or "memorytune").Remove();
        if (!tuning.HasElements) tuning.Remove();
    }

    private static void Interfaces(XElement devices, CopyMachine copy, IReadOnlyList<NetworkName> networks, Func<int, string> network, List<(string Mac, string Tap)> plugs)
    {
        foreach (var nic in devices.Elements("interface").ToList())
        {
            var mac = (string?)nic.Element("mac")?.Attribute("address") ?? "";
            var known = copy.Blueprint.Nics.FirstOrDefault(n => string.Equals(n.Mac, mac, StringComparison.OrdinalIgnoreCase))
                ?? throw new WeaveException(Fault.DataLoss, $"The stored definition of '{copy.Machine.Name}' has a network interface '{mac}' that its metadata does not know.", "Use another snapshot.");
            var index = networks.ToList().IndexOf(known.Network);
            if (index < 0) throw new WeaveException(Fault.DataLoss, $"Network '{known.Network}' of '{copy.Machine.Name}' is not among the networks of the weave.", "Use another snapshot.");
            nic.SetAttributeValue("type", "network");
            nic.Elements("source").Remove();
            nic.Elements("actual").Remove();
            // Host names of the original's tap device, its virtual port and filters belong to the original's network.
            nic.Elements("target").Remove();
            nic.Elements("virtualport").Remove();
            nic.Elements("filterref").Remove();
            nic.Elements("backend").Remove();
            nic.Elements("port").Remove();
            nic.Elements("vlan").Remove();
            // The trust of a switch port, an address that libvirt would route, and what a host does with the guest's own settings.
            nic.SetAttributeValue("trustGuestRxFilters", null);
            nic.SetAttributeValue("managed", null);
            nic.Elements("ip").Remove();
            nic.Elements("route").Remove();
            nic.Add(new XElement("source", new XAttribute("network", network(index))));
            var plug = plugs.FindIndex(p => string.Equals(p.Mac, mac, StringComparison.OrdinalIgnoreCase));
            if (plug < 0) continue;
            nic.Add(new XElement("target", new XAttribute("dev", plugs[plug].Tap)));
            plugs.RemoveAt(plug);
        }
    }

    /// <summary>Character devices that lead to files, sockets or host devices of the original become private terminals; the guest sees no difference.</summary>
    private static void Console(XElement device)
    {
        device.Elements("log").Remove();
        device.SetAttributeValue("tty", null);
        if (device.Name.LocalName == "rng")
        {
            // A collector of entropy that the original is connected to; where random bytes come from, the guest does not see.
            if (device.Element("backend") is { } backend && (string?)backend.Attribute("model") == "egd") backend.ReplaceWith(new XElement("backend", new XAttribute("model", "random"), "/dev/urandom"));
            return;
        }
        var type = (string?)device.Attribute("type");
        if (type is "pty" or "spicevmc" or "spiceport" or "qemu-vdagent" or "null")
        {
            if (type == "pty") device.Elements("source").Remove();
            return;
        }
        device.Elements("source").Remove();
        device.Elements("protocol").Remove();
        // libvirt chooses a socket of the copy's own for a unix channel without a source, which is where it looks for a guest agent.
        if (device.Name.LocalName == "channel" && type == "unix") return;
        device.SetAttributeValue("type", "pty");
    }

    private static void Graphics(XElement graphics)
    {
        // A window or bus of the original's user; what shows a screen is not part of the machine.
        if ((string?)graphics.Attribute("type") is "sdl" or "desktop" or "rdp" or "dbus") graphics.Remove();
        if ((string?)graphics.Attribute("type") is not ("vnc" or "spice")) return;
        foreach (var name in new[] { "port", "tlsPort", "websocket", "socket", "listen" }) graphics.SetAttributeValue(name, null);
        graphics.Elements("listen").Remove();
        if ((string?)graphics.Element("gl")?.Attribute("enable") == "yes")
        {
            // QEMU draws with the host's card for local viewers only.
            graphics.SetAttributeValue("autoport", null);
            graphics.AddFirst(new XElement("listen", new XAttribute("type", "none")));
            return;
        }
        graphics.SetAttributeValue("autoport", "yes");
        graphics.Add(new XElement("listen", new XAttribute("type", "address"), new XAttribute("address", "127.0.0.1")));
    }

    private static void CommandLine(XElement domain, CopyMachine copy, CopyMemory memory)
    {
        if (memory == CopyMemory.None) return;
        List<string> arguments = ["-incoming", "defer"];
        if (memory == CopyMemory.Shared)
        {
            var image = copy.Memory!;
            if (image.FlatPath.Contains(',')) throw new WeaveException(Fault.InvalidRequest, $"The path '{image.FlatPath}' has a comma, which QEMU takes for an end.", "Choose another root folder.");
            arguments.AddRange(["-object", string.Create(CultureInfo.InvariantCulture,
                $"memory-backend-file,id={MigrationStreamSplitter.SharedBlock},size={image.RamBytes},mem-path={image.FlatPath},share=off,x-use-canonical-path-for-ramblock-id=false"),
                "-machine", $"memory-backend={MigrationStreamSplitter.SharedBlock}"]);
        }
        domain.Add(new XElement(DomainText.Qemu + "commandline", new XAttribute(XNamespace.Xmlns + "qemu", DomainText.Qemu.NamespaceName),
            arguments.Select(a => new XElement(DomainText.Qemu + "arg", new XAttribute("value", a)))));
    }

    private static void Set(XElement parent, string name, string value)
    {
        if (parent.Element(name) is { } element) element.Value = value;
        else parent.AddFirst(new XElement(name, value));
    }
}
