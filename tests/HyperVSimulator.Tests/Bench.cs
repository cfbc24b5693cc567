using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>A simulated host on a clock of the test, with the calls that drivers make of it, in short.</summary>
public sealed class Bench : IDisposable
{
    public const string V2 = @"root\virtualization\v2";
    public const long Size = 16 << 20;
    private readonly string _root = Directory.CreateTempSubdirectory("wvhv").FullName;

    public Bench(SimulatedHostOptions? options = null)
    {
        Host = new(_root, Clock, options);
        Jobs = new(Host.Client, Clock);
    }

    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2026, 11, 1, 0, 0, 0, TimeSpan.Zero));
    public SimulatedHost Host { get; }
    public HostJobs Jobs { get; }
    public ICimClient Client => Host.Client;
    public static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    public void Wait(double seconds) => Clock.Advance(TimeSpan.FromSeconds(seconds));

    public async Task<T> Drive<T>(Task<T> run)
    {
        await Eventually.EndsAsync(run, () => Clock.Advance(TimeSpan.FromMilliseconds(200)));
        return await run;
    }

    public Task<JobOutcome> RunAsync(CimPath target, CimCall call, double seconds = 60, bool retryBusy = false, bool readMessages = false) =>
        Drive(Jobs.RunAsync(target, call, TimeSpan.FromSeconds(seconds), Stop, retryBusy, readMessages));

    public Task<HostException> FailsAsync(CimPath target, CimCall call, double seconds = 60) => Assert.ThrowsAsync<HostException>(() => RunAsync(target, call, seconds));

    /// <summary>What a call is answered with, without waiting for its job.</summary>
    public async Task<uint> AnswerAsync(CimPath target, CimCall call) => (await Client.InvokeAsync(target, call, Stop)).ReturnValue;

    public async Task<CimPath> ServiceAsync(string className) => Assert.Single(await Client.QueryAsync(V2, Wql.From(className).ToString(), Stop)).Reference;
    public Task<CimPath> Vms => ServiceAsync(VirtualSystemManagementService.ClassName);
    public Task<CimPath> Sns => ServiceAsync(VirtualSystemSnapshotService.ClassName);
    public Task<CimPath> Ims => ServiceAsync(ImageManagementService.ClassName);
    public Task<CimPath> Sws => ServiceAsync(VirtualEthernetSwitchManagementService.ClassName);

    public async Task<Guid> MachineAsync(string name = "web", int disks = 1, bool running = true, int generation = 2, ushort checkpoints = 5, IReadOnlyList<CimPath>? switches = null)
    {
        var id = Host.AddMachine(name, [.. Enumerable.Repeat(Size, disks)], switches, generation, checkpoints: checkpoints);
        if (running) await PowerAsync(id, 2);
        return id;
    }

    public CimPath System(Guid id) => CimPath.To(Host.Options.Name, V2, ComputerSystem.ClassName, ("CreationClassName", ComputerSystem.ClassName), ("Name", id.ToString().ToUpperInvariant()));

    public Task<JobOutcome> PowerAsync(Guid id, ushort state) => RunAsync(System(id), ComputerSystem.RequestStateChange(state));

    public async Task<CimObject> SettingsAsync(CimPath system) => Assert.Single(await Client.AssociatorsAsync(system, SettingsDefineState.ClassName, VirtualSystemSettingData.ClassName, null, null, Stop));
    public Task<CimObject> SettingsAsync(Guid id) => SettingsAsync(System(id));

    public async Task<IReadOnlyList<CimObject>> ResourcesAsync(CimObject settings, string className) =>
        await Client.AssociatorsAsync(settings.Reference, VirtualSystemSettingDataComponent.ClassName, className, null, null, Stop);

    public async Task<string> LeafAsync(CimObject settings, int disk = 0) => (await ResourcesAsync(settings, StorageAllocationSettingData.ClassName))[disk].List(StorageAllocationSettingData.HostResource)[0];
    public async Task<string> LeafAsync(Guid id, int disk = 0) => await LeafAsync(await SettingsAsync(id), disk);

    /// <summary>Makes a checkpoint and answers its settings.</summary>
    public async Task<CimObject> CheckAsync(Guid id, ushort type = 2)
    {
        var outcome = await RunAsync(await Sns, VirtualSystemSnapshotService.CreateSnapshot(affectedSystem: System(id), snapshotType: type));
        return Assert.Single(await Jobs.ResultsAsync(outcome.Job!.Reference, VirtualSystemSettingData.ClassName, Stop));
    }

    public async Task<JobOutcome> CreateChildAsync(string path, string parent) => await RunAsync(await Ims, ImageManagementService.CreateVirtualHardDisk(new CimObject(VirtualHardDiskSettingData.ClassName)
        .With(VirtualHardDiskSettingData.Type, (ushort)4).With(VirtualHardDiskSettingData.Format, (ushort)3).With(VirtualHardDiskSettingData.Path, path).With(VirtualHardDiskSettingData.ParentPath, parent)));

    public async Task<JobOutcome> ExportAsync(Guid id, string folder, byte mode, CimObject? point = null, bool runtime = true, bool storage = false) =>
        await RunAsync(await Vms, VirtualSystemManagementService.ExportSystemDefinition(computerSystem: System(id), exportDirectory: folder, exportSettingData: Export(mode, point, runtime, storage)));

    public static CimObject Export(byte mode, CimObject? point = null, bool runtime = true, bool storage = false) => new CimObject(VirtualSystemExportSettingData.ClassName)
        .With(VirtualSystemExportSettingData.CopySnapshotConfiguration, mode).With(VirtualSystemExportSettingData.CopyVmRuntimeInformation, runtime).With(VirtualSystemExportSettingData.CopyVmStorage, storage)
        .With(VirtualSystemExportSettingData.CreateVmExportSubdirectory, false).With(VirtualSystemExportSettingData.SnapshotVirtualSystem, point?.Reference.ToString());

    public async Task<CimObject> ImportAsync(string file, bool fresh = true, string? snapshots = null)
    {
        var outcome = await RunAsync(await Vms, VirtualSystemManagementService.ImportSystemDefinition(generateNewSystemIdentifier: fresh, snapshotFolder: snapshots, systemDefinitionFile: file));
        return Assert.Single(await Jobs.ResultsAsync(outcome.Job!.Reference, PlannedComputerSystem.ClassName, Stop));
    }

    public async Task ModifyAsync(CimObject settings, Func<CimObject, CimObject> change)
    {
        var partial = change(new CimObject(settings.ClassName).With(VirtualSystemSettingData.InstanceID, settings.Get(VirtualSystemSettingData.InstanceID)));
        await RunAsync(await Vms, settings.ClassName == VirtualSystemSettingData.ClassName ? VirtualSystemManagementService.ModifySystemSettings(partial) : VirtualSystemManagementService.ModifyResourceSettings([partial]));
    }

    /// <summary>All of an import of one definition: a child for each disk, its own switch, its own folder; realized. Answers the id.</summary>
    public async Task<Guid> WeaveAsync(string definition, string folder, CimPath? place = null)
    {
        var planned = await ImportAsync(definition);
        var settings = await SettingsAsync(planned.Reference);
        await ModifyAsync(settings, s => s.With(VirtualSystemSettingData.ConfigurationDataRoot, folder).With(VirtualSystemSettingData.SnapshotDataRoot, folder).With(VirtualSystemSettingData.SuspendDataRoot, folder).With(VirtualSystemSettingData.Notes, ["weave"]));
        await Host.Files.CreateFolderAsync(folder, Stop);
        foreach (var disk in await ResourcesAsync(settings, StorageAllocationSettingData.ClassName))
        {
            var child = HostPath.Join(folder, Guid.NewGuid().ToString() + ".vhdx");
            await CreateChildAsync(child, disk.List(StorageAllocationSettingData.HostResource)[0]);
            await ModifyAsync(disk, d => d.With(StorageAllocationSettingData.HostResource, [child]));
        }
        foreach (var connection in place is null ? [] : await ResourcesAsync(settings, EthernetPortAllocationSettingData.ClassName))
            await ModifyAsync(connection, c => c.With(EthernetPortAllocationSettingData.HostResource, [place!.ToString()]).With(EthernetPortAllocationSettingData.EnabledState, (ushort)2));
        var outcome = await RunAsync(await Vms, VirtualSystemManagementService.RealizePlannedSystem(planned.Reference));
        return Guid.Parse(Assert.Single(await Jobs.ResultsAsync(outcome.Job!.Reference, ComputerSystem.ClassName, Stop)).Get(ComputerSystem.Name)!);
    }
}
