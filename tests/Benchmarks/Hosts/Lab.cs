using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>A guest of the lab, with one disk.</summary>
/// <param name="Role">Its name in the environment.</param>
public sealed record Machine(string Domain, string Role, string Address, int MiB, string Disk);

/// <summary>The same guests twice: one set is managed by the product, the other is only known to virsh. Both stand still except while they are measured.</summary>
public sealed record Twins(string Environment, IReadOnlyList<Machine> Weave, IReadOnlyList<Machine> Virsh);

/// <summary>Guests, networks and the service of a run. What is asked for is made at its first use and kept to the end of the run.</summary>
public sealed class Lab : IAsyncDisposable
{
    private const string WeaveNet = "10.94.41", VirshNet = "10.94.42";
    private readonly Action<string> _log;
    private readonly string _guest = Path.Combine(Names.Folder, "guest");
    private readonly Dictionary<string, Twins> _made = [];

    private Lab(Action<string> log, Product product, Lifecycle events) => (_log, Product, Events) = (log, product, events);

    public Product Product { get; }
    public Lifecycle Events { get; }

    public static async Task<Lab> OpenAsync(Action<string> log, CancellationToken stop)
    {
        log("making guest, networks and service");
        var script = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../../libvirt/lab/build-guest"));
        (await Shell.RunAsync(script, [Path.Combine(Names.Folder, "guest")], stop)).Succeeded();
        foreach (var (network, subnet) in new[] { (Names.Weave, WeaveNet), (Names.Virsh, VirshNet) })
        {
            var file = Path.Combine(Names.Folder, network + ".xml");
            var hosts = string.Concat(Enumerable.Range(11, 30).Select(n => $"<host mac='{Mac(network, n)}' ip='{subnet}.{n}'/>"));
            await File.WriteAllTextAsync(file, $"""
                <network><name>{network}</name><forward mode='nat'/><bridge name='{network}br0' stp='off' delay='0'/>
                <ip address='{subnet}.1' netmask='255.255.255.0'><dhcp>{hosts}</dhcp></ip></network>
                """, stop);
            await Shell.VirshAsync(stop, "net-define", file);
            await Shell.VirshAsync(stop, "net-start", network);
        }
        return new(log, await Product.StartAsync(Names.Folder, stop), Lifecycle.Start());
    }

    /// <summary>One machine with more than half of its memory in use, twice.</summary>
    public Task<Twins> OneAsync(int mib, CancellationToken stop) => MakeAsync($"s{mib}", [("solo", mib)], 20 + int.Log2(mib) - 7, frames: false, stop);

    /// <summary>Three machines that send each other numbered frames without end, twice.</summary>
    public Task<Twins> ThreeAsync(CancellationToken stop) => MakeAsync("three", [("a", 192), ("b", 192), ("c", 192)], 11, frames: true, stop);

    private async Task<Twins> MakeAsync(string environment, (string Role, int MiB)[] machines, int first, bool frames, CancellationToken stop)
    {
        if (_made.TryGetValue(environment, out var there)) return there;
        _log($"starting {environment}: {string.Join(" + ", machines.Select(m => $"{m.MiB} MiB"))}, twice");
        var peers = frames ? Enumerable.Range(first, machines.Length).ToArray() : [];
        var (weave, virsh) = (new List<Machine>(), new List<Machine>());
        try
        {
            for (var i = 0; i < machines.Length; i++)
            {
                var others = string.Join(',', peers.Where(p => p != first + i));
                weave.Add(await DefineAsync(Names.Weave, WeaveNet, environment, machines[i].Role, machines[i].MiB, first + i, others, stop));
                virsh.Add(await DefineAsync(Names.Virsh, VirshNet, environment, machines[i].Role, machines[i].MiB, first + i, others, stop));
            }
            // Without KVM, and with other work on the host, filling 2 GiB takes long.
            await Task.WhenAll(weave.Concat(virsh).Select(m => Guests.FirstReplyAsync(m.Address, TimeSpan.FromMinutes(5), stop)));
            await Product.AdoptAsync(environment, weave.Select(m => (m.Role, m.Domain)), stop);
        }
        catch
        {
            // The next figure that wants them begins anew.
            foreach (var machine in weave.Concat(virsh))
            {
                await Shell.TryVirshAsync(CancellationToken.None, "destroy", machine.Domain);
                await Shell.TryVirshAsync(CancellationToken.None, "undefine", machine.Domain);
            }
            throw;
        }
        foreach (var machine in weave.Concat(virsh)) await Shell.VirshAsync(stop, "suspend", machine.Domain);
        return _made[environment] = new(environment, weave, virsh);
    }

