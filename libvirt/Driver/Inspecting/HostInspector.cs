using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Inspecting;

/// <summary>Facts of the host and what stands in the way, for the doctor. Everything is a finding, also a dead libvirtd.</summary>
internal sealed class HostInspector(DriverContext context)
{
    public async Task<HostFacts> InspectAsync(CancellationToken stop)
    {
        var findings = new List<Finding>();
        var details = new Dictionary<string, string>();
        var version = "unknown";
        try
        {
            await context.Host.CallAsync("look at the host", async connection =>
            {
                var libvirt = await connection.GetLibVersionAsync(stop);
                var qemu = await connection.GetHypervisorVersionAsync(stop);
                version = qemu.ToString();
                details["libvirt"] = libvirt.ToString();
                details["QEMU"] = qemu.ToString();
                var node = await connection.GetNodeInfoAsync(stop);
                details["processors"] = $"{node.Cpus} ({node.Model})";
                details["memory"] = $"{node.MemoryKiB >> 10} MiB";
                findings.Add(new(FindingLevel.Ok, "libvirt", $"libvirt {libvirt} and QEMU {qemu} answer at {context.Options.Uri}.", null));
                Versions(libvirt, qemu, findings);
                if (!Installed("swtpm")) await MissTpmAsync(connection, findings, stop);
            }, stop);
        }
        catch (WeaveException e)
        {
            findings.Add(new(FindingLevel.Error, "libvirt", e.Message, e.NextStep));
        }
        Kernel(findings);
        Programs(findings);
        await GroupsAsync(findings, stop);
        Confinement(findings);
        await StorageAsync(findings, stop);
        return new("QEMU/libvirt", version, details, findings);
    }

    /// <summary>Free and all bytes of the file system under the root; where the root is not made yet, of the folder that it will be made in.</summary>
    public StorageFacts Storage()
    {
        var folder = context.Options.Root;
        while (!Directory.Exists(folder)) folder = Path.GetDirectoryName(folder) ?? "/";
        var drive = new DriveInfo(folder);
        return new(context.Options.Root, drive.AvailableFreeSpace, drive.TotalSize);
    }

