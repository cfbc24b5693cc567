using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>What cannot be done is refused clearly, with the next step and the exit code of the table, and leaves nothing half done.</summary>
[Collection("lab")]
public sealed class RefusalTests(LabWorld lab)
{
    private const int Usage = 2, NotFound = 3, Refused = 4, Unavailable = 5;
    private static string Folder => Path.GetDirectoryName(LabWorld.Pool)!;

    private Task RefusesAsync(int exit, string word, params string[] arguments) => RefusesAsync(lab.Service, exit, word, arguments);

    private static async Task RefusesAsync(ServiceProcess service, int exit, string word, params string[] arguments)
    {
        var answer = await Shell.RunAsync(service.Program, arguments, service.ClientSettings, TimeSpan.FromMinutes(2));
        var said = $"weave {string.Join(' ', arguments)}: {answer.Exit}\n{answer.Error}";
        Assert.True(answer.Exit == exit, said);
        Assert.True(answer.Error.Contains(word, StringComparison.OrdinalIgnoreCase), $"not '{word}' in {said}");
        Assert.True(exit == Usage || answer.Error.Contains("next:", StringComparison.Ordinal), $"no next step in {said}");
    }

    [Fact]
    public async Task What_is_not_there_or_cannot_be_is_refused_and_nothing_changes()
    {
        await lab.AdoptedAsync();
        var empty = DateTimeOffset.UtcNow;
        await RefusesAsync(NotFound, "snapshot", "create", LabWorld.Environment, "--at", empty.ToString("O"));
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
        var snapshot = (await lab.TimelineAsync()).Snapshots.Single();
        await lab.WeaveAsync("create", LabWorld.Environment, "--snapshot", snapshot.Id, "--id", "held", "--no-start");
        var before = await StandAsync();

        await RefusesAsync(NotFound, "nowhere", "create", "nowhere");
        await RefusesAsync(NotFound, "nowhere", "snapshot", "nowhere");
        await RefusesAsync(NotFound, "nobody", "show", $"{LabWorld.Environment}/nobody");
        await RefusesAsync(NotFound, "nobody", "delete", $"{LabWorld.Environment}/nobody");
        await RefusesAsync(NotFound, "nobody", "activate", $"{LabWorld.Environment}/nobody");
        await RefusesAsync(NotFound, "snapshot", "create", LabWorld.Environment, "--at", empty.AddHours(-1).ToString("O"));
        await RefusesAsync(Usage, "future", "create", LabWorld.Environment, "--at", empty.AddHours(1).ToString("O"));
        await RefusesAsync(Usage, "yesterdayish", "create", LabWorld.Environment, "--at", "yesterdayish");
        await RefusesAsync(Refused, "held", "create", LabWorld.Environment, "--snapshot", snapshot.Id, "--id", "held");
        foreach (var name in new[] { "Bad", "a/b", "../up", "a b", "-", "ä", new string('x', 70) })
            await RefusesAsync(Usage, "", "create", LabWorld.Environment, "--id=" + name);
        await RefusesAsync(Usage, "", "env", "adopt", "Bad Name", "--domain", $"{LabWorld.Prefix}-web");
        await RefusesAsync(Refused, "main", "delete", $"{LabWorld.Environment}/main");
        await RefusesAsync(Refused, "held", "snapshot", "delete", snapshot.Id);
        await RefusesAsync(Refused, "held", "env", "release", LabWorld.Environment);
        await RefusesAsync(Refused, LabWorld.Environment, LabWorld.AdoptArguments);
        await RefusesAsync(Refused, LabWorld.Environment, "env", "adopt", "again", "--domain", $"{LabWorld.Prefix}-web");
        await RefusesAsync(Refused, LabWorld.Prefix + "-ghost", "env", "adopt", "ghost", "--domain", LabWorld.Prefix + "-ghost");
        await RefusesAsync(NotFound, "mail", "route", $"{LabWorld.Environment}/main", "80", "--machine", "mail");
        await RefusesAsync(Usage, "", "route", $"{LabWorld.Environment}/main", "65536", "--machine", "web");
        await RefusesAsync(Refused, "stopped", "activate", $"{LabWorld.Environment}/held");

        Assert.Equal(before, await StandAsync());
    }

    /// <summary>What the service and the host have, as one text.</summary>
    private async Task<string> StandAsync()
    {
        var timeline = await lab.TimelineAsync();
        return string.Join('\n', [.. await lab.EnvironmentsAsync(), .. await lab.WeavesAsync(), .. timeline.Snapshots.Select(s => s.Id), .. (await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab)]);
    }

