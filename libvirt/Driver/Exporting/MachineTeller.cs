using System.Globalization;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Examining;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Exporting;

/// <summary>Tells of a domain's XML what another tool understands. Pure: looks at text only.</summary>
internal static class MachineTeller
{
    /// <summary>vagrant-libvirt writes this into the description (action/set_name_of_domain.rb), and names its interfaces and disks by aliases of the user's kind.</summary>
    private const string VagrantSource = "Source: ", VagrantManagement = "ua-net-0";

    public static MachineShape Describe(MachineBlueprint machine)
    {
        var definition = DomainText.Parse(machine.Definition);
        var domain = definition.Root!;
        var devices = domain.Element("devices") ?? new XElement("devices");
        var os = domain.Element("os");
        List<string> missing = [];

        var folder = Vagrant(((string?)domain.Element("description"))?.Trim());
        var disks = devices.Elements("disk").Select(d => (Disk: d, Target: (string?)d.Element("target")?.Attribute("dev") ?? "", Order: Order(d))).ToList();
        var shapes = from volume in machine.Volumes
                     let disk = disks.FirstOrDefault(d => d.Target == volume.Target)
                     orderby disk.Order
                     select new DiskShape(volume.Name, (string?)disk.Disk?.Element("target")?.Attribute("bus") ?? "virtio");
        var interfaces = devices.Elements("interface").ToLookup(i => ((string?)i.Element("mac")?.Attribute("address"))?.ToLowerInvariant());
        var nics = machine.Nics.Select(n => (Nic: n, Xml: interfaces[n.Mac].FirstOrDefault())).Select(n => new NicShape(n.Nic.Mac, n.Nic.Network,
            (string?)n.Xml?.Element("model")?.Attribute("type") ?? "virtio", n.Nic.Addresses, folder is not null && (string?)n.Xml?.Element("alias")?.Attribute("name") == VagrantManagement));

        if ((string?)os?.Element("kernel") is { Length: > 0 } kernel) missing.Add($"a kernel of the host's that it is started with ({Ids.QuotePath(kernel)})");
        if (machine.States.Contains(StateKind.Nvram)) missing.Add("the variables of its UEFI firmware");
        if (machine.States.Contains(StateKind.Tpm) || devices.Elements("tpm").Any()) missing.Add("its TPM and what that keeps");
        if (devices.Elements("hostdev").Any()) missing.Add("devices of the host");
        if (devices.Elements("filesystem").Any()) missing.Add("shared folders of the host");
        foreach (var medium in disks.Where(d => (string?)d.Disk.Attribute("device") is "cdrom" or "floppy" && d.Disk.Element("source") is not null)) missing.Add($"the medium in {medium.Target}");
        var type = (string?)os?.Element("type")?.Attribute("machine");
        return new()
        {
            Firmware = (string?)os?.Attribute("firmware") == "efi" || (string?)os?.Element("loader")?.Attribute("type") == "pflash" ? FirmwareKind.Uefi : FirmwareKind.Bios,
            Chipset = type is null ? null : type.Contains("q35", StringComparison.Ordinal) ? "q35" : type == "pc" || type.Contains("i440fx", StringComparison.Ordinal) ? "pc" : null,
            Disks = [.. shapes], Nics = [.. nics], VagrantFolder = folder, NotCarried = missing,
        };
    }

    /// <summary>A disk without an order of its own comes after those that have one, as it stands.</summary>
    private static int Order(XElement disk) => int.TryParse((string?)disk.Element("boot")?.Attribute("order"), NumberStyles.None, CultureInfo.InvariantCulture, out var order) ? order : int.MaxValue;

    private static string? Vagrant(string? description) => description is not null && description.StartsWith(VagrantSource, StringComparison.Ordinal) && Path.GetDirectoryName(description[VagrantSource.Length..]) is { } folder
        && Path.IsPathFullyQualified(folder) && !folder.Any(char.IsControl) ? folder : null;
}
