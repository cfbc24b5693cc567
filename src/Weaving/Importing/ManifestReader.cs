using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Exporting;

namespace WeaveHypervisor.Weaving.Importing;

/// <summary>Reads a manifest, fail closed: whoever can write one must not be able to name files, devices or addresses that an export would not.</summary>
internal static partial class ManifestReader
{
    private const int MostMachines = 64, MostDisks = 26, MostNics = 32, MostCpus = 1024;
    private const long LeastMemory = 1 << 20, MostMemory = 16L << 40;

    /// <summary>The manifest of the folder at <paramref name="folder"/>, checked. NotFound where there is none, Unsupported for another format or provider, InvalidRequest for anything that no export writes.</summary>
    public static async Task<ExportManifest> ReadAsync(string folder, CancellationToken stop)
    {
        ExportFolder.CheckRead(folder);
        var path = Path.Combine(folder, ExportManifest.FileName);
        if (!File.Exists(path)) throw new WeaveException(Fault.NotFound, $"{Ids.QuotePath(folder)} is no exported folder: it has no {ExportManifest.FileName}.", "Name a folder that `weave export` made.");
        try
        {
            var (handle, facts) = FileFacts.OpenRegular(path);
            await using var file = new FileStream(handle, FileAccess.Read);
            if (facts.Length > ExportManifest.MaxBytes) throw Wrong(path, $"it is larger than {ExportManifest.MaxBytes} bytes");
            using var document = await JsonDocument.ParseAsync(file, cancellationToken: stop);
            if (HasGap(document.RootElement)) throw Wrong(path, "a list in it has an element that is null");
            var manifest = document.Deserialize(ExportJson.Default.ExportManifest) ?? throw Wrong(path, "it is empty");
            Check(manifest, path);
            return manifest;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException || e is WeaveException { Fault: Fault.InvalidRequest } inner && inner.NextStep != Next)
        {
            throw e is IOException or UnauthorizedAccessException ? DiskFaults.From(e, $"read {Ids.QuotePath(path)}") : Wrong(path, e.Message);
        }
    }

    /// <summary>Null in a list: the serializer, which refuses null for members that are not nullable, lets it pass.</summary>
    private static bool HasGap(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Array => element.EnumerateArray().Any(e => e.ValueKind == JsonValueKind.Null || HasGap(e)),
        JsonValueKind.Object => element.EnumerateObject().Any(p => HasGap(p.Value)),
        _ => false,
    };

    private static void Check(ExportManifest m, string path)
    {
        if (m.Format != ExportManifest.CurrentFormat) throw new WeaveException(Fault.Unsupported, $"{Ids.QuotePath(path)} is of the format {Ids.Quote(m.Format)}.", "Import it with the version of the service that wrote it.");
        if (m.Provider != ExportProvider.Libvirt) throw new WeaveException(Fault.Unsupported, $"{Ids.QuotePath(path)} was exported for {m.Provider}.", "Export it for libvirt.");
        void Require(bool holds, string why)
        {
            if (!holds) throw Wrong(path, why);
        }
        Require(m.Environment.Text.Length > 0, "it names no environment");
        Require(m.Machines.Count is > 0 and <= MostMachines && m.Machines.Select(x => x.Name).Distinct().Count() == m.Machines.Count, "its machines are none, too many, or named twice");
        Require(m.Networks.Count <= MostMachines && m.Networks.Select(n => n.Name).Distinct().Count() == m.Networks.Count, "its networks are too many, or named twice");
        foreach (var machine in m.Machines)
        {
            Require(machine.Name.Text.Length > 0 && machine.MemoryBytes is >= LeastMemory and <= MostMemory && machine.VirtualCpus is > 0 and <= MostCpus && machine.Chipset is null or "pc" or "q35", $"the size of {machine.Name} is out of range");
            Require(machine.Box.Path == $"boxes/{machine.Name}.box", $"the box of {machine.Name} is not where it should be");
            Require(machine.Volumes.Count is > 0 and <= MostDisks && machine.Nics.Count <= MostNics, $"{machine.Name} has no disk, or too many devices");
            for (var i = 0; i < machine.Volumes.Count; i++)
                Require(machine.Volumes[i] is { Bytes: >= 0, VirtualSize: > 0 } v && v.Name.Text.Length > 0 && v.Image == $"disk{i + 1}.img" && Digest().IsMatch(v.Sha256), $"disk {i + 1} of {machine.Name} is not described as it should be");
            Require(machine.Volumes.Select(v => v.Name).Distinct().Count() == machine.Volumes.Count && Digest().IsMatch(machine.Box.Sha256), $"the disks of {machine.Name} are named twice");
            foreach (var nic in machine.Nics) Require(Mac().IsMatch(nic.Mac) && m.Networks.Any(n => n.Name == nic.Network) && nic.Addresses.All(IsAddress), $"a network interface of {machine.Name} is not described as it should be");
        }
        foreach (var n in m.Networks)
        {
            Require(n.Name.Text.Length > 0 && n.Mtu is 0 or (>= 576 and <= 65535) && (n.Gateway is null || IsAddress(n.Gateway) && n.PrefixLength is >= 1 and <= 30), $"network {n.Name} has no addresses that can be used");
            Require((n.GatewayMac is null || Mac().IsMatch(n.GatewayMac)) && (n.DomainName is null || HostName().IsMatch(n.DomainName)) && (n.DhcpStart is null || IsAddress(n.DhcpStart)) && (n.DhcpEnd is null || IsAddress(n.DhcpEnd)), $"network {n.Name} is not described as it should be");
            Require(n.Hosts.Count <= 1024 && n.Hosts.All(h => IsAddress(h.Address) && (h.Mac is null || Mac().IsMatch(h.Mac)) && h.Names.All(x => HostName().IsMatch(x))), $"a host of network {n.Name} is not described as it should be");
        }
    }

    private const string Next = "Export the folder anew.";
    private static WeaveException Wrong(string path, string why) => new(Fault.InvalidRequest, $"The manifest {Ids.QuotePath(path)} cannot be used: {why.TrimEnd('.')}.", Next);
    private static bool IsAddress(string text) => IPAddress.TryParse(text, out var address) && address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork && address.ToString() == text;

    [GeneratedRegex(@"\A[0-9a-f]{64}\z")]
    private static partial Regex Digest();
    [GeneratedRegex(@"\A[0-9a-f]{2}(:[0-9a-f]{2}){5}\z")]
    private static partial Regex Mac();
    [GeneratedRegex(@"\A[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})\z")]
    private static partial Regex HostName();
}