    /// <summary>Allocated bytes of the files that are there.</summary>
    public static IReadOnlyDictionary<string, long> Measure(IReadOnlyList<string> paths)
    {
        var bytes = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var path in paths)
            try
            {
                bytes[path] = FileFacts.Read(path).AllocatedBytes;
            }
            catch (WeaveException e) when (e.Fault == Fault.NotFound)
            {
                // Gone: what is missing is told by FindMissingAsync.
            }
        return bytes;
    }

    private static void Versions(Version libvirt, Version qemu, List<Finding> findings)
    {
        if (libvirt < new Version(8, 2)) findings.Add(new(FindingLevel.Error, "libvirt", $"libvirt {libvirt} cannot pass files to QEMU's monitor; memory cannot be captured.", "Install libvirt 8.2 or newer."));
        if (qemu < new Version(6, 0)) findings.Add(new(FindingLevel.Warning, "QEMU", $"QEMU {qemu} has no background snapshot; machines are paused longer for their memory, which is sent as in a live migration.", "Install QEMU 6.0 or newer."));
        if (libvirt.Major == 9 && libvirt.Minor == 0)
            findings.Add(new(FindingLevel.Note, "libvirt", "libvirt 9.0 may make overlays of machines that are off readable for all (CVE-2025-13193). Layers of this service are made by itself, 0600.", null));
        if (libvirt >= new Version(11, 2) && libvirt < new Version(11, 4))
            findings.Add(new(FindingLevel.Note, "libvirt", "This libvirt cannot revert internal snapshots; the service does not use them.", null));
        if (libvirt >= new Version(10, 8) && libvirt < new Version(11, 11))
            findings.Add(new(FindingLevel.Warning, "libvirt", "This libvirt cannot start machines with more than about 25 layers.", "Keep histories short, or update libvirt."));
    }

    /// <summary>swtpm, which is not there, is needed by machines with an emulated TPM alone, and by their copies.</summary>
    internal static async Task MissTpmAsync(LibvirtConnection connection, List<Finding> findings, CancellationToken stop)
    {
        var machines = new List<string>();
        foreach (var domain in await connection.ListDomainsAsync(cancellationToken: stop))
            using (domain)
            {
                try
                {
                    if (States.StateKeeper.KindsOf(DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop))).Contains(StateKind.Tpm)) machines.Add(domain.Name);
                }
                catch (LibvirtException e) when (e.Code == VirErrorCode.NoDomain)
                {
                    // It ended meanwhile.
                }
            }
        if (machines.Count > 0)
            findings.Add(new(FindingLevel.Warning, "swtpm", $"swtpm is not installed: machines with an emulated TPM, and their copies, cannot be started ({string.Join(", ", machines.Order(StringComparer.Ordinal).Take(5))}{(machines.Count > 5 ? $" and {machines.Count - 5} more" : "")}).", "Install swtpm and swtpm-tools."));
    }

    private static void Kernel(List<Finding> findings)
    {
        var userfault = Read("/proc/sys/vm/unprivileged_userfaultfd");
        findings.Add(userfault == "1" ? new(FindingLevel.Ok, "userfaultfd", "QEMU may write-protect memory in the background: snapshots pause machines for milliseconds.", null)
            : new(FindingLevel.Warning, "userfaultfd", "vm.unprivileged_userfaultfd is off: memory is sent as in a live migration, which pauses machines longer.", "Run `sysctl -w vm.unprivileged_userfaultfd=1`, and put it into /etc/sysctl.d."));
        findings.Add(HasKvm ? new(FindingLevel.Ok, "KVM", "Hardware virtualisation is there.", null)
            : new(FindingLevel.Note, "KVM", "No usable hardware virtualisation: new machines need <domain type='qemu'>, which is slow. Machines keep the type that they have.", null));
    }

    /// <summary>The host's processor runs guests: the device alone may be there without a module behind it.</summary>
    internal static bool HasKvm => File.Exists("/dev/kvm") && (Directory.Exists("/sys/module/kvm_intel") || Directory.Exists("/sys/module/kvm_amd"));

    private static void Programs(List<Finding> findings)
    {
        var missing = new[] { "ip", "nft", "iptables", "dnsmasq", "qemu-img" }.Where(p => !Installed(p)).ToList();
        findings.Add(missing.Count == 0 ? new(FindingLevel.Ok, "programs", "ip, nft, iptables, dnsmasq and qemu-img are installed.", null)
            : new(FindingLevel.Error, "programs", $"{string.Join(", ", missing)} {(missing.Count == 1 ? "is" : "are")} not installed.", "Install iproute2, nftables, iptables, dnsmasq-base and qemu-utils."));
    }

    private static async Task GroupsAsync(List<Finding> findings, CancellationToken stop)
    {
        if (!Installed("nft")) return;
        if (await FenceKeeper.RefuseGroupsAsync(stop) is { } reason)
            findings.Add(new(FindingLevel.Warning, "security groups", $"This host refuses rules for bridges: weaves of environments with security groups cannot be made ({reason}).", "Use a kernel with nftables for bridges (CONFIG_NF_TABLES_BRIDGE; Debian's has it), and nft 1.0 or newer."));
        else findings.Add(new(FindingLevel.Ok, "security groups", "The kernel takes rules for bridges: security groups are enforced in weaves.", null));
    }

    private static bool Installed(string program) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin:/usr/bin:/bin".Split(':', StringSplitOptions.RemoveEmptyEntries).Any(f => File.Exists(Path.Combine(f, program)));

    private void Confinement(List<Finding> findings)
    {
        if (Read("/sys/module/apparmor/parameters/enabled") == "Y")
            findings.Add(new(FindingLevel.Note, "AppArmor", "AppArmor is on. A machine that is confined by it cannot map memory images unless a rule allows it.",
                $"Add `{context.Options.Root}/environments/*/memory/** rwk,` to /etc/apparmor.d/local/abstractions/libvirt-qemu."));
        if (Read("/sys/fs/selinux/enforce") == "1")
            findings.Add(new(FindingLevel.Warning, "SELinux", "SELinux is enforcing, which was not tried with this service.", $"Label {context.Options.Root} as svirt_image_t, and try with one machine first."));
    }

    private Task StorageAsync(List<Finding> findings, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        try
        {
            _ = context.Paths.QemuOwner;
            var storage = Storage();
            var free = storage.FreeBytes >> 20;
            findings.Add(new(free < 1024 ? FindingLevel.Warning : FindingLevel.Ok, "pool", $"{free} MiB of {storage.TotalBytes >> 20} MiB are free under {storage.Path}.", free < 1024 ? "Free space, or delete snapshots that are no longer needed: QEMU pauses a machine whose disk can grow no more." : null));
            if (!OperatingSystem.IsWindows() && Directory.Exists(context.Options.Root) && (File.GetUnixFileMode(context.Options.Root) & (UnixFileMode.OtherRead | UnixFileMode.OtherWrite)) != 0)
                findings.Add(new(FindingLevel.Warning, "pool", $"{context.Options.Root} can be read by everybody.", $"Run `chmod 710 {context.Options.Root}`."));
        }
        catch (Exception e) when (e is WeaveException or IOException or UnauthorizedAccessException)
        {
            findings.Add(new(FindingLevel.Error, "pool", e.Message, (e as WeaveException)?.NextStep));
        }
        return Task.CompletedTask;
    }

    private static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
