using System.Runtime.CompilerServices;
using System.Text.Json;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Exporting;

namespace WeaveHypervisor.Weaving.Tests.Exporting;

/// <summary>The Vagrantfile and the manifest of an export as golden files; `WEAVE_GOLDEN=renew` writes them anew.</summary>
public sealed class VagrantTextTests
{
    internal static ExportManifest Sample(bool byVagrant) => new()
    {
        Format = ExportManifest.CurrentFormat, Id = "0123abcd", Provider = ExportProvider.Libvirt, CreatedAt = new(2030, 1, 2, 0, 0, 0, TimeSpan.Zero), Environment = EnvironmentId.Parse("shop"), Weave = WeaveId.Parse("main"),
        Snapshot = Ids.Parse<SnapshotId>("snap-0190d5d6c8c07c0e9f1e2d3c4b5a6978"), Label = "before", At = new(2030, 1, 1, 12, 0, 0, TimeSpan.Zero), Consistency = Consistency.Crash,
        Machines =
        [
            new()
            {
                Name = MachineName.Parse("web"), MemoryBytes = 128 << 20, VirtualCpus = 1, Chipset = "pc", Box = new("boxes/web.box", 100, "aa"), VagrantFolder = byVagrant ? "/home/o'neil/lab" : null,
                Key = byVagrant ? new("keys/web", 1700, "ff") : null,
                Volumes = [new(VolumeName.Parse("vda"), "vda", "virtio", 1 << 30, "disk1.img", 90, "bb")],
                Nics = [.. byVagrant ? new NicShape[] { new("52:54:00:00:00:01", NetworkName.Parse("vagrant-libvirt"), "virtio", ["192.168.121.7"], true) } : [], new("52:54:00:00:00:02", NetworkName.Parse("lan"), "virtio", ["10.20.0.10"], false)],
            },
            new()
            {
                Name = MachineName.Parse("db.1"), MemoryBytes = 1 << 30, VirtualCpus = 4, Firmware = FirmwareKind.Uefi, Chipset = "q35", Box = new("boxes/db.1.box", 300, "cc"), VagrantFolder = byVagrant ? "/home/o'neil/lab" : null,
                Volumes = [new(VolumeName.Parse("sda"), "sda", "scsi", 1 << 30, "disk1.img", 90, "dd"), new(VolumeName.Parse("data"), "sdb", "scsi", 8 << 20, "disk2.img", 200, "ee")],
                Nics = [.. byVagrant ? new NicShape[] { new("52:54:00:00:00:03", NetworkName.Parse("vagrant-libvirt"), "e1000", [], true) } : [], new("52:54:00:00:00:04", NetworkName.Parse("lan"), "e1000", [], false), new("52:54:00:00:00:05", NetworkName.Parse("back"), "e1000", [], false)],
            },
        ],
        Networks =
        [
            .. byVagrant ? new NetworkBlueprint[] { new() { Name = NetworkName.Parse("vagrant-libvirt"), Gateway = "192.168.121.1", PrefixLength = 24, Dhcp = true } } : [],
            new() { Name = NetworkName.Parse("lan"), Gateway = "10.20.0.1", PrefixLength = 20, GatewayMac = "52:54:00:00:00:99", Dhcp = true, DhcpStart = "10.20.0.100", DhcpEnd = "10.20.0.200" },
            new() { Name = NetworkName.Parse("back") },
        ],
        NotCarried = ["web: its memory at that instant: it boots"],
    };

    private static void IsGolden(string text, string name, [CallerFilePath] string here = "")
    {
        var path = Path.Combine(Path.GetDirectoryName(here)!, "Golden", name);
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
        Assert.Equal(File.ReadAllText(path), text);
    }

    [Fact]
    public void Machines_that_Vagrant_made_get_their_key_and_its_own_network_again() => IsGolden(VagrantText.Vagrantfile(Sample(byVagrant: true)), "Vagrantfile");

    [Fact]
    public void Machines_of_others_come_up_without_a_login() => IsGolden(VagrantText.Vagrantfile(Sample(byVagrant: false)), "Vagrantfile-foreign");

    [Fact]
    public void For_HyperV_further_disks_and_interfaces_are_added_where_Vagrant_takes_one_of_each() => IsGolden(HyperVText.Vagrantfile(HyperVSample()), "Vagrantfile-hyperv");

    [Theory]
    [InlineData(FirmwareKind.Bios)]
    [InlineData(FirmwareKind.Uefi)]
    public void A_box_for_HyperV_describes_its_machine_as_Vagrants_script_reads_it(FirmwareKind firmware) => IsGolden(HyperVText.MachineXml("shop-0123abcd-web", firmware, 2, (128 << 20) + 1), $"box-{firmware}.xml");

    /// <summary>One machine that Vagrant has made and one of somebody else's.</summary>
    private static ExportManifest HyperVSample()
    {
        var (made, foreign) = (Sample(byVagrant: true), Sample(byVagrant: false));
        return made with
        {
            Provider = ExportProvider.Hyperv,
            Machines = [.. new[] { made.Machines[0], foreign.Machines[1] }.Select(m => m with { Volumes = [.. m.Volumes.Select((v, i) => v with { Image = HyperVText.ImageOf(i + 1) })] })],
        };
    }

    [Fact]
    public void The_manifest_says_all_that_an_import_needs_and_is_read_as_it_was_written()
    {
        var sample = Sample(byVagrant: true);
        IsGolden(sample.ToJson(), "weave-export.json");
        Assert.Equal(sample.ToJson(), JsonSerializer.Deserialize(sample.ToJson(), ExportJson.Default.ExportManifest)!.ToJson());
    }

    [Fact]
    public void A_box_names_its_disks_in_their_order() =>
        Assert.Equal("""{"provider":"libvirt","format":"qcow2","disks":[{"path":"disk1.img"},{"path":"disk2.img"}]}""" + "\n", VagrantText.BoxMetadata(["disk1.img", "disk2.img"]));
}
