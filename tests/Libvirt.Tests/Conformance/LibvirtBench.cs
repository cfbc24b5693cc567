using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Conformance;

/// <summary>Real guests on the system's libvirt: Debian's cloud kernel with a busybox initramfs, one qcow2 disk each. Prefix, folder and network are this bench's own.</summary>
public class LibvirtBench : DriverBench
{
    private static readonly SemaphoreSlim Building = new(1, 1);
    private readonly string _prefix = "wvt" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(2));
    private protected string Prefix => _prefix;
    private protected List<string> Domains => _domains;
    // One after the other, so that benches of one run never have the same; 10.94.1 is the end-to-end tests'.
    private static int _subnets = RandomNumberGenerator.GetInt32(252);
    private readonly int _subnet = 2 + (int)((uint)Interlocked.Increment(ref _subnets) % 252);
    private readonly List<string> _domains = [];
    private readonly List<Socket> _taken = [];
    private string? _template;
    private string Template => $"{Folder}/template.qcow2";
    private static string Hash(string file) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(file)));
    private protected string Folder => $"/var/lib/{_prefix}";
    private protected string Network => _prefix + "net";
    private string Subnet => $"10.94.{_subnet}";

    internal const string Firmware = "/usr/share/OVMF/OVMF_CODE_4M.fd", Variables = "/usr/share/OVMF/OVMF_VARS_4M.fd";

    /// <summary>Model of the machines' video device.</summary>
    public string Video { get; init; } = "none";
    /// <summary>More words on the command line of the guests' kernel.</summary>
    public string KernelWords { get; init; } = "";
    public override string CopyPrefix => _prefix;
    public override int ServicePort => 80;
    public override (int, int) FreePorts { get; } = (RandomNumberGenerator.GetInt32(20000, 25000), RandomNumberGenerator.GetInt32(25000, 29999));

    public override IHypervisorDriver NewDriver() => new LibvirtDriver(Options, TimeProvider.System, NullLoggerFactory.Instance);
    internal LibvirtDriverOptions Options => new() { Prefix = _prefix, Root = Folder + "/root", AgentPatience = AgentPatience };
    internal TimeSpan AgentPatience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Tells the guest's agent to stop, go or end, or puts an odd one in its place.</summary>
    internal static async Task AgentAsync(string address, string action, CancellationToken stop)
    {
        using var http = Client(TimeSpan.FromSeconds(20));
        using var answer = await http.PostAsync(new Uri($"http://{address}/agent/{action}"), null, stop);
        answer.EnsureSuccessStatusCode();
    }

    public override async Task<IReadOnlyList<MachineRequest>> GiveMachinesAsync(int count, CancellationToken stop)
    {
        var guest = await GuestAsync(stop);
        await NetworkAsync(count, stop);
        var requests = new List<MachineRequest>();
        // One template for all, as clones of a cloud image have it: whatever is done with a machine must never write into it.
        await RunAsync(null, stop, "truncate", "-s", "32M", Template + ".raw");
        await RunAsync(null, stop, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", Template + ".raw");
        await RunAsync(null, stop, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", Template + ".raw", Template);
        File.Delete(Template + ".raw");
        _template = Hash(Template);
        for (var i = 0; i < count; i++)
        {
            var disk = $"{Folder}/m{i}.qcow2";
            await RunAsync(null, stop, "qemu-img", "create", "-q", "-f", "qcow2", "-b", Template, "-F", "qcow2", disk);
            var name = $"{_prefix}-m{i}";
            _domains.Add(name);
            var kvm = Directory.Exists("/sys/module/kvm_intel") || Directory.Exists("/sys/module/kvm_amd");
            await VirshAsync($"""
                <domain type='{(kvm && File.Exists("/dev/kvm") ? "kvm" : "qemu")}'><name>{name}</name><memory unit='MiB'>96</memory><vcpu>1</vcpu>
                <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{guest}/vmlinuz</kernel><initrd>{guest}/initrd</initrd><cmdline>console=ttyS0 quiet panic=-1 lab.role=solo {KernelWords}</cmdline></os>
                <features><acpi/></features><devices>
                <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
                <interface type='network'><mac address='{Mac(i)}'/><source network='{Network}'/><model type='virtio'/></interface>
                {(i == 0 ? "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>" : "")}<serial type='pty'/><video><model type='{Video}'/></video><memballoon model='none'/></devices></domain>
                """, stop, "define", "/dev/stdin");
            await VirshAsync(null, stop, "start", name);
            requests.Add(new(MachineName.Parse($"m{i}"), name));
        }
        for (var i = 0; i < count; i++)
            if (await AskAsync($"{Subnet}.{11 + i}", expected: true, stop) is null) throw new InvalidOperationException($"guest {_prefix}-m{i} does not answer");
        return requests;
    }

    /// <summary>The folder, and a network that gives the first machines fixed addresses.</summary>
    private protected async Task NetworkAsync(int count, CancellationToken stop)
    {
        Directory.CreateDirectory(Folder);
        File.SetUnixFileMode(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        var hosts = string.Concat(Enumerable.Range(0, count).Select(i => $"<host mac='{Mac(i)}' name='m{i}' ip='{Subnet}.{11 + i}'/>"));
        await VirshAsync($"""
            <network><name>{Network}</name><forward mode='nat'/><bridge name='{_prefix}br' stp='off' delay='0'/>
            <ip address='{Subnet}.1' netmask='255.255.255.0'><dhcp>{hosts}</dhcp></ip></network>
            """, stop, "net-create", "/dev/stdin");
    }

    public override async Task<MachineRequest?> GiveRefusedMachineAsync(CancellationToken stop)
    {
        var name = _prefix + "-bad";
        _domains.Add(name);
        await VirshAsync($"""
            <domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
            <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{Folder}/missing.qcow2'/><target dev='vda' bus='virtio'/></disk>
            <interface type='user'><mac address='{Mac(99)}'/></interface></devices></domain>
            """, stop, "define", "/dev/stdin");
        return new(MachineName.Parse("bad"), name);
    }

    public override async Task<MachineRequest> GiveMachineWithStateAsync(CancellationToken stop)
    {
        Directory.CreateDirectory(Folder);
        File.SetUnixFileMode(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        var name = _prefix + "-uefi";
        _domains.Add(name);
        await RunAsync(null, stop, "qemu-img", "create", "-q", "-f", "qcow2", $"{Folder}/uefi.qcow2", "8M");
        File.Copy(Variables, $"{Folder}/uefi.fd");
        await VirshAsync($"""
            <domain type='qemu'><name>{name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
            <os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' type='pflash'>{Firmware}</loader><nvram template='{Variables}'>{Folder}/uefi.fd</nvram></os>
            <features><acpi/></features><devices>
            <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{Folder}/uefi.qcow2'/><target dev='vda' bus='virtio'/></disk>
            <video><model type='none'/></video><memballoon model='none'/></devices></domain>
            """, stop, "define", "/dev/stdin");
        return new(MachineName.Parse("uefi"), name);
    }

    public override async Task MarkStateAsync(MachineRef machine, string text, CancellationToken stop)
    {
        var path = await VariablesOfAsync(machine, stop);
        using var file = File.OpenWrite(path);
        // The end of the store is spare space of the firmware's.
        file.Seek(-64, SeekOrigin.End);
        file.Write(System.Text.Encoding.ASCII.GetBytes(text.PadRight(64)));
    }

    public override async Task<bool> HasMarkAsync(MachineRef machine, string text, CancellationToken stop) =>
        (await File.ReadAllBytesAsync(await VariablesOfAsync(machine, stop), stop)).AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes(text.PadRight(64))) >= 0;

    /// <summary>The file that the machine has now, as libvirt says.</summary>
    private static async Task<string> VariablesOfAsync(MachineRef machine, CancellationToken stop) =>
        System.Xml.Linq.XElement.Parse(await RunAsync(null, stop, "virsh", "-q", "-c", "qemu:///system", "dumpxml", machine.HypervisorName)).Element("os")!.Element("nvram")!.Value;

    public override Task<GuestAnswer?> AskAsync(string address, bool expected, CancellationToken stop) => AskUrlAsync($"http://{address}:80/", expected, stop);
    public override Task<GuestAnswer?> AskPortAsync(int port, bool expected, CancellationToken stop) => AskUrlAsync($"http://127.0.0.1:{port}/", expected, stop);

    public override async Task OrderAsync(string address, string order, CancellationToken stop)
    {
        using var http = Client(TimeSpan.FromSeconds(20));
        using var answer = await http.PostAsync(new Uri($"http://{address}/order/{order}"), null, stop);
        answer.EnsureSuccessStatusCode();
    }

    public override int? TakePort()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        _taken.Add(socket);
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    public override Task KillAsync(MachineRef machine, CancellationToken stop) => VirshAsync(null, stop, "destroy", machine.HypervisorName);

    public override IReadOnlyList<(string What, Func<CancellationToken, Task> Do)> Damages(FenceTag fence)
    {
        var names = new Fences.FenceNames(_prefix, fence);
        async Task EndNameServerAsync(CancellationToken stop) =>
            await RunAsync(null, stop, "kill", "-KILL", (await File.ReadAllTextAsync($"{Folder}/root/fences/{fence}/dnsmasq.pid", stop)).Trim());
        return
        [
            ("the host's table is gone", stop => RunAsync(null, stop, "nft", "delete", "table", "ip", names.HostTable)),
            ("the host's rules are flushed", stop => RunAsync(null, stop, "nft", "flush", "table", "ip", names.HostTable)),
            ("the gateway's rules are flushed", stop => RunAsync(null, stop, "ip", "netns", "exec", names.Namespace, "nft", "flush", "ruleset")),
            ("the name server is killed", EndNameServerAsync),
            ("the uplink is gone", stop => RunAsync(null, stop, "ip", "link", "delete", names.HostUplink)),
            ("the gateway's leg is gone", stop => RunAsync(null, stop, "ip", "link", "delete", names.HostLeg(0))),
            ("the network is gone", stop => VirshAsync(null, stop, "net-destroy", names.Network(0))),
            ("the bridge is gone", stop => RunAsync(null, stop, "ip", "link", "delete", names.Bridge(0))),
            ("the namespace is gone, its name server lives on", stop => RunAsync(null, stop, "ip", "netns", "delete", names.Namespace)),
            ("the namespace is gone", async stop =>
            {
                await EndNameServerAsync(stop);
                await RunAsync(null, stop, "ip", "netns", "delete", names.Namespace);
            }),
            ("the host has no folder of namespaces yet, as after each start", async stop =>
            {
                await EndNameServerAsync(stop);
                await RunAsync(null, stop, "ip", "netns", "delete", names.Namespace);
                // Where others have namespaces it stays, and this is the damage before.
                if (!Directory.Exists("/run/netns") || Directory.EnumerateFileSystemEntries("/run/netns").Any()) return;
                while (File.ReadLines("/proc/self/mountinfo").Any(l => l.Contains(" /run/netns ", StringComparison.Ordinal))) await RunAsync(null, stop, "umount", "/run/netns");
                Directory.Delete("/run/netns");
            }),
        ];
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (var socket in _taken) socket.Dispose();
        await using (var driver = NewDriver())
        {
            var owned = await driver.ListOwnedAsync(default);
            await driver.PublishAsync([], default);
            foreach (var thing in owned.Things.Where(t => t.Kind != OwnedKind.File)) await driver.RemoveOwnedAsync(thing, default);
        }
        foreach (var domain in _domains)
        {
            await TryVirshAsync("destroy", domain);
            await TryVirshAsync("undefine", domain, "--keep-nvram");
        }
        await TryVirshAsync("net-destroy", Network);
        var after = _template is null ? null : Hash(Template);
        if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
        File.Delete($"/run/weave.{_prefix}.fences.lock");
        Assert.Equal(_template, after);
    }

    /// <summary>Folder of the guest image, built once; run-tests gives one that is there already.</summary>
    internal static async Task<string> GuestAsync(CancellationToken stop)
    {
        var folder = Environment.GetEnvironmentVariable("WEAVE_LAB_GUEST") is { Length: > 0 } given ? given : "/var/lib/weave-guest";
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "WeaveHypervisor.sln"))) root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("not in a checkout");
        await Building.WaitAsync(stop);
        try
        {
            await RunAsync(null, stop, Path.Combine(root, "libvirt/lab/build-guest"), folder);
        }
        finally
        {
            Building.Release();
        }
        return folder;
    }

    private protected string Mac(int i) => $"52:54:{Convert.ToInt32(_prefix[3..5], 16):x2}:{Convert.ToInt32(_prefix[5..7], 16):x2}:00:{i + 1:x2}";

    private static async Task<GuestAnswer?> AskUrlAsync(string url, bool expected, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        var limit = expected ? TimeSpan.FromSeconds(60) : TimeSpan.FromSeconds(3);
        using var http = Client(expected ? TimeSpan.FromSeconds(10) : TimeSpan.FromSeconds(2));
        while (true)
        {
            try
            {
                using var document = JsonDocument.Parse(await http.GetStringAsync(new Uri(url), stop));
                var root = document.RootElement;
                return new(root.GetProperty("machines").GetProperty("solo").GetProperty("nonce").GetString()!, [.. root.GetProperty("list").EnumerateArray().Select(e => e.GetString()!)]);
            }
            catch (Exception e) when (e is HttpRequestException or IOException or JsonException || e is TaskCanceledException && !stop.IsCancellationRequested)
            {
                if (clock.Elapsed > limit) return null;
                await WeaveHypervisor.Conformance.Eventually.PauseAsync(stop);
            }
        }
    }

    private static HttpClient Client(TimeSpan limit) => new(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = limit };

    internal static Task<string> VirshAsync(string? xml, CancellationToken stop, params string[] arguments) => RunAsync(xml, stop, ["virsh", "-q", "-c", "qemu:///system", .. arguments]);

    private static async Task TryVirshAsync(params string[] arguments)
    {
        try
        {
            await VirshAsync(null, default, arguments);
        }
        catch (InvalidOperationException)
        {
            // Not there.
        }
    }

    internal static async Task<string> RunAsync(string? input, CancellationToken stop, params string[] line)
    {
        var start = new ProcessStartInfo(line[0]) { RedirectStandardInput = true, RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in line.Skip(1)) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(stop);
        var output = process.StandardOutput.ReadToEndAsync(stop);
        if (input is not null) await process.StandardInput.WriteAsync(input.AsMemory(), stop);
        process.StandardInput.Close();
        await process.WaitForExitAsync(stop);
        return process.ExitCode == 0 ? await output : throw new InvalidOperationException($"{string.Join(' ', line)}: {await error}{await output}");
    }
}

/// <summary>The driver's conformance suite on real guests.</summary>
public sealed class LibvirtDriverTests : DriverContract
{
    protected override DriverBench NewBench() => new LibvirtBench();
}
