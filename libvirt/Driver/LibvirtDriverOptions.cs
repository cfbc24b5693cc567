using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>Settings of the libvirt driver on one host.</summary>
public sealed record LibvirtDriverOptions
{
    /// <summary>libvirt connection URI; only local ones to QEMU are supported, by the usual socket or another.</summary>
    public string Uri { get; init; } = "qemu:///system";

    /// <summary>Folder of layers and memory images: absolute, normalised, on one file system, and no root of a file system.</summary>
    public string Root { get; init; } = "/var/lib/weave";

    /// <summary>
    /// The mark of one service: names of its domains, networks, namespaces and rule tables begin with it. Two services on a host have two.
    /// A lower-case letter, then letters and digits, at most 12 characters; none may be the beginning of another's followed by its own separator.
    /// </summary>
    public string Prefix { get; init; } = "weave";

    /// <summary>User that QEMU runs as (`user` of qemu.conf): a name of /etc/passwd or a number.</summary>
    public string QemuUser { get; init; } = "libvirt-qemu";

    /// <summary>Group that QEMU's user is in and that may enter our folders: a name of /etc/group or a number.</summary>
    public string QemuGroup { get; init; } = "libvirt-qemu";

    /// <summary>Where libvirt keeps variable stores whose path no definition names.</summary>
    public string NvramFolder { get; init; } = "/var/lib/libvirt/qemu/nvram";

    /// <summary>Where libvirt keeps the state of emulated TPMs, a folder for each machine's UUID.</summary>
    public string TpmFolder { get; init; } = "/var/lib/libvirt/swtpm";

    /// <summary>How long a guest agent may take to freeze, or thaw, a guest's file systems, 1 second to 5 minutes; as [d.]hh:mm:ss. Whole seconds count.</summary>
    public TimeSpan AgentPatience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Throws InvalidRequest that names the first setting that is wrong.</summary>
    public void Validate()
    {
        if (!System.Uri.TryCreate(Uri, UriKind.Absolute, out var uri) || uri.Scheme is not ("qemu" or "qemu+unix") || uri.Host.Length > 0)
            throw Wrong(nameof(Uri), Uri, "Use qemu:///system, or qemu+unix:///system?socket=/path for another socket of this host.");
        if (!Path.IsPathFullyQualified(Root) || Path.GetFullPath(Root) != Root || Root.Count(c => c == '/') < 2 || Root.EndsWith('/') || Root.Any(c => char.IsControl(c) || c is ',' or ':'))
            throw Wrong(nameof(Root), Root, "Use a full path below a top folder, such as /var/lib/weave, without '..', commas or colons.");
        if (Prefix.Length is 0 or > 12 || !char.IsAsciiLetterLower(Prefix[0]) || !Prefix.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c)))
            throw Wrong(nameof(Prefix), Prefix, "Use a lower-case letter, then lower-case letters and digits, at most 12 characters.");
        if (QemuUser.Length == 0 || QemuUser.Contains(':')) throw Wrong(nameof(QemuUser), QemuUser, "Name the user that QEMU runs as.");
        if (QemuGroup.Length == 0 || QemuGroup.Contains(':')) throw Wrong(nameof(QemuGroup), QemuGroup, "Name the group of QEMU's user.");
        if (AgentPatience < TimeSpan.FromSeconds(1) || AgentPatience > TimeSpan.FromMinutes(5)) throw Wrong(nameof(AgentPatience), AgentPatience.ToString(), "Use 00:00:01 to 00:05:00.");
    }

    private static WeaveException Wrong(string setting, string value, string next) =>
        new(Fault.InvalidRequest, $"The libvirt driver's setting {setting} cannot be {Ids.Quote(value)}.", next);
}
