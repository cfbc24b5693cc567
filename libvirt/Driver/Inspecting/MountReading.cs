using System.Globalization;
using System.Text.Json;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Inspecting;

/// <summary>
/// Which mounted file systems are on a disk, by what `guest-get-fsinfo` answers (QEMU, qga/qapi-schema.json, GuestFilesystemInfo): each names its disks by their PCI address and serial
/// number. A guest may say anything: what is not of that shape is passed over.
/// </summary>
internal static class MountReading
{
    private const int MostPlaces = 20, LongestPlace = 200;

    /// <inheritdoc cref="IHypervisorDriver.FindMountsAsync"/>
    public static async Task<VolumeMounts> FindAsync(DriverContext context, MachineRef machine, string target, TimeSpan patience, CancellationToken stop)
    {
        var answer = await context.Agent.CallAsync(machine, "guest-get-fsinfo", patience, stop);
        if (answer.State != AgentCondition.Answers) return new(answer.ToFacts(), []);
        using var domain = await context.Host.FindDomainAsync(machine, stop);
        if (domain is null) return new(new(AgentCondition.Off, "the machine is off"), []);
        var disk = await context.Host.CallAsync($"look at machine '{machine.HypervisorName}'", async _ => DiskCut.Find(DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop)), target), stop);
        return new(answer.ToFacts(), disk is null ? [] : PlacesOn(answer.Value, disk));
    }

    /// <param name="disk">The disk in the running machine's definition, which has its address.</param>
    public static IReadOnlyList<string> PlacesOn(JsonElement fileSystems, XElement disk)
    {
        if (fileSystems.ValueKind != JsonValueKind.Array) return [];
        var address = disk.Element("address");
        var places = new List<string>();
        foreach (var system in fileSystems.EnumerateArray())
        {
            if (system.ValueKind != JsonValueKind.Object || !system.TryGetProperty("mountpoint", out var place) || place.ValueKind != JsonValueKind.String
                || !system.TryGetProperty("disk", out var disks) || disks.ValueKind != JsonValueKind.Array) continue;
            if (disks.EnumerateArray().Any(d => d.ValueKind == JsonValueKind.Object && Is(d, disk, address)) && places.Count < MostPlaces)
                places.Add(Ids.Quote(place.GetString() is { Length: > LongestPlace } text ? text[..LongestPlace] : place.GetString()!));
        }
        return places;
    }

    private static bool Is(JsonElement found, XElement disk, XElement? address)
    {
        if (Text(found, "serial") is { Length: > 0 } serial && serial == (string?)disk.Element("serial")) return true;
        if (address is null) return false;
        switch ((string?)address.Attribute("type"))
        {
            case "pci":
                return found.TryGetProperty("pci-controller", out var pci) && pci.ValueKind == JsonValueKind.Object
                    && new[] { "domain", "bus", "slot", "function" }.All(part => Number(pci, part) is { } n and >= 0 && n == Hex((string?)address.Attribute(part)));
            case "drive":
                return Text(found, "bus-type") is { } bus && bus == (string?)disk.Element("target")?.Attribute("bus")
                    && new[] { "bus", "target", "unit" }.All(part => Number(found, part) is { } n and >= 0 && n == Hex((string?)address.Attribute(part)));
            default:
                return false;
        }
    }

    private static string? Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static long? Number(JsonElement element, string name) => element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var n) ? n : null;

    /// <summary>libvirt writes PCI addresses as 0x…, those of drives as plain numbers.</summary>
    private static long? Hex(string? text) => text is null ? 0
        : text.StartsWith("0x", StringComparison.Ordinal) ? long.TryParse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var hex) ? hex : null
        : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var plain) ? plain : null;
}