    [Fact]
    public async Task A_missing_backing_file_is_named_before_anything_is_touched()
    {
        await lab.AdoptedAsync();
        var backing = Path.Combine(LabWorld.LabFolder, "web.qcow2");
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
        var before = await StandAsync();
        File.Move(backing, backing + ".away");
        try
        {
            await RefusesAsync(Refused, backing, "create", LabWorld.Environment, "--at", DateTimeOffset.UtcNow.ToString("O"), "--id", "lost");
        }
        finally
        {
            File.Move(backing + ".away", backing);
        }
        Assert.Equal(before, await StandAsync());
        await lab.WeaveAsync("create", LabWorld.Environment, "--at", DateTimeOffset.UtcNow.ToString("O"), "--id", "found", "--no-start");

        // The same of a machine that is not managed yet.
        var orphan = LabWorld.Prefix + "-orphan";
        var disk = Path.Combine(LabWorld.LabFolder, "orphan.qcow2");
        (await Shell.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", disk + ".gone", "-F", "qcow2", disk, "8M")).Succeeded("qemu-img");
        var definition = $"<domain type='qemu'><name>{orphan}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk></devices></domain>";
        (await Shell.RunAsync("virsh", ["-q", "-c", "qemu:///system", "define", "/dev/stdin"], input: definition)).Succeeded("define");
        try
        {
            await RefusesAsync(Refused, disk + ".gone", "env", "adopt", "orphan", "--domain", orphan);
            Assert.DoesNotContain("orphan", await lab.EnvironmentsAsync());
        }
        finally
        {
            await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "undefine", orphan);
            File.Delete(disk);
        }
    }

