using System.Globalization;
using WeaveHypervisor.HyperV.Capturing;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.SelfTest;

/// <summary>A machine of the self-test.</summary>
/// <param name="Disk">The file that its one disk was made with.</param>
/// <param name="Pipe">Where its guest is heard; null: there is none.</param>
internal sealed record TrialMachine(Guid Id, CimPath System, string Folder, string Disk, string? Pipe = null);

/// <summary>
/// Makes the self-test's own things: each bears the mark <see cref="MarkKind.Trial"/> from the call that makes it, and its files are below <see cref="Root"/>, so that <see cref="TrialSweep"/> finds all of them.
/// Errors are <see cref="HostException"/>s, <see cref="CimException"/>s and, where the host shows nothing, <see cref="WeaveException"/>s.
/// </summary>
internal sealed class TrialThings(DriverContext context)
{
    private const ushort StartNothing = 2, TurnOffAtShutdown = 2;
    private const ushort Dynamic = 3, Vhdx = 3;
    private const ulong Megabytes = 64, DiskBytes = 16 << 20;
    private readonly DiskFiles _disks = new(context);

    /// <summary>Copies and saves write memory of 64 MB: minutes mean that the host is at something else, or hangs.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromMinutes(3);
    private int _named;

    /// <summary>Everything of the self-test is below this folder; nothing else is.</summary>
    public static string Root(DriverContext context) => HostPath.Join(context.Options.Root, "self-test");

    /// <summary>Name of all of its machines and switches.</summary>
    public static string Name(DriverContext context) => context.Options.Prefix + "-self-test";

    public DriverContext Context => context;

    /// <summary>A path below <see cref="Root"/> that nothing has been at.</summary>
    public string Fresh(string stem = "") => HostPath.Join(Root(context), $"{stem}{Interlocked.Increment(ref _named).ToString(CultureInfo.InvariantCulture)}");

    public string[] Notes() => new OwnedMark(context.Options.Prefix, MarkKind.Trial, "self-test", "self-test").ToNotes();

    public Task<JobOutcome> OnSystemsAsync(CimCall call, CancellationToken stop, bool readMessages = false) => RunAsync(context.Services.SystemsAsync(stop), call, stop, readMessages);
    public Task<JobOutcome> OnSnapshotsAsync(CimCall call, CancellationToken stop) => RunAsync(context.Services.SnapshotsAsync(stop), call, stop);
    public Task<JobOutcome> OnImagesAsync(CimCall call, CancellationToken stop) => RunAsync(context.Services.ImagesAsync(stop), call, stop);
    public Task<JobOutcome> OnSwitchesAsync(CimCall call, CancellationToken stop) => RunAsync(context.Services.SwitchesAsync(stop), call, stop);

    private async Task<JobOutcome> RunAsync(Task<CimPath> service, CimCall call, CancellationToken stop, bool readMessages = false) => await context.Jobs.RunAsync(await service, call, Deadline, stop, readMessages: readMessages);

    /// <summary>What a call has made: named in its answer where it was done at once, associated to its job otherwise.</summary>
    public async Task<CimPath> MadeAsync(JobOutcome outcome, string parameter, string className, CancellationToken stop) =>
        outcome.Answer.Get(new CimProperty<CimPath>(parameter)) is { } named ? named
        : outcome.Job is { } job && (await context.Jobs.ResultsAsync(job.Reference, className, stop)) is [{ } made, ..] ? made.Reference
        : throw new HostException(HostErrorKind.Failed, $"The host does not say what it made as {className}");

    /// <summary>A private switch: nothing beyond it can be reached.</summary>
    public async Task<CimPath> SwitchAsync(CancellationToken stop) => await MadeAsync(
        await OnSwitchesAsync(VirtualEthernetSwitchManagementService.DefineSystem(systemSettings: new CimObject(VirtualEthernetSwitchSettingData.ClassName)
            .With(VirtualEthernetSwitchSettingData.ElementName, Name(context)).With(VirtualEthernetSwitchSettingData.Notes, Notes())), stop), "ResultingSystem", VirtualEthernetSwitch.ClassName, stop);

