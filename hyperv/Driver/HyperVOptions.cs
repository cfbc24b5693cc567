using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV;

/// <summary>Settings of the Hyper-V driver on one host. Paths are Windows paths of that host.</summary>
public sealed record HyperVOptions
{
    /// <summary>
    /// Folder of layers, memory and copies: absolute, at most 80 characters (Hyper-V's own names come below it), no root of a drive, and on the volume of the disks that are adopted:
    /// files get second names there (hard links), which NTFS allows within one volume.
    /// </summary>
    public string Root { get; init; } = @"C:\ProgramData\WeaveHypervisor";

    /// <summary>
    /// The mark of one service: names of its copies, switches and translations begin with it. Two services on a host have two.
    /// A lower-case letter, then letters and digits, at most 12 characters.
    /// </summary>
    public string Prefix { get; init; } = "weave";

    /// <summary>
    /// Machines may stand still while their memory is written and read again. Where the host can take memory in no other way that is cheap, they are saved for it; without this, their disks are copied whole instead.
    /// </summary>
    public bool AllowOutage { get; init; }

    /// <summary>Disk file (.vhdx) of the gateways of fences; null: weaves have networks of their own, and nothing leads into them.</summary>
    public string? GatewayImage { get; init; }

    /// <summary>
    /// Prefix of the addresses between the host and the gateways of fences, /8 to /20: 256 for each fence. Nothing else on the host may have addresses of it, nor be behind the host by them.
    /// Two services on a host have two.
    /// </summary>
    public string Uplink { get; init; } = "100.64.0.0/14";

    /// <summary>How long a change of a machine's run state may take, 10 seconds to 2 hours.</summary>
    public TimeSpan StatePatience { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long checkpoints, exports and imports may take, 1 minute to 24 hours: they write all memory, and exports of disks all disks.</summary>
    public TimeSpan CopyPatience { get; init; } = TimeSpan.FromHours(2);

    /// <summary>Throws InvalidRequest that names the first setting that is wrong.</summary>
    public void Validate()
    {
        if (!HostPath.IsAbsolute(Root) || Root.EndsWith('\\') || Root.Length > 80 || HostPath.Folder(Root).Length == 0) throw Wrong(nameof(Root), Root, @"Use a full path below a drive, such as C:\ProgramData\WeaveHypervisor, of at most 80 characters.");
        if (Prefix.Length is 0 or > 12 || !char.IsAsciiLetterLower(Prefix[0]) || !Prefix.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c)))
            throw Wrong(nameof(Prefix), Prefix, "Use a lower-case letter, then lower-case letters and digits, at most 12 characters.");
        if (GatewayImage is { } image && (!HostPath.IsAbsolute(image) || !HostPath.Ending(image).Equals(".vhdx", StringComparison.OrdinalIgnoreCase))) throw Wrong(nameof(GatewayImage), image, "Use the full path of a .vhdx file.");
        if (!System.Net.IPNetwork.TryParse(Uplink, out var uplink) || uplink.BaseAddress.AddressFamily != System.Net.Sockets.AddressFamily.InterNetwork || uplink.PrefixLength is < 8 or > 20) throw Wrong(nameof(Uplink), Uplink, "Use an IPv4 prefix of /8 to /20, such as 100.64.0.0/14.");
        if (StatePatience < TimeSpan.FromSeconds(10) || StatePatience > TimeSpan.FromHours(2)) throw Wrong(nameof(StatePatience), StatePatience.ToString(), "Use 00:00:10 to 02:00:00.");
        if (CopyPatience < TimeSpan.FromMinutes(1) || CopyPatience > TimeSpan.FromHours(24)) throw Wrong(nameof(CopyPatience), CopyPatience.ToString(), "Use 00:01:00 to 1.00:00:00.");
    }

    private static WeaveException Wrong(string setting, string value, string next) => new(Fault.InvalidRequest, $"The Hyper-V driver's setting {setting} cannot be {Ids.Quote(value)}.", next);
}
