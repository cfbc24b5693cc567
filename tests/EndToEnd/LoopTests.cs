using System.Globalization;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Six weaves made and deleted, or thirty with WEAVE_TESTS=full: the host has afterwards what it had before.</summary>
[Collection("lab")]
public sealed class LoopTests(LabWorld lab, ITestOutputHelper output)
{
    [Fact]
    public async Task Weaves_made_and_deleted_leave_no_file_network_namespace_rule_descriptor_or_growing_memory()
    {
        await lab.AdoptedAsync();
        await lab.WeaveAsync("snapshot", LabWorld.Environment);
        var at = DateTimeOffset.UtcNow.ToString("O");
        // The first warms up: what a service opens once and keeps is no leak.
        await RoundAsync(at, 0);
        var before = await HostFootprint.TakeAsync(LabWorld.Pool);
        var (descriptors, libvirtd, qemu) = (Descriptors(lab.Service.ProcessId), Descriptors(await ProcessAsync("/run/libvirtd.pid")), await QemuDescriptorsAsync());
        var rounds = Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full" ? 30 : 6;
        // What the first rounds allocate is kept for the next; what each further round would keep shows in the second half.
        var half = new Dictionary<string, long>();
        for (var i = 1; i <= rounds; i++)
        {
            await RoundAsync(at, i);
            if (i == rounds / 2) half = new() { ["service"] = Resident(lab.Service.ProcessId), ["libvirtd"] = Resident(await ProcessAsync("/run/libvirtd.pid")) };
        }
        var grown = new Dictionary<string, long> { ["service"] = Resident(lab.Service.ProcessId) - half["service"], ["libvirtd"] = Resident(await ProcessAsync("/run/libvirtd.pid")) - half["libvirtd"] };
        output.WriteLine($"{rounds} rounds; resident memory in the second half: {string.Join(", ", grown.Select(g => $"{g.Key} {half[g.Key] >> 20} MiB, grown by {g.Value >> 10} KiB"))}");
        // A service that collects its garbage when it likes grows and shrinks by some; a leak of a memory image or a connection for each weave would be far more.
        Assert.InRange(grown["service"], long.MinValue, 64L << 20);
        Assert.InRange(grown["libvirtd"], long.MinValue, 16L << 20);

        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(before));
        var (after, libvirtdAfter) = (0, 0);
        // Connections of clients and of the database come and go; a leak of one for each weave would be six, and would stay.
        await Shell.UntilAsync("as many descriptors as before", async () =>
        {
            (after, libvirtdAfter) = (Descriptors(lab.Service.ProcessId), Descriptors(await ProcessAsync("/run/libvirtd.pid")));
            return after <= descriptors + 5 && libvirtdAfter <= libvirtd + 5;
        }, TimeSpan.FromMinutes(2));
        output.WriteLine($"descriptors: service {descriptors} → {after}, libvirtd {libvirtd} → {libvirtdAfter}, QEMU of the originals {qemu}");
        Assert.Equal(qemu, await QemuDescriptorsAsync());
    }

    /// <summary>From the snapshot: a weave from now would leave a moment of history, which is no leak but not nothing.</summary>
    private async Task RoundAsync(string at, int i)
    {
        var id = string.Create(CultureInfo.InvariantCulture, $"round-{i}");
        await lab.WeaveAsync("create", LabWorld.Environment, "--at", at, "--id", id);
        await LabWorld.AnswersAsync(await lab.UrlAsync(id));
        await lab.WeaveAsync("delete", $"{LabWorld.Environment}/{id}");
    }

    /// <summary>Open descriptors, without those of program files, which the runtime opens when it first needs them.</summary>
    private static int Descriptors(int process) => new DirectoryInfo(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/fd")).EnumerateFileSystemInfos().Count(f => f.LinkTarget?.EndsWith(".dll", StringComparison.Ordinal) != true);

    private static long Resident(int process) => long.Parse(File.ReadAllLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/status")).First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2].Trim(), CultureInfo.InvariantCulture) << 10;

    private static async Task<int> ProcessAsync(string file) => int.Parse(await File.ReadAllTextAsync(file), CultureInfo.InvariantCulture);

    private static async Task<string> QemuDescriptorsAsync()
    {
        var counts = new List<string>();
        foreach (var domain in (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Order(StringComparer.Ordinal)) counts.Add($"{domain} {Descriptors(await ProcessAsync($"/run/libvirt/qemu/{domain}.pid"))}");
        return string.Join(", ", counts);
    }
}