    /// <summary>Settings of a place that are the same for machines and for what is imported: all files in one folder, nothing by itself, our mark.</summary>
    public CimObject Placed(CimObject settings, string folder) => MachineEditor.In(folder, settings)
        .With(VirtualSystemSettingData.ElementName, Name(context)).With(VirtualSystemSettingData.Notes, Notes())
        .With(VirtualSystemSettingData.AutomaticStartupAction, StartNothing).With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, false);

    /// <summary>A machine that is off: second generation, 64 MB, one disk, one adapter with a static address on a private switch, standard checkpoints. No guest is in it.</summary>
    /// <param name="disk">Its disk; null: a new one of 16 MB.</param>
    public async Task<TrialMachine> MachineAsync(CancellationToken stop, string? disk = null) => await MakeAsync(HardwareKinds.SecondGeneration, disk, stop);

    /// <summary>The same of the first generation, with a guest that counts in its memory (<see cref="CountingSector"/>) and is heard at a pipe.</summary>
    public async Task<TrialMachine> CountingMachineAsync(CancellationToken stop)
    {
        var disk = Fresh("counter") + ".vhdx";
        await context.Files.CreateFolderAsync(HostPath.Folder(disk), stop);
        await _disks.WriteAsync(disk, (long)DiskBytes, CountingSector.Bytes, stop);
        var machine = await MakeAsync(HardwareKinds.FirstGeneration, disk, stop);
        return machine with { Pipe = await OpenPipeAsync(await SettingsAsync(machine.System, stop), stop) };
    }

    /// <summary>Leads COM1 of a machine that is off, or is being imported, to a pipe of its own; null where it has no serial port.</summary>
    public async Task<string?> OpenPipeAsync(CimObject settings, CancellationToken stop)
    {
        if ((await PartsAsync(settings, SerialPortSettingData.ClassName, stop)).OrderBy(p => p.Get(SerialPortSettingData.InstanceID), StringComparer.OrdinalIgnoreCase).FirstOrDefault() is not { } port) return null;
        var pipe = $@"\\.\pipe\{Name(context)}-{Guid.NewGuid():N}";
        await ChangeAsync(port, p => p.With(SerialPortSettingData.Connection, [pipe]), stop);
        return pipe;
    }

    /// <summary>The newest line of the guest at a pipe; null where none is heard for half a minute, which is longer than a machine takes to its first one.</summary>
    public async Task<CounterLine?> HearAsync(string? pipe, CancellationToken stop)
    {
        if (pipe is null) return null;
        for (var attempt = 0; attempt < 3; attempt++)
            if (CountingSector.Last(await context.Files.ListenAsync(pipe, 2 * CountingSector.LineBytes, TimeSpan.FromSeconds(10), stop)) is { } line) return line;
        return null;
    }

    private async Task<TrialMachine> MakeAsync(string generation, string? disk, CancellationToken stop)
    {
        var folder = Fresh("machine");
        await context.Files.CreateFolderAsync(folder, stop);
        var settings = Placed(new CimObject(VirtualSystemSettingData.ClassName), folder).With(VirtualSystemSettingData.VirtualSystemSubType, generation)
            .With(VirtualSystemSettingData.UserSnapshotType, Checkpoints.Standard).With(VirtualSystemSettingData.AutomaticShutdownAction, TurnOffAtShutdown);
        var system = await MadeAsync(await OnSystemsAsync(VirtualSystemManagementService.DefineSystem(systemSettings: settings), stop), "ResultingSystem", ComputerSystem.ClassName, stop);
        var own = await SettingsAsync(system, stop);
        var memory = (await PartsAsync(own, MemorySettingData.ClassName, stop))[0];
        await ChangeAsync(memory, m => m.With(MemorySettingData.VirtualQuantity, Megabytes).With(MemorySettingData.Reservation, Megabytes).With(MemorySettingData.Limit, Megabytes).With(MemorySettingData.DynamicMemoryEnabled, false), stop);
        if (disk is null)
        {
            disk = HostPath.Join(folder, "disk.vhdx");
            await CreateDiskAsync(disk, null, stop);
        }
        var controller = generation == HardwareKinds.SecondGeneration ? await AddAsync(own, await TemplateAsync(ResourceAllocationSettingData.ClassName, HardwareKinds.Scsi, stop), stop)
            : (await PartsAsync(own, ResourceAllocationSettingData.ClassName, stop)).FirstOrDefault(p => p.Get(ResourceAllocationSettingData.ResourceSubType) == HardwareKinds.Ide && p.Get(ResourceAllocationSettingData.Address) == "0")?.Reference
                ?? throw new HostException(HostErrorKind.NotFound, "A machine of the first generation has no IDE controller");
        var drive = await AddAsync(own, (await TemplateAsync(ResourceAllocationSettingData.ClassName, HardwareKinds.DiskDrive, stop))
            .With(ResourceAllocationSettingData.Parent, controller.ToString()).With(ResourceAllocationSettingData.AddressOnParent, "0"), stop);
        await AddAsync(own, (await TemplateAsync(StorageAllocationSettingData.ClassName, HardwareKinds.HardDisk, stop))
            .With(StorageAllocationSettingData.Parent, drive.ToString()).With(StorageAllocationSettingData.HostResource, [disk]), stop);
        // A locally administered address: none that the host gives out.
        var mac = "02" + Convert.ToHexString(Guid.NewGuid().ToByteArray().AsSpan(0, 5));
        var nic = await AddAsync(own, (await TemplateAsync(SyntheticEthernetPortSettingData.ClassName, HardwareKinds.Adapter, stop)).With(SyntheticEthernetPortSettingData.ElementName, "Network Adapter")
            .With(SyntheticEthernetPortSettingData.Address, mac).With(SyntheticEthernetPortSettingData.StaticMacAddress, true)
            .With(SyntheticEthernetPortSettingData.VirtualSystemIdentifiers, [Guid.NewGuid().ToString("B")]), stop);
        await AddAsync(own, (await TemplateAsync(EthernetPortAllocationSettingData.ClassName, HardwareKinds.Connection, stop))
            .With(EthernetPortAllocationSettingData.Parent, nic.ToString()).With(EthernetPortAllocationSettingData.HostResource, [(await SwitchAsync(stop)).ToString()]), stop);
        return new(Guid.Parse(system[ComputerSystem.Name.Name]!), system, folder, disk);
    }

    public async Task<CimObject> SettingsAsync(CimPath system, CancellationToken stop) =>
        (await context.Client.AssociatorsAsync(system, SettingsDefineState.ClassName, VirtualSystemSettingData.ClassName, null, null, stop)) is [{ } settings, ..] ? settings
        : throw new HostException(HostErrorKind.NotFound, $"{system} has no settings");

    /// <summary>Components of one class of a machine's or checkpoint's settings.</summary>
    public Task<IReadOnlyList<CimObject>> PartsAsync(CimObject settings, string className, CancellationToken stop) =>
        context.Client.AssociatorsAsync(settings.Reference, VirtualSystemSettingDataComponent.ClassName, className, null, null, stop);

    /// <summary>The disks' settings of a machine or checkpoint.</summary>
    public async Task<IReadOnlyList<CimObject>> DisksAsync(CimObject settings, CancellationToken stop) =>
        [.. (await PartsAsync(settings, StorageAllocationSettingData.ClassName, stop)).Where(MachineParts.IsDisk)];

    public static string FileOf(CimObject disk) => disk.List(StorageAllocationSettingData.HostResource) is [{ } file, ..] ? file : throw new HostException(HostErrorKind.NotFound, "A disk names no file");

    /// <summary>Sends some members of settings with the InstanceID that says which they are.</summary>
    public Task ChangeAsync(CimObject settings, Func<CimObject, CimObject> change, CancellationToken stop)
    {
        var part = change(MachineEditor.Of(settings));
        return OnSystemsAsync(settings.ClassName == VirtualSystemSettingData.ClassName ? VirtualSystemManagementService.ModifySystemSettings(part) : VirtualSystemManagementService.ModifyResourceSettings([part]), stop);
    }

    private async Task<CimPath> AddAsync(CimObject settings, CimObject resource, CancellationToken stop)
    {
        var outcome = await OnSystemsAsync(VirtualSystemManagementService.AddResourceSettings(settings.Reference, [resource]), stop);
        return outcome.Answer.Get(VirtualSystemManagementService.AddResourceSettingsAnswer.ResultingResourceSettings) is [{ } made, ..] ? made : await MadeAsync(outcome, "", resource.ClassName, stop);
    }

    private async Task<CimObject> TemplateAsync(string className, string kind, CancellationToken stop) =>
        await HardwareKinds.TemplateAsync(context.Client, className, kind, stop) ?? throw new HostException(HostErrorKind.NotFound, $"The host has no template of '{kind}'");

    /// <summary>A new disk file: one of 16 MB, or an empty layer on a parent.</summary>
    public Task CreateDiskAsync(string path, string? parent, CancellationToken stop) => OnImagesAsync(ImageManagementService.CreateVirtualHardDisk(parent is not null ? DiskFiles.LayerOn(parent, path)
        : new CimObject(VirtualHardDiskSettingData.ClassName).With(VirtualHardDiskSettingData.Format, Vhdx).With(VirtualHardDiskSettingData.Path, path)
            .With(VirtualHardDiskSettingData.Type, Dynamic).With(VirtualHardDiskSettingData.MaxInternalSize, DiskBytes)
            .With(VirtualHardDiskSettingData.BlockSize, 0u).With(VirtualHardDiskSettingData.LogicalSectorSize, 0u).With(VirtualHardDiskSettingData.PhysicalSectorSize, 0u)), stop);

    /// <summary>What a disk file says of itself.</summary>
    public Task<CimObject> ReadDiskAsync(string path, CancellationToken stop) => _disks.ReadAsync(path, stop);

    /// <summary>A disk file and all that it stands on.</summary>
    public Task<IReadOnlyList<string>> ChainAsync(string path, CancellationToken stop) => _disks.ChainAsync(path, stop);

    /// <summary>Asks for a run state and waits until it is there.</summary>
    public async Task<JobOutcome> RequestAsync(CimPath system, ushort request, ushort state, CancellationToken stop)
    {
        var outcome = await context.Jobs.RunAsync(system, ComputerSystem.RequestStateChange(request), Deadline, stop, retryBusy: false);
        await context.Jobs.WaitForAsync(system, s => s.Find(ComputerSystem.EnabledState) == state, $"State {state} of {system[ComputerSystem.Name.Name]}", Deadline, stop);
        return outcome;
    }

    /// <summary>Makes a checkpoint and answers its settings.</summary>
    public async Task<CimObject> CheckAsync(TrialMachine machine, CancellationToken stop, ushort type = Checkpoints.Full)
    {
        var made = await MadeAsync(await OnSnapshotsAsync(VirtualSystemSnapshotService.CreateSnapshot(affectedSystem: machine.System, snapshotType: type), stop), "ResultingSnapshot", VirtualSystemSettingData.ClassName, stop);
        return await context.Client.GetAsync(made, stop);
    }
}