    /// <summary>Lets machines run while <paramref name="work"/> does; they have answered before it begins.</summary>
    public static async Task AwakeAsync(IReadOnlyList<Machine> machines, Func<Task> work, CancellationToken stop)
    {
        foreach (var machine in machines) await Shell.VirshAsync(stop, "resume", machine.Domain);
        foreach (var machine in machines) await Guests.FirstReplyAsync(machine.Address, TimeSpan.FromSeconds(60), stop);
        await work();
        foreach (var machine in machines)
            if ((await Shell.VirshAsync(stop, "domstate", machine.Domain)).Trim() == "running") await Shell.VirshAsync(stop, "suspend", machine.Domain);
    }

    private static string Mac(string network, int number) =>
        string.Create(CultureInfo.InvariantCulture, $"52:54:00:{Convert.ToHexString(SHA256.HashData(Encoding.ASCII.GetBytes(network)))[..2].ToLowerInvariant()}:00:{number:x2}");

    private static string Accelerator => Environment.GetEnvironmentVariable("LAB_DOMAIN_TYPE") is { Length: > 0 } asked ? asked
        : File.Exists("/dev/kvm") && (Directory.Exists("/sys/module/kvm_intel") || Directory.Exists("/sys/module/kvm_amd")) ? "kvm" : "qemu";

    /// <summary>MiB that the guest fills: with kernel and programs more than half of its memory is in use.</summary>
    private static int Fill(int mib) => mib * 6 / 10 - Math.Min(40, mib / 5);

    private async Task<Machine> DefineAsync(string prefix, string subnet, string environment, string role, int mib, int number, string peers, CancellationToken stop)
    {
        var machine = new Machine($"{prefix}-{environment}-{role}", role, $"{subnet}.{number}", mib, Path.Combine(Names.Folder, $"{prefix}-{environment}-{role}.qcow2"));
        var raw = machine.Disk + ".raw";
        await using (var file = File.Create(raw)) file.SetLength(64 << 20);
        (await Shell.RunAsync("mkfs.ext4", ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", raw], stop)).Succeeded();
        (await Shell.RunAsync("qemu-img", ["convert", "-q", "-f", "raw", "-O", "qcow2", raw, machine.Disk], stop)).Succeeded();
        File.Delete(raw);
        var xml = Path.Combine(Names.Folder, machine.Domain + ".xml");
        await File.WriteAllTextAsync(xml, $"""
            <domain type='{Accelerator}'>
              <name>{machine.Domain}</name><memory unit='MiB'>{mib}</memory><vcpu>1</vcpu>
              <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{_guest}/vmlinuz</kernel><initrd>{_guest}/initrd</initrd>
                <cmdline>console=ttyS0 quiet panic=-1 lab.role=solo lab.net={subnet} lab.fill={Fill(mib)}{(peers.Length > 0 ? " lab.peers=" + peers : "")}</cmdline></os>
              <features><acpi/><apic/></features><clock offset='utc'/><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
              <devices>
                <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='{machine.Disk}'/><target dev='vda' bus='virtio'/></disk>
                <interface type='network'><mac address='{Mac(prefix, number)}'/><source network='{prefix}'/><model type='virtio'/></interface>
                <serial type='pty'><target port='0'/></serial><console type='pty'><target type='serial' port='0'/></console>
                <video><model type='none'/></video><memballoon model='none'/>
              </devices>
            </domain>
            """, stop);
        await Shell.VirshAsync(stop, "define", xml);
        await Shell.VirshAsync(stop, "start", machine.Domain);
        return machine;
    }

    /// <summary>Ends service and listener; machines and files are removed with all names of the run (<see cref="Names.RemoveAllAsync"/>).</summary>
    public async ValueTask DisposeAsync()
    {
        await Events.DisposeAsync();
        await Product.DisposeAsync();
    }
}
