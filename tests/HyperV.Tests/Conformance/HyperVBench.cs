using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.Conformance;

/// <summary>A simulated host for the driver suite. Its guests keep orders on their first disk, a sector each, and know their boot.</summary>
internal sealed class HyperVBench : DriverBench
{
    private const long DiskBytes = 8 << 20;
    private const string Image = @"C:\Images\gateway.vhdx", Network = "10.20.0.";
    private const int Sector = 512, MostOrders = 64;
    private readonly string _root = Directory.CreateTempSubdirectory("wvhv").FullName;
    private readonly LeapingClock _clock = new();
    private readonly SimulatedHost _host;
    private readonly HyperVOptions _options;
    private readonly CapabilityRecord? _record;
    private readonly DriverContext _context;
    private readonly VagrantLab? _lab;
    private CimPath? _lan;
    private int _named;

    public HyperVBench(SimulatedHostOptions host, CapabilityRecord? record, bool outage, bool gateway = true, bool vagrant = false)
    {
        // A user's network that the host translates for, too.
        _host = new(_root, _clock, host with { Behaviour = host.Behaviour with { TakesSeveralNats = true } });
        _options = new() { Root = @"C:\Weave", GatewayImage = gateway ? Image : null, AllowOutage = outage };
        _record = record;
        _context = NewContext();
        if (vagrant) _lab = new(_host, _context);
    }

    /// <summary>Made by Vagrant, the machines are; null where by a user.</summary>
    public VagrantLab? Lab => _lab;
    public SimulatedHost Host => _host;
    public LeapingClock Clock => _clock;
    public DriverContext Context => _context;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private DriverContext NewContext() => new(_options, _host.Client, _host.Files, _clock, NullLoggerFactory.Instance);

    public override IHypervisorDriver NewDriver() => new HyperVDriver(_options, _host.Client, _host.Files, _clock, NullLoggerFactory.Instance);

    public override async Task<IReadOnlyList<MachineRequest>> GiveMachinesAsync(int count, CancellationToken stop)
    {
        await PrepareAsync(stop);
        var given = new List<MachineRequest>();
        for (var i = 0; i < count; i++) given.Add(await GiveAsync(i == 0 ? "web" : "db", hasAgent: i == 0, running: true, stop));
        return given;
    }

    public override async Task<MachineRequest?> GiveRefusedMachineAsync(CancellationToken stop)
    {
        await PrepareAsync(stop);
        var id = _host.AddMachine("odd", [DiskBytes], [_lan!], checkpoints: 2);
        _host.AddDevice(id, GpuPartitionSettingData.ClassName);
        return new(MachineName.Parse("odd"), "odd");
    }

    public override async Task<MachineRequest> GiveMachineWithStateAsync(CancellationToken stop)
    {
        await PrepareAsync(stop);
        return await GiveAsync("uefi", hasAgent: true, running: false, stop);
    }

    /// <summary>A running machine of the user's with a shape of its own.</summary>
    public async Task<MachineRequest> GiveMachineAsync(string name, int disks, int generation, CancellationToken stop)
    {
        await PrepareAsync(stop);
        return await GiveAsync(name, hasAgent: true, running: true, stop, disks, generation);
    }

    private async Task<MachineRequest> GiveAsync(string name, bool hasAgent, bool running, CancellationToken stop, int disks = 1, int generation = 2)
    {
        var id = _lab is null ? _host.AddMachine(name, [.. Enumerable.Repeat(DiskBytes, disks)], [_lan!], generation, memoryMegabytes: 64, checkpoints: 3) : await _lab.UpAsync(name, _lan!, stop);
        _host.SetAddress(id, 0, Network + (10 + _named++), gateway: Network + "1");
        _host.SetGuest(id, hasQuiescer: hasAgent, hasHeartbeat: hasAgent);
        if (running) await RequestAsync(id, 2, stop);
        return new(MachineName.Parse(name), _lab is null ? name : id.ToString());
    }

