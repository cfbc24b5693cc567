using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Importing;

/// <summary>Writes the definitions of imported machines and networks from what their manifest tells, never from XML that somebody supplies. Pure.</summary>
internal static class ImportDefinition
{
    private static readonly HashSet<string> NicModels = ["virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3"];
    private static readonly Dictionary<string, string> Buses = new() { ["virtio"] = "vd", ["scsi"] = "sd", ["sata"] = "sd", ["usb"] = "sd", ["ide"] = "hd" };

    /// <param name="kvm">The host's processor runs guests.</param>
    public static XElement Domain(ImportMachine machine, bool kvm)
    {
        var shape = machine.Shape;
        var devices = new XElement("devices");
        for (var i = 0; i < shape.Disks.Count; i++)
        {
            var (bus, target) = Place(shape, i);
            devices.Add(new XElement("disk", new XAttribute("type", "file"), new XAttribute("device", "disk"),
                new XElement("driver", new XAttribute("name", "qemu"), new XAttribute("type", "qcow2"), new XAttribute("discard", "unmap")),
                new XElement("source", new XAttribute("file", machine.Disks[i])), new XElement("target", new XAttribute("dev", target), new XAttribute("bus", bus)),
                new XElement("boot", new XAttribute("order", i + 1))));
        }
        if (shape.Disks.Any(d => d.Bus == "scsi")) devices.Add(new XElement("controller", new XAttribute("type", "scsi"), new XAttribute("model", "virtio-scsi")));
        foreach (var nic in shape.Nics)
            devices.Add(new XElement("interface", new XAttribute("type", "network"), new XElement("mac", new XAttribute("address", nic.Mac)), new XElement("source", new XAttribute("network", nic.Network.Text)),
                new XElement("model", new XAttribute("type", NicModels.Contains(nic.Model) ? nic.Model : "virtio"))));
        devices.Add(new XElement("serial", new XAttribute("type", "pty")), new XElement("console", new XAttribute("type", "pty")),
            new XElement("channel", new XAttribute("type", "unix"), new XElement("target", new XAttribute("type", "virtio"), new XAttribute("name", "org.qemu.guest_agent.0"))),
            new XElement("rng", new XAttribute("model", "virtio"), new XElement("backend", new XAttribute("model", "random"), "/dev/urandom")));
        return new("domain", new XAttribute("type", kvm ? "kvm" : "qemu"),
            new XElement("name", machine.Machine.HypervisorName), new XElement("uuid", machine.Machine.Uuid.ToString()),
            new XElement("memory", new XAttribute("unit", "b"), machine.MemoryBytes), new XElement("vcpu", machine.VirtualCpus),
            new XElement("os", shape.Firmware == FirmwareKind.Uefi ? new XAttribute("firmware", "efi") : null, new XElement("type", new XAttribute("arch", "x86_64"), new XAttribute("machine", shape.Chipset ?? (shape.Firmware == FirmwareKind.Uefi ? "q35" : "pc")), "hvm")),
            new XElement("features", new XElement("acpi"), new XElement("apic")), new XElement("cpu", new XAttribute("mode", "host-model")), new XElement("clock", new XAttribute("offset", "utc")),
            new XElement("on_reboot", "restart"), new XElement("on_crash", "destroy"), devices);
    }

    /// <summary>A disk keeps the name that its volume has where that is one of a device, so that volumes are called as they were.</summary>
    private static (string Bus, string Target) Place(MachineShape shape, int index)
    {
        var disk = shape.Disks[index];
        var bus = Buses.ContainsKey(disk.Bus) ? disk.Bus : "virtio";
        bool IsDevice(string name) => name.Length == 3 && name.StartsWith(Buses[bus], StringComparison.Ordinal) && char.IsAsciiLetterLower(name[2]);
        return (bus, shape.Disks.All(d => d.Bus == disk.Bus && IsDevice(d.Volume.Text)) ? disk.Volume.Text : Buses[bus] + (char)('a' + index));
    }

    /// <summary>A network of libvirt's own: with an address it is NAT, whatever it was; without one it is closed.</summary>
    public static XElement Network(NetworkBlueprint network, Guid uuid)
    {
        var xml = new XElement("network", new XElement("name", network.Name.Text), new XElement("uuid", uuid.ToString()));
        if (network.Gateway is null) return With(xml, network.Mtu);
        xml.Add(new XElement("forward", new XAttribute("mode", "nat")));
        if (network.GatewayMac is { } mac) xml.Add(new XElement("mac", new XAttribute("address", mac)));
        if (network.DomainName is { } domain) xml.Add(new XElement("domain", new XAttribute("name", domain), new XAttribute("localOnly", "yes")));
        var names = network.Hosts.Where(h => h.Mac is null && h.Names.Count > 0).ToList();
        if (names.Count > 0) xml.Add(new XElement("dns", names.Select(h => new XElement("host", new XAttribute("ip", h.Address), h.Names.Select(n => new XElement("hostname", n))))));
        var ip = new XElement("ip", new XAttribute("address", network.Gateway), new XAttribute("prefix", network.PrefixLength));
        if (network.Dhcp)
        {
            var dhcp = new XElement("dhcp");
            if (network is { DhcpStart: { } start, DhcpEnd: { } end }) dhcp.Add(new XElement("range", new XAttribute("start", start), new XAttribute("end", end)));
            foreach (var host in network.Hosts.Where(h => h.Mac is not null))
                dhcp.Add(new XElement("host", new XAttribute("mac", host.Mac!), host.Names.Count > 0 ? new XAttribute("name", host.Names[0]) : null, new XAttribute("ip", host.Address)));
            ip.Add(dhcp);
        }
        xml.Add(ip);
        return With(xml, network.Mtu);
    }

    /// <summary>The UUID that this import gives a network: known before the network is made, and of no other import, because its machines have new UUIDs.</summary>
    public static Guid NetworkUuid(ImportRequest request, NetworkName network)
    {
        Span<byte> digest = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{request.Machines[0].Machine.Uuid:N}/{network}"), digest);
        return new(digest[..16]);
    }

    private static XElement With(XElement network, int mtu)
    {
        if (mtu > 0) network.Add(new XElement("mtu", new XAttribute("size", mtu.ToString(CultureInfo.InvariantCulture))));
        return network;
    }
}
