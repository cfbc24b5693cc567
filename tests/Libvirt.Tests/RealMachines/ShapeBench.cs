using System.Security.Cryptography;
using System.Text.Json;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.RealMachines;

/// <summary>
/// Guests in the shapes that real machines have: a UEFI firmware, a TPM, several networks, a bridge of the host. The lab's guest with a second archive on its initial RAM disk, which
/// answers on port 81 about variables and TPM, and on port 82 with its nonce.
/// </summary>
internal class ShapeBench : LibvirtBench
{
    private readonly int _lan = RandomNumberGenerator.GetInt32(1, 255);
    private bool _bridged;

    public string Bridge => Prefix + "hb";
    public string LanAddress(int host) => $"10.95.{_lan}.{host}";

    /// <summary>A running machine with UEFI and an emulated TPM on the network of the bench.</summary>
    public async Task<MachineRequest> GiveFirmwareMachineAsync(CancellationToken stop)
    {
        await NetworkAsync(2, stop);
        return await StartAsync("fw", "q35", 192, $"<loader readonly='yes' type='pflash'>{Firmware}</loader><nvram template='{Variables}'>{Folder}/fw.fd</nvram>", "",
            $"<interface type='network'><mac address='{Mac(0)}'/><source network='{Network}'/><model type='virtio'/></interface><tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>", true, stop);
    }

    /// <summary>One running machine on the bench's network and on a bridge of the host, with a CD; one on that bridge alone, which its user has paused; one on both that is off.</summary>
    public async Task<IReadOnlyList<MachineRequest>> GiveMixedMachinesAsync(CancellationToken stop)
    {
        await NetworkAsync(2, stop);
        _bridged = true;
        await RunAsync(null, stop, "ip", "link", "add", Bridge, "type", "bridge");
        await RunAsync(null, stop, "ip", "address", "add", LanAddress(1) + "/24", "dev", Bridge);
        await RunAsync(null, stop, "ip", "link", "set", Bridge, "up");
        await File.WriteAllTextAsync($"{Folder}/tools.iso", "a disc", stop);
        string Nat(int i) => $"<interface type='network'><mac address='{Mac(i)}'/><source network='{Network}'/><model type='virtio'/></interface>";
        string Lan(int i) => $"<interface type='bridge'><mac address='{Mac(i)}'/><source bridge='{Bridge}'/><model type='virtio'/></interface>";
        var disc = $"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{Folder}/tools.iso'/><target dev='hdc' bus='ide'/><readonly/></disk>";
        var both = await StartAsync("both", "pc", 96, "", $"shape.eth1={LanAddress(21)}/24", Nat(0) + Lan(10) + disc, true, stop);
        var lan = await StartAsync("lan", "pc", 96, "", $"shape.eth0={LanAddress(22)}/24", Lan(11), true, stop);
        var off = await StartAsync("off", "pc", 96, "", "", Nat(1) + Lan(12), false, stop);
        foreach (var host in new[] { 21, 22 })
            if (await AskAsync(LanAddress(host), true, stop) is null) throw new InvalidOperationException($"{LanAddress(host)} does not answer");
        await VirshAsync(null, stop, "suspend", lan.HypervisorName);
        return [both, lan, off];
    }

    /// <summary>What the second service of a guest says.</summary>
    public static async Task<string> ShapeAsync(string address, string path, CancellationToken stop, bool post = false)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(10) };
        for (var end = DateTimeOffset.UtcNow.AddSeconds(60); ;)
        {
            try
            {
                using var answer = post ? await http.PostAsync(new Uri($"http://{address}:81{path}"), null, stop) : await http.GetAsync(new Uri($"http://{address}:81{path}"), stop);
                return await answer.Content.ReadAsStringAsync(stop);
            }
            catch (Exception e) when ((e is HttpRequestException || e is TaskCanceledException && !stop.IsCancellationRequested) && DateTimeOffset.UtcNow < end)
            {
                await Eventually.PauseAsync(stop);
            }
        }
    }

    /// <summary>What a guest hears at a port of another, from inside.</summary>
    public static async Task<string> HeardAsync(string from, string address, int port, CancellationToken stop)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(30) };
        return JsonDocument.Parse(await http.GetStringAsync(new Uri($"http://{from}/reach/{address}/{port}"), stop)).RootElement.GetProperty("heard").GetString()!;
    }

    public static async Task<System.Xml.Linq.XElement> DefinitionAsync(string name, CancellationToken stop) =>
        System.Xml.Linq.XElement.Parse(await RunAsync(null, stop, "virsh", "-q", "-c", "qemu:///system", "dumpxml", name));

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (_bridged) await RunAsync(null, default, "ip", "link", "delete", Bridge);
    }

    private protected async Task<MachineRequest> StartAsync(string role, string machine, int memory, string firmware, string arguments, string devices, bool start, CancellationToken stop)
    {
        var guest = await GuestAsync(stop);
        var initrd = $"{Folder}/initrd";
        if (!File.Exists(initrd)) await RunAsync(null, stop, Path.Combine(Definitions.MachineDefinitionTests.Checkout(), "tests/Libvirt.Tests/RealMachines/build-shape"), guest, initrd);
        var disk = $"{Folder}/{role}.qcow2";
        await RunAsync(null, stop, "truncate", "-s", "16M", disk + ".raw");
        await RunAsync(null, stop, "mkfs.ext4", "-q", "-F", disk + ".raw");
        await RunAsync(null, stop, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk + ".raw", disk);
        var name = $"{Prefix}-{role}";
        Domains.Add(name);
        await VirshAsync($"""
            <domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
            <os><type arch='x86_64' machine='{machine}'>hvm</type>{firmware}<kernel>{guest}/vmlinuz</kernel><initrd>{initrd}</initrd><cmdline>console=ttyS0 quiet panic=-1 lab.role=solo {arguments}</cmdline></os>
            <features><acpi/></features><devices>
            <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>{devices}
            <serial type='pty'/><video><model type='none'/></video><memballoon model='none'/></devices></domain>
            """, stop, "define", "/dev/stdin");
        if (start) await VirshAsync(null, stop, "start", name);
        return new(MachineName.Parse(role), name);
    }
}