    private async Task PrepareAsync(CancellationToken stop)
    {
        if (_lan is not null) return;
        _lan = _host.AddSwitch("LAN", isInternal: true);
        var adapter = (await _host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetAdapter.ClassName).Where(NetAdapter.Name, "vEthernet (LAN)").ToString(), stop)).Single();
        await _host.Client.InvokeAsync(new CimPath(null, HostNamespaces.Standard, NetIPAddress.ClassName), NetIPAddress.Create(addressFamily: 2, interfaceIndex: adapter.Find(NetAdapter.InterfaceIndex), iPAddress: Network + "1", prefixLength: 24), stop);
        await _host.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, "users").With(NetNat.InternalIPInterfaceAddressPrefix, Network + "0/24"), stop);
        await _host.Files.CreateFolderAsync(HostPath.Folder(Image), stop);
        await VhdxWriter.CreateAsync(_host.Files.Local(Image), new(DiskBytes), stop);
        if (_record is null) return;
        await _context.Record.WriteAsync(_record, stop);
        Assert.Equal(_record.TestedAt, (await _context.Record.ReadAsync(stop)).TestedAt);
    }

    public override async Task MarkStateAsync(MachineRef machine, string text, CancellationToken stop) => _host.WriteFirmware(await IdOfAsync(machine, stop), Encoding.UTF8.GetBytes($"variables: {text}"));

    public override async Task<bool> HasMarkAsync(MachineRef machine, string text, CancellationToken stop) => Encoding.UTF8.GetString(_host.ReadFirmware(await IdOfAsync(machine, stop))).Contains(text, StringComparison.Ordinal);

    private async Task<Guid> IdOfAsync(MachineRef machine, CancellationToken stop) => (await _context.Machines.FindAsync(machine, stop))!.Id;

    public override Task<GuestAnswer?> AskAsync(string address, bool expected, CancellationToken stop) => Task.FromResult(Answer(_host.Behind(address)));

    public override Task<GuestAnswer?> AskPortAsync(int port, bool expected, CancellationToken stop) => Task.FromResult(Answer(_host.BehindPort(port)));

    private GuestAnswer? Answer(Guid? machine)
    {
        if (machine is not { } id || _host.Guest(id) is not { } guest) return null;
        Assert.False(guest.IsCorrupt, "the guest was resumed on disks that do not fit its memory");
        return new(guest.Boot.ToString(), [.. Orders(id)]);
    }

    private IEnumerable<string> Orders(Guid id)
    {
        var read = _host.ReadDisk(id, 0, 0, Sector * MostOrders);
        for (var i = 0; i < MostOrders && read[i * Sector] != 0; i++) yield return Encoding.UTF8.GetString(read.AsSpan(i * Sector, Sector)).TrimEnd('\0');
    }

    public override Task OrderAsync(string address, string order, CancellationToken stop)
    {
        var id = _host.Behind(address) ?? throw new InvalidOperationException($"Nothing answers at {address}.");
        Assert.True(_host.WriteAsGuest(id, 0, Orders(id).Count() * Sector, Encoding.UTF8.GetBytes(order)));
        return Task.CompletedTask;
    }

    public override string CopyPrefix => _options.Prefix;
    public override bool CountsFileSystems => false;
    public override bool PullsUnderRunningMachines => _options.AllowOutage;
    public override int ServicePort => 80;
    public override (int, int) FreePorts => (8081, 8082);

    public override int? TakePort()
    {
        _host.TakePort(8083);
        return 8083;
    }

    public override async Task KillAsync(MachineRef machine, CancellationToken stop) => await RequestAsync(await IdOfAsync(machine, stop), 3, stop);

    public Task RequestAsync(Guid id, ushort state, CancellationToken stop) =>
        _context.Jobs.RunAsync(_host.SystemOf(id), ComputerSystem.RequestStateChange(state), TimeSpan.FromMinutes(1), stop);

    public override IReadOnlyList<(string What, Func<CancellationToken, Task> Do)> Damages(FenceTag fence) =>
    [
        ("its switch is removed", async stop =>
        {
            var place = (await new HostSwitches(_context).OfFenceAsync(fence, stop)).Values.Single();
            await _context.Jobs.RunAsync(await _context.Services.SwitchesAsync(stop), VirtualEthernetSwitchManagementService.DestroySystem(place), TimeSpan.FromMinutes(1), stop);
        }),
        ("its gateway is turned off", async stop =>
        {
            var gateway = (await _context.Machines.ListAsync(stop)).Single(m => m.Mark is { Kind: MarkKind.Gateway } mark && mark.Key == fence.Text);
            await RequestAsync(gateway.Id, 3, stop);
        }),
    ];

    public override async ValueTask DisposeAsync()
    {
        Assert.Empty(await _context.Machines.ListPlannedAsync(CancellationToken.None));
        _lab?.RequireSameBox();
        Directory.Delete(_root, recursive: true);
    }
}
