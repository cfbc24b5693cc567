using System.Buffers.Binary;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.HyperV;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.SelfTest;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>What a guest of an imaginary host shows.</summary>
/// <param name="Machine">Its name on the host.</param>
/// <param name="Id">The host's id of it, which Vagrant keeps in `.vagrant/machines/NAME/hyperv/id` of machines that it made.</param>
/// <param name="Boot">Another one after each boot, the same after a resume from memory.</param>
/// <param name="Ticks">Seconds since then, kept in memory.</param>
/// <param name="Orders">Kept on its disk.</param>
/// <param name="Corrupt">It was resumed on disks that do not fit its memory.</param>
internal sealed record ImaginaryGuest(string Machine, Guid Id, Guid Boot, long Ticks, uint Orders, bool Corrupt);

/// <summary>
/// An imaginary Hyper-V host with three machines that run, <c>demo-web</c>, <c>demo-app</c> and <c>demo-db</c>, in a network
/// that the host translates for. Guests are modelled: a counter in memory, a number on the disk and an address each; no program runs in them, and nothing of it is on a network. The host translates for more than one prefix,
/// which Windows does not promise: so the originals, too, can have published ports. It lives as long as the service: its folder is emptied at each start, and environments of an earlier start have lost their machines.
/// </summary>
internal sealed class ImaginaryHyperV
{
    public const string GatewayImage = @"C:\Images\gateway.vhdx";
    private const string Gateway = "10.20.30.1";
    private const long DiskBytes = 64 << 20, GatewayBytes = 16 << 20;
    private static readonly TimeSpan JobTime = TimeSpan.FromMilliseconds(50);
    private static readonly (string Name, string Address)[] Machines = [("demo-web", "10.20.30.11"), ("demo-app", "10.20.30.12"), ("demo-db", "10.20.30.13")];

    public ImaginaryHyperV(string folder, TimeProvider clock)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        Host = new(folder, clock, new() { JobTime = JobTime, Seed = Random.Shared.Next(), Behaviour = new() { TakesSeveralNats = true } });
        var image = Host.Files.Local(GatewayImage);
        Directory.CreateDirectory(Path.GetDirectoryName(image)!);
        FillAsync(image).GetAwaiter().GetResult();
    }

    /// <summary>What an administrator would have done; nothing of it waits.</summary>
    private async Task FillAsync(string image)
    {
        await VhdxWriter.CreateAsync(image, new(GatewayBytes), CancellationToken.None);
        var lan = Host.AddSwitch("Demo LAN", isInternal: true);
        var adapter = (await Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetAdapter.ClassName).ToString(), CancellationToken.None))[0];
        await Host.Client.InvokeAsync(CimPath.To(null, HostNamespaces.Standard, NetIPAddress.ClassName), NetIPAddress.Create(addressFamily: 2, interfaceIndex: adapter.Find(NetAdapter.InterfaceIndex), iPAddress: Gateway, prefixLength: 24), CancellationToken.None);
        await Host.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, "demo").With(NetNat.InternalIPInterfaceAddressPrefix, "10.20.30.0/24"), CancellationToken.None);
        foreach (var (name, address) in Machines)
        {
            var id = Host.AddMachine(name, [DiskBytes], [lan], memoryMegabytes: 64);
            Host.SetAddress(id, 0, address, gateway: Gateway);
            await Host.Client.InvokeAsync(Host.SystemOf(id), ComputerSystem.RequestStateChange(2), CancellationToken.None);
        }
    }

    public SimulatedHost Host { get; }

    /// <summary>Keeps the record that the self-test would write on this host, which is all that one would like: it takes a minute, and a first look should not begin with that.</summary>
    public void Record(HyperVOptions settings) => HostSelfTest.KeepAsync(settings, Host.Client, Host.Files, new()
    {
        TestedAt = DateTimeOffset.UnixEpoch, Build = Host.Options.Build, Resumes = CapabilityRecord.Preferred, Proven = CapabilityRecord.Preferred, SavesPaused = true, ChecksPaused = true, TakesAvhdxAsParent = true,
        Production = ProductionRequest.ByType, ExportSuspendsMerges = true, GrantsParents = true, KeepsIdentity = true,
    }, CancellationToken.None).GetAwaiter().GetResult();

    /// <summary>Guests that run, by the names of their machines.</summary>
    public IReadOnlyList<ImaginaryGuest> Guests() => [.. Host.MachineNames().Select(m => Look(m.Id)).OfType<ImaginaryGuest>().OrderBy(g => g.Machine, StringComparer.Ordinal)];

    /// <summary>The guest behind a published port; NotFound where none answers.</summary>
    public ImaginaryGuest Behind(int port) => Look(Find(port)) ?? throw Nobody(port);

    /// <summary>The guest behind a published port takes an order: it writes to its disk.</summary>
    public ImaginaryGuest Order(int port)
    {
        var id = Find(port);
        var bytes = new byte[512];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Orders(id) + 1);
        Host.WriteAsGuest(id, 0, 0, bytes);
        return Look(id) ?? throw Nobody(port);
    }

    private Guid Find(int port) => Host.BehindPort(port) ?? throw Nobody(port);
    private static WeaveException Nobody(int port) => new(Fault.NotFound, $"Nothing answers at port {port} of the imaginary host.", "Publish a port of a machine that runs: `weave route`.");
    private uint Orders(Guid id) => BinaryPrimitives.ReadUInt32LittleEndian(Host.ReadDisk(id, 0, 0, sizeof(uint)));

    private ImaginaryGuest? Look(Guid id) => Host.Guest(id) is { } guest && Host.MachineNames().FirstOrDefault(m => m.Id == id).Name is { } name ? new(name, id, guest.Boot, guest.Count, Orders(id), guest.IsCorrupt) : null;
}
