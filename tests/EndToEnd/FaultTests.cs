using System.Diagnostics;
using System.Text.RegularExpressions;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>What the product stands on breaks, or a foreign hand changes it: libvirtd and QEMU are killed, the host restarts, machines, rules and files are taken away.</summary>
[Collection("lab")]
public sealed class FaultTests(LabWorld lab, ITestOutputHelper output)
{
    private static Task<Shell.Result> Virsh(params string[] arguments) => Shell.RunAsync("virsh", ["-q", "-c", "qemu:///system", .. arguments]);

    [Fact]
    public async Task Libvirtd_is_killed_in_the_middle_of_a_snapshot_a_creation_and_a_deletion()
    {
        await lab.AdoptedAsync();
        var nonces = (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Nonces;
        (string Kind, string[] Line, Func<Task<bool>> When)[] work =
        [
            ("snapshot", ["snapshot", LabWorld.Environment], () => Task.FromResult(Parts() > 1 << 20)),
            ("weave.create", ["create", LabWorld.Environment, "--id", "copy"], async () => (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count > 3),
            ("weave.delete", ["delete", $"{LabWorld.Environment}/copy"], async () => (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count < 6),
        ];
        foreach (var (kind, line, when) in work)
        {
            var clock = Stopwatch.StartNew();
            if (kind == "weave.delete" && !(await lab.WeavesAsync()).Contains("copy")) await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
            await lab.WeaveAsync([.. line, "--no-wait"]);
            await Shell.UntilAsync($"the middle of the {kind}", when);
            await Libvirtd.KillAsync();
            await Libvirtd.StartAsync();
            var operation = await EndedAsync(kind);
            Assert.True(operation.State is "succeeded" or "undone", $"{kind}: {operation.State}, {operation.Error?.Detail}");
            var main = await LabWorld.OrderAsync(LabWorld.MainWeb);
            Assert.Equal(nonces, main.Nonces);
            Assert.Equal(0, Parts());
            Assert.DoesNotContain((await lab.ShowAsync("main")).Machines, m => m.RunState != "running");
            if (operation.State == "undone") await lab.WeaveAsync(line);
            if (kind == "weave.create") Assert.Equal(nonces, (await LabWorld.AnswersAsync(await lab.UrlAsync("copy"))).Nonces);
            output.WriteLine($"libvirtd killed in {kind}: {operation.State}, {clock.Elapsed.TotalSeconds:0.0} s");
        }
        Assert.Equal(["main"], await lab.WeavesAsync());
        await RepairsNothingAsync();
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task QEMU_of_a_member_is_killed_while_its_memory_is_captured()
    {
        await lab.AdoptedAsync();
        await LabWorld.OrderAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--no-wait");
        await Shell.UntilAsync("memory is written", () => Task.FromResult(Parts() > 1 << 20));
        Libvirtd.KillQemu($"{LabWorld.Prefix}-web");
        var operation = await EndedAsync("snapshot");
        output.WriteLine($"{operation.State}: {operation.Error?.Detail}");
        Assert.True(operation.State is "succeeded" or "undone", $"{operation.State}, {operation.Error?.Detail}");
        Assert.Equal(0, Parts());
        // The others run on; what died is told as it is.
        await lab.TryWeaveAsync("repair", LabWorld.Environment, "--dry-run");
        Assert.Equal([("app", "running"), ("db", "running"), ("web", "off")], (await lab.ShowAsync("main")).Machines.Select(m => (m.Name, m.RunState)).Order());
        await lab.WeaveAsync("start", $"{LabWorld.Environment}/main");
        await LabWorld.AnswersAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("snapshot", LabWorld.Environment);
        await lab.WeaveAsync("create", LabWorld.Environment, "--at", DateTimeOffset.UtcNow.ToString("O"), "--id", "proof");
        await LabWorld.AnswersAsync(await lab.UrlAsync("proof"));
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task After_a_restart_of_the_host_weaves_are_stopped_with_their_disks_and_all_around_them_is_whole()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "one");
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "two");
        var url = await lab.UrlAsync("one");
        await LabWorld.AnswersAsync(url);
        var orders = (await LabWorld.OrderAsync(url)).Orders;
        var main = (await LabWorld.OrderAsync(LabWorld.MainWeb)).Orders;
        var clock = Stopwatch.StartNew();
        await RestartHostAsync();
        await lab.Service.StartAsync();
        await Shell.UntilAsync("the service has looked at the host", async () => (await lab.Service.ReadLogAsync()).Last(l => l.Contains("Host compared", StringComparison.Ordinal)).Contains("published again", StringComparison.Ordinal));
        // Stopped weaves need no fences: each is made by its weave's start.
        Assert.Empty(await FencesAsync());
        foreach (var id in new[] { "one", "two" })
        {
            var weave = await lab.ShowAsync(id);
            Assert.Equal("stopped", weave.State);
            Assert.Equal(3, weave.Drift.Count(d => d.Kind == "stopped"));
            Assert.DoesNotContain(weave.Drift, d => d.Kind != "stopped");
        }
        Assert.Equal("stopped", (await lab.ShowAsync("main")).State);
        var report = LabWorld.Read<DoctorView>((await lab.TryWeaveAsync("repair", "--dry-run", "--json")).Output);
        Assert.All(report.Repairable, r => Assert.Contains("was stopped by something else", r));

        // A stopped copy boots from its own disks, at the address and the published port that it had.
        await lab.WeaveAsync("start", $"{LabWorld.Environment}/one");
        Assert.Equal(orders, (await LabWorld.AnswersAsync(url)).Orders);
        Assert.Single(await FencesAsync());
        await LabWorld.LabAsync("up");
        Assert.Equal(main, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Orders);
        await lab.WeaveAsync("repair");
        Assert.Equal("running", (await lab.ShowAsync("main")).State);
        Assert.Empty((await lab.ShowAsync("two")).Drift);
        output.WriteLine($"{clock.Elapsed.TotalSeconds:0.0} s");
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_foreign_hand_is_noticed_told_and_repaired_where_it_can_be()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
        var url = await lab.UrlAsync("copy");
        await LabWorld.AnswersAsync(url);
        await RepairsNothingAsync();
        var copy = await lab.ShowAsync("copy");
        var fence = Assert.Single(await FencesAsync());

        // Rules, gateway, published ports: all made whole, under machines that run on.
        (await Shell.RunAsync("ip", "netns", "delete", fence)).Succeeded("netns delete");
        (await Shell.RunAsync("nft", "flush", "table", "ip", LabWorld.Prefix)).Succeeded("nft flush");
        (await Virsh("net-destroy", fence + "-0")).Succeeded("net-destroy");
        var dry = await lab.TryWeaveAsync("repair", "--dry-run");
        Assert.Equal(1, dry.Exit);
        Assert.Contains("would: make whole the fence of lab/copy", dry.Output);
        Assert.Contains("would: publish again", dry.Output);
        var drift = Assert.Single((await lab.ShowAsync("copy")).Drift);
        Assert.Equal("fence", drift.Kind);
        Assert.True(DateTimeOffset.UtcNow - drift.FoundAt < TimeSpan.FromMinutes(5));
        output.WriteLine(await lab.WeaveAsync("repair"));
        await LabWorld.AnswersAsync(url);
        Assert.Empty((await lab.ShowAsync("copy")).Drift);

        // A copy that was destroyed is recorded as what it is; its original is left to its owner.
        var web = copy.Machines.Single(m => m.Name == "web");
        (await Virsh("destroy", web.Domain)).Succeeded("destroy");
        (await Virsh("destroy", $"{LabWorld.Prefix}-app")).Succeeded("destroy");
        Assert.Equal(1, (await lab.TryWeaveAsync("repair", $"{LabWorld.Environment}/copy", "--dry-run")).Exit);
        Assert.Equal("machine web was stopped by something else", Assert.Single((await lab.ShowAsync("copy")).Drift).Text);
        Assert.Contains("recorded", await lab.WeaveAsync("repair"));
        Assert.Equal("off", (await lab.ShowAsync("copy")).Machines.Single(m => m.Name == "web").RunState);
        Assert.Equal("off", (await lab.ShowAsync("main")).Machines.Single(m => m.Name == "app").RunState);
        await lab.WeaveAsync("start", $"{LabWorld.Environment}/copy");
        await LabWorld.AnswersAsync(url);

        // A file that is gone is told with what needs it, and nothing pretends that it could be made again.
        var layer = Directory.EnumerateFiles(Path.Combine(LabWorld.Pool, "environments"), "*.qcow2", SearchOption.AllDirectories).First(f => f.Contains(copy.Machines.Single(m => m.Name == "db").Volumes[0].Layer, StringComparison.Ordinal));
        File.Move(layer, LabWorld.LabFolder + "/away");
        var lost = await lab.TryWeaveAsync("repair");
        Assert.Equal(1, lost.Exit);
        Assert.Contains(layer, lost.Output);
        Assert.Contains("weave copy", lost.Output);
        Assert.Contains("file", (await lab.ShowAsync("copy")).Drift.Select(d => d.Kind));
        File.Move(LabWorld.LabFolder + "/away", layer);

        // A definition that is gone, and a disk under another path, are for their owner to mend.
        var app = $"{LabWorld.Prefix}-app";
        var own = (await Virsh("dumpxml", "--inactive", app)).Succeeded("dumpxml").Output;
        var definition = Path.Combine(LabWorld.LabFolder, "app-own.xml");
        try
        {
            (await Virsh("undefine", app)).Succeeded("undefine");
            var gone = await lab.TryWeaveAsync("repair");
            Assert.Equal(1, gone.Exit);
            Assert.Contains($"machine {app} is gone from the hypervisor", gone.Output);
            await File.WriteAllTextAsync(definition, Regex.Replace(own, "<source file='[^']*'", $"<source file='{LabWorld.LabFolder}/app.qcow2'"));
            (await Virsh("define", definition)).Succeeded("define");
            var moved = await lab.TryWeaveAsync("repair");
            Assert.Equal(1, moved.Exit);
            Assert.Contains($"app/vda is on {LabWorld.LabFolder}/app.qcow2, not on ", moved.Output);
            Assert.Equal(["disk"], (await lab.ShowAsync("main")).Drift.Select(d => d.Kind).Distinct());
        }
        finally
        {
            await File.WriteAllTextAsync(definition, own);
            await Virsh("define", definition);
        }
        await lab.WeaveAsync("start", $"{LabWorld.Environment}/main");
        await RepairsNothingAsync();
        await NothingIsLeftAsync();
    }

    private async Task RepairsNothingAsync()
    {
        var report = LabWorld.Read<DoctorView>((await lab.TryWeaveAsync("repair", "--dry-run", "--json")).Output);
        Assert.True(report.Repairable.Count == 0 && report.Findings.All(f => f.Level is "ok" or "note"), string.Join(" | ", report.Findings.Select(f => $"{f.Subject}: {f.Text}")));
    }

    private async Task<OperationView> EndedAsync(string kind)
    {
        OperationView? operation = null;
        await Shell.UntilAsync($"the {kind} has ended", async () => (operation = (await lab.OperationsAsync()).First(o => o.Kind == kind)).IsEnded(), TimeSpan.FromMinutes(2));
        return operation!;
    }

    private async Task NothingIsLeftAsync()
    {
        await lab.WeaveAsync("env", "release", LabWorld.Environment, "--force");
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
    }

    /// <summary>Bytes of memory images that are being written.</summary>
    private static long Parts() => Directory.EnumerateFiles(LabWorld.Pool, "*.part", SearchOption.AllDirectories).Sum(f => new FileInfo(f) is { Exists: true } i ? i.Length : 0);

    /// <summary>The gateways' namespaces.</summary>
    private async Task<IReadOnlyList<string>> FencesAsync() =>
        [.. (await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab).Where(t => t.StartsWith($"namespace {LabWorld.Prefix}-", StringComparison.Ordinal)).Select(t => t.Split(' ')[1])];

    /// <summary>
    /// What a power cut and a boot do, for the things of our names: service, libvirtd and machines die at once; links, rules, namespaces, name servers and all under /run are gone; libvirtd comes up anew.
    /// </summary>
    private async Task RestartHostAsync()
    {
        await lab.Service.KillAsync();
        var names = await HostFootprint.TakeAsync(LabWorld.Pool);
        var mine = (await HostFootprint.DomainsAsync(LabWorld.Prefix)).ToList();
        await Libvirtd.KillAsync();
        foreach (var domain in mine) Libvirtd.KillQemu(domain);
        foreach (var name in Kept("namespace ").Where(n => n.StartsWith(LabWorld.Prefix, StringComparison.Ordinal)))
        {
            foreach (var pid in (await Shell.RunAsync("ip", "netns", "pids", name)).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)) await Shell.RunAsync("kill", "-KILL", pid.Trim());
            await Shell.RunAsync("ip", "netns", "delete", name);
        }
        foreach (var table in Kept("nft table ip ").Where(t => t.StartsWith(LabWorld.Prefix, StringComparison.Ordinal))) await Shell.RunAsync("nft", "delete", "table", "ip", table);
        foreach (var file in Directory.EnumerateFiles("/run/libvirt/network").Where(f => Path.GetFileName(f).StartsWith(LabWorld.Prefix, StringComparison.Ordinal)))
        {
            if (file.EndsWith(".pid", StringComparison.Ordinal)) await Shell.RunAsync("kill", "-KILL", (await File.ReadAllTextAsync(file)).Trim());
            File.Delete(file);
        }
        foreach (var folder in Directory.EnumerateDirectories("/run/libvirt/network").Where(f => Path.GetFileName(f).StartsWith(LabWorld.Prefix, StringComparison.Ordinal))) Directory.Delete(folder, true);
        foreach (var file in Directory.EnumerateFiles("/run/libvirt/qemu").Where(f => Path.GetFileName(f).StartsWith(LabWorld.Prefix, StringComparison.Ordinal))) File.Delete(file);
        // Other people's links stay: only what is new since before the lab, and the lab's own bridge.
        var own = names.NewSince(lab.Empty).Where(t => t.StartsWith("link ", StringComparison.Ordinal)).Select(t => t["link ".Length..]).ToList();
        foreach (var link in own.Where(l => l.StartsWith("wv", StringComparison.Ordinal) || l.StartsWith("vl", StringComparison.Ordinal))) await Shell.RunAsync("ip", "link", "delete", link);
        // The rules that libvirt made for networks that it knows no more.
        foreach (var table in new[] { "filter", "nat", "mangle" })
            foreach (var rule in (await Shell.RunAsync("iptables", "-w", "-t", table, "-S")).Output.Split('\n').Where(r => r.StartsWith("-A ", StringComparison.Ordinal)))
                if (rule.Contains(LabWorld.Subnet + ".", StringComparison.Ordinal) || own.Any(l => rule.Contains($" {l} ", StringComparison.Ordinal)))
                    await Shell.RunAsync("iptables", ["-w", "-t", table, "-D", .. rule["-A ".Length..].Split(' ')]);
        await Libvirtd.StartAsync();

        IEnumerable<string> Kept(string kind) => names.Things.Where(t => t.StartsWith(kind, StringComparison.Ordinal)).Select(t => t[kind.Length..]);
    }
}
