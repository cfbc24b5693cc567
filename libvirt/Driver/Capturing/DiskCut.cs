using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>The disk side of an instant: which file each volume writes to, and the switch to new heads.</summary>
internal static class DiskCut
{
    /// <summary>XML of a disk-only external snapshot onto overlays that exist already; disks that are not volumes of ours are left out by name.</summary>
    public static string SnapshotXml(XDocument domain, CaptureMachine machine)
    {
        var heads = machine.Volumes.ToDictionary(v => v.Target, v => v.NewHead);
        var disks = Disks(domain).Select(disk => Target(disk)).OfType<string>().Select(target => heads.TryGetValue(target, out var head)
            ? new XElement("disk", new XAttribute("name", target), new XAttribute("snapshot", "external"), new XAttribute("type", "file"),
                new XElement("driver", new XAttribute("type", Qcow2OverlayWriter.NameOf(head.Format))),
                new XElement("source", new XAttribute("file", head.Path)))
            : new XElement("disk", new XAttribute("name", target), new XAttribute("snapshot", "no")));
        return new XElement("domainsnapshot", new XElement("disks", disks)).ToString();
    }

    /// <summary>Path that each target uses now.</summary>
    public static IReadOnlyDictionary<string, string> Paths(XDocument domain) => Disks(domain)
        .Select(d => (Target: Target(d), Path: (string?)d.Element("source")?.Attribute("file")))
        .Where(d => d.Target is not null && d.Path is not null).ToDictionary(d => d.Target!, d => d.Path!);

    /// <summary>Points volumes of a definition to other files; answers whether anything changed.</summary>
    public static bool Point(XDocument domain, IReadOnlyDictionary<string, LayerRef> files)
    {
        var changed = false;
        foreach (var disk in Disks(domain))
        {
            if (Target(disk) is not { } target || !files.TryGetValue(target, out var file)) continue;
            var source = disk.Element("source");
            var driver = disk.Element("driver");
            if (source is null)
            {
                source = new XElement("source");
                disk.Add(source);
            }
            var format = Qcow2OverlayWriter.NameOf(file.Format);
            if ((string?)source.Attribute("file") == file.Path && (string?)driver?.Attribute("type") == format) continue;
            source.SetAttributeValue("file", file.Path);
            // The index names a node of the running machine's block graph; a stored chain would be that of the old file.
            source.SetAttributeValue("index", null);
            if (driver is null)
            {
                driver = new XElement("driver", new XAttribute("name", "qemu"));
                disk.AddFirst(driver);
            }
            driver.SetAttributeValue("type", format);
            disk.Elements("backingStore").Remove();
            changed = true;
        }
        return changed;
    }

    /// <summary>Takes the chain below a disk out of the stored definition of a persistent domain.</summary>
    public static async Task ForgetChainAsync(LibvirtConnection connection, LibvirtDomain domain, string target, CancellationToken stop)
    {
        var xml = DomainText.Parse(await domain.GetXmlAsync(DomainXmlFlags.Inactive | DomainXmlFlags.Secure, stop));
        var chains = Disks(xml).Where(d => Target(d) == target).SelectMany(d => d.Elements("backingStore")).ToList();
        if (chains.Count == 0) return;
        chains.Remove();
        using var defined = await connection.DefineDomainAsync(xml.ToString(SaveOptions.DisableFormatting), cancellationToken: stop);
    }

    /// <summary>Points the stored definition of a persistent domain to other files.</summary>
    public static async Task RedefineAsync(LibvirtConnection connection, LibvirtDomain domain, IReadOnlyDictionary<string, LayerRef> files, CancellationToken stop)
    {
        var xml = DomainText.Parse(await domain.GetXmlAsync(DomainXmlFlags.Inactive | DomainXmlFlags.Secure, stop));
        if (!Point(xml, files)) return;
        using var defined = await connection.DefineDomainAsync(xml.ToString(SaveOptions.DisableFormatting), cancellationToken: stop);
    }

    /// <summary>The disk at a target; null where the definition has none there.</summary>
    public static XElement? Find(XDocument domain, string target) => Disks(domain).FirstOrDefault(d => Target(d) == target);

    private static IEnumerable<XElement> Disks(XDocument domain) => domain.Root?.Element("devices")?.Elements("disk") ?? [];
    private static string? Target(XElement disk) => (string?)disk.Element("target")?.Attribute("dev");
}