    [Fact]
    public async Task A_full_pool_refuses_before_and_fails_cleanly_when_it_fills_up_meanwhile()
    {
        await lab.FreshAsync();
        await lab.Service.DisposeAsync();
        var pool = LabWorld.SmallPool;
        var service = new ServiceProcess(lab.Service.Program, Path.Combine(Folder, "state-small"), pool, LabWorld.Prefix, LabWorld.FreePort());
        async Task<string> WeaveAsync(params string[] arguments) => (await Shell.RunAsync(service.Program, arguments, service.ClientSettings)).Succeeded(string.Join(' ', arguments)).Output;
        IEnumerable<string> Files(string pattern) => Directory.EnumerateFiles(pool, pattern, SearchOption.AllDirectories);
        try
        {
            await service.StartAsync();
            await WeaveAsync(LabWorld.AdoptArguments);
            var nonces = (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Nonces;
            await RefusesAsync(service, Refused, "MiB free", "snapshot", LabWorld.Environment);
            Assert.Empty(Files("*.qcow2"));
            await WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
            var layers = Files("*.qcow2").ToHashSet();

            // Now there is room at first, and none once memory is being written.
            (await Shell.RunAsync("mount", "-o", "remount,size=1200m", pool)).Succeeded("remount");
            var filler = Path.Combine(pool, "filler");
            var refusal = RefusesAsync(service, Refused, "no space", "snapshot", LabWorld.Environment);
            await Shell.UntilAsync("memory is being written", () => Task.FromResult(Files("*.part").Any(f => new FileInfo(f) is { Exists: true, Length: > 0 })));
            var free = new DriveInfo(pool).AvailableFreeSpace;
            while (free > 4096 && (await Shell.RunAsync("fallocate", "-o", (File.Exists(filler) ? new FileInfo(filler).Length : 0).ToString(System.Globalization.CultureInfo.InvariantCulture), "-l", free.ToString(System.Globalization.CultureInfo.InvariantCulture), filler)) is var filled)
                free = filled.Exit == 0 ? new DriveInfo(pool).AvailableFreeSpace : free / 2;
            await refusal;
            File.Delete(filler);
            Assert.Empty(Files("*.part").Concat(Files("*.ram")).Concat(Files("*.held")));

            // The originals never stopped, and the next one succeeds.
            Assert.Equal(nonces, (await LabWorld.OrderAsync(LabWorld.MainWeb)).Nonces);
            await WeaveAsync("snapshot", LabWorld.Environment);
            Assert.Equal(3, Files("*.ram").Count());
            Assert.Superset(layers, Files("*.qcow2").ToHashSet());
        }
        finally
        {
            await service.StartAsync();
            await Shell.RunAsync(service.Program, ["env", "release", LabWorld.Environment, "--force"], service.ClientSettings);
            await service.DisposeAsync();
        }
        Assert.Equal(3, (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count);
    }

    [Fact]
    public async Task Where_libvirt_is_not_installed_the_doctor_says_so_and_what_to_install()
    {
        // In a mount namespace of its own an empty file lies over the library.
        const string Line = "for f in /usr/lib/*/libvirt.so.0 /usr/lib/libvirt.so.0 /usr/lib64/libvirt.so.0; do [ ! -e $f ] || mount --bind /dev/null $(readlink -f $f); done; exec \"$1\" doctor --json";
        var answer = await Shell.RunAsync("unshare", ["-m", "sh", "-c", Line, "sh", lab.Service.Program], new Dictionary<string, string> { ["WEAVE_URL"] = "http://127.0.0.1:1" });
        Assert.Equal(1, answer.Exit);
        var finding = LabWorld.Read<DoctorView>(answer.Output).Findings.Single(f => f.Subject == "libvirt");
        Assert.Equal("error", finding.Level);
        Assert.Contains("not found", finding.Text);
        Assert.Contains("Install", finding.NextStep);
    }

    [Fact]
    public async Task A_host_that_does_not_allow_background_snapshots_is_told_and_memory_is_captured_by_live_migration_instead()
    {
        const string Setting = "/proc/sys/vm/unprivileged_userfaultfd";
        await lab.AdoptedAsync();
        var before = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        var was = await File.ReadAllTextAsync(Setting);
        await File.WriteAllTextAsync(Setting, "0");
        try
        {
            Assert.Contains(LabWorld.Read<DoctorView>((await lab.TryWeaveAsync("doctor", "--json")).Output).Findings, f => f.Subject == "userfaultfd" && f.Level != "ok" && f.NextStep is not null);
            await lab.WeaveAsync("snapshot", LabWorld.Environment);
            var snapshot = (await lab.TimelineAsync()).Snapshots.Single();
            Assert.Equal("machine", snapshot.Consistency);
            Assert.All(snapshot.Machines, m => Assert.Equal("live", m.Method));
            Assert.All(snapshot.Machines, m => Assert.NotNull(m.Reason));
            Assert.Equal(before.Nonces, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Nonces);
            await lab.WeaveAsync("create", LabWorld.Environment, "--snapshot", snapshot.Id, "--id", "copy");
            Assert.Equal(before.Nonces, (await LabWorld.AnswersAsync(await lab.UrlAsync("copy"))).Nonces);
        }
        finally
        {
            await File.WriteAllTextAsync(Setting, was);
        }
    }

    [Fact]
    public async Task While_libvirtd_is_dead_everything_known_is_shown_and_nothing_is_begun()
    {
        await lab.FreshAsync();
        await lab.Service.DisposeAsync();
        var socket = Path.Combine(Folder, "libvirt.sock");
        var settings = new Dictionary<string, string> { ["WEAVE_Libvirt__Uri"] = $"qemu+unix:///system?socket={socket}" };
        var relay = new Relay(socket, "/run/libvirt/libvirt-sock");
        try
        {
            await lab.Service.StartAsync(more: settings);
            await lab.WeaveAsync(LabWorld.AdoptArguments);
            await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
            var before = await StandAsync();
            await relay.DisposeAsync();

            await RefusesAsync(Unavailable, "libvirt", "snapshot", LabWorld.Environment, "--disk-only");
            await RefusesAsync(Unavailable, "libvirt", "create", LabWorld.Environment, "--at", DateTimeOffset.UtcNow.ToString("O"));
            await RefusesAsync(Unavailable, "libvirt", "env", "adopt", "other", "--domain", $"{LabWorld.Prefix}-web");
            Assert.Equal(before, await StandAsync());

            // A service that starts without it answers, too, and needs no second start when it is back.
            await lab.Service.DisposeAsync();
            await lab.Service.StartAsync(more: settings);
            Assert.Equal(before, await StandAsync());
            await RefusesAsync(Unavailable, "libvirt", "snapshot", LabWorld.Environment, "--disk-only");
            relay = new Relay(socket, "/run/libvirt/libvirt-sock");
            await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
        }
        finally
        {
            await lab.Service.DisposeAsync();
            await relay.DisposeAsync();
        }
        await lab.FreshAsync();
    }
}
