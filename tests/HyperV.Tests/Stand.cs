using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>A simulated host on a clock of the test, with parts of the driver on it.</summary>
internal sealed class Stand : IDisposable
{
    public const string Image = @"C:\Images\gateway.vhdx";
    public const long Size = 16 << 20;
    private readonly string _root = Directory.CreateTempSubdirectory("wvhv").FullName;

    public Stand(SimulatedHostOptions? host = null, bool gateway = true, Func<HyperVOptions, HyperVOptions>? options = null)
    {
        Host = new(_root, Clock, host);
        var chosen = new HyperVOptions { Root = @"C:\Weave", GatewayImage = gateway ? Image : null };
        Options = options?.Invoke(chosen) ?? chosen;
        Options.Validate();
        Context = NewContext();
        if (gateway) MakeDisk(Image);
    }

    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2026, 11, 1, 0, 0, 0, TimeSpan.Zero));
    public SimulatedHost Host { get; }
    public HyperVOptions Options { get; }
    public DriverContext Context { get; }
    public static CancellationToken Stop => TestContext.Current.CancellationToken;

    public DriverContext NewContext() => new(Options, Host.Client, Host.Files, Clock, NullLoggerFactory.Instance);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    public async Task<T> Drive<T>(Task<T> run)
    {
        await Eventually.EndsAsync(run, () => Clock.Advance(TimeSpan.FromMilliseconds(200)));
        return await run;
    }

    public async Task Drive(Task run)
    {
        await Eventually.EndsAsync(run, () => Clock.Advance(TimeSpan.FromMilliseconds(200)));
        await run;
    }

    public async Task<Fault> FaultOf(Func<Task> act) => (await Assert.ThrowsAsync<WeaveException>(() => Drive(act()))).Fault;

    public async Task<CimPath> ServiceAsync(string className) => Assert.Single(await Host.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(className).ToString(), Stop)).Reference;

    /// <summary>The Nth call of a name goes wrong, once, while something is done, which may fail or not. Fails where there was no such call.</summary>
    public static async Task OnceAsync(SimulatedHost host, string call, int nth, CallFault fault, Func<Task> act)
    {
        host.Faults.Forget();
        host.Faults.Add(call, nth, fault);
        try
        {
            await act();
        }
        catch (WeaveException)
        {
        }
        Assert.True(host.Faults.Calls.GetValueOrDefault(call) >= nth);
        host.Faults.Forget();
    }

    public Task PowerAsync(Guid id, ushort state) => Drive(Context.Jobs.RunAsync(Host.SystemOf(id), ComputerSystem.RequestStateChange(state), TimeSpan.FromMinutes(1), Stop));

    /// <summary>A machine of a user's, or, with a mark, a copy of ours.</summary>
    public async Task<MachineRef> MachineAsync(string name, IReadOnlyList<CimPath>? switches = null, bool running = true, int generation = 2, int disks = 1, Guid? copyOf = null)
    {
        var id = Host.AddMachine(name, [.. Enumerable.Repeat(Size, disks)], switches, generation);
        if (copyOf is { } uuid)
        {
            var settings = (await Context.Machines.FindAsync(id, Stop))!.Settings;
            await Drive(Context.Jobs.RunAsync(await ServiceAsync(VirtualSystemManagementService.ClassName), VirtualSystemManagementService.ModifySystemSettings(new CimObject(VirtualSystemSettingData.ClassName)
                .With(VirtualSystemSettingData.InstanceID, settings.Get(VirtualSystemSettingData.InstanceID)).With(VirtualSystemSettingData.Notes, new OwnedMark(Options.Prefix, MarkKind.Copy, uuid.ToString("D"), "env/w/web").ToNotes())), TimeSpan.FromMinutes(1), Stop));
        }
        if (running) await PowerAsync(id, 2);
        return new(MachineName.Parse("web"), name, copyOf ?? id);
    }

    public async Task<MachineParts> PartsAsync(MachineRef machine) => await Context.Machines.ReadAsync((await Context.Machines.FindAsync(machine, Stop))!.Settings, Stop);

    public void MakeDisk(string path)
    {
        Host.Files.CreateFolderAsync(HostPath.Folder(path), Stop).GetAwaiter().GetResult();
        VhdxWriter.CreateAsync(Host.Files.Local(path), new(Size), Stop).GetAwaiter().GetResult();
    }
}
