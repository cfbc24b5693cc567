using System.Security.Cryptography;
using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Exporting;

/// <summary>Refuses, before anything is made, what cannot be exported or written.</summary>
internal sealed class CheckExport(Bench bench) : IStep<ExportPlan>
{
    public string Name => "check";

    public async Task DoAsync(StepContext<ExportPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        Exports(bench);
        plan.FolderWasThere = ExportFolder.CheckNew(plan.Folder, (await bench.Driver.InspectStorageAsync(stop)).Path);
        if (plan.Capture is not null) return;
        var snapshot = await bench.Store.GetSnapshotAsync(plan.Snapshot, stop);
        if (snapshot.State != SnapshotState.Ready) throw new WeaveException(Fault.Conflict, $"Snapshot '{plan.Snapshot}' is being deleted.", $"Choose another with `weave timeline {plan.Environment}`.");
        await HistoryFiles.RequireAsync(bench, snapshot, await bench.Store.LayersByIdAsync(plan.Environment, stop), memory: false, stop);
    }

    public Task UndoAsync(StepContext<ExportPlan> context, CancellationToken stop) => Task.CompletedTask;

    internal static IMachineExports Exports(Bench bench) => bench.Driver.Facet<IMachineExports>()
        ?? throw new WeaveException(Fault.Unsupported, "The hypervisor's driver cannot export machines.", "Use a host of another hypervisor.");
}

/// <summary>Writes a box for each machine into a folder beside the one that is to be: images of its frozen layers, which nobody writes to any more.</summary>
internal sealed class WriteBoxes(Bench bench) : IStep<ExportPlan>
{
    public string Name => "write";

    public async Task DoAsync(StepContext<ExportPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var exports = CheckExport.Exports(bench);
        var snapshot = await bench.Store.GetSnapshotAsync(plan.Snapshot, stop);
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        await CheckSpaceAsync(exports, plan, snapshot, layers, stop);
        ExportFolder.Make(plan.Staging);
        ExportFolder.Make(Path.Combine(plan.Staging, "boxes"));
        foreach (var machine in snapshot.Blueprint.Machines)
        {
            if (plan.Machines.Any(m => m.Name == machine.Name && IsWhole(plan, m.Box))) continue;
            plan.Machines.RemoveAll(m => m.Name == machine.Name);
            plan.Machines.Add(await WriteAsync(exports, context, snapshot, machine, layers, stop));
            await context.SavePlanAsync(stop);
        }
        context.Note = $"{plan.Machines.Count} boxes, {SpaceGuard.Mib(plan.Machines.Sum(m => m.Box.Bytes))}";
    }

    private static bool IsWhole(ExportPlan plan, ExportedFile box) => new FileInfo(Path.Combine(plan.Staging, box.Path)) is { Exists: true } file && file.Length == box.Bytes;

    private async Task<ExportedMachine> WriteAsync(IMachineExports exports, StepContext<ExportPlan> context, Snapshot snapshot, MachineBlueprint machine, IReadOnlyDictionary<LayerId, Layer> layers, CancellationToken stop)
    {
        var plan = context.Plan;
        var shape = exports.Describe(machine);
        var frozen = snapshot.Machines.First(m => m.Name == machine.Name).Frozen;
        var work = Path.Combine(plan.Staging, "images");
        ExportFolder.Make(work);
        var (volumes, entries) = (new List<ExportedVolume>(), new List<(string, string)>());
        var hyperv = plan.Provider == ExportProvider.Hyperv;
        if (hyperv)
        {
            var configuration = Path.Combine(work, "box.xml");
            DurableFile.Write(configuration, file => file.Write(Encoding.UTF8.GetBytes(HyperVText.MachineXml($"{plan.Environment}-{plan.Export}-{machine.Name}", shape.Firmware, machine.VirtualCpus, machine.MemoryBytes))));
            entries.Add((HyperVText.Configuration, configuration));
        }
        foreach (var disk in shape.Disks)
        {
            var volume = machine.Volumes.First(v => v.Name == disk.Volume);
            var image = hyperv ? HyperVText.ImageOf(volumes.Count + 1) : $"disk{volumes.Count + 1}.img";
            var path = Path.Combine(work, Path.GetFileName(image));
            context.Progress.Report(new($"writing an image of {machine.Name}/{disk.Volume}"));
            await exports.WriteImageAsync(layers.Get(frozen.First(f => f.Volume == disk.Volume).Layer).ToRef(), FormatOf(plan), path, new Named(context, $"writing an image of {machine.Name}/{disk.Volume}"), stop);
            var (size, digest) = await BoxFile.HashAsync(path, null, stop);
            volumes.Add(new(disk.Volume, volume.Target, disk.Bus, volume.VirtualSize, image, size, digest));
            entries.Add((image, path));
        }
        var box = $"boxes/{machine.Name}.box";
        var total = volumes.Sum(v => v.Bytes);
        var (bytes, sha256) = await BoxFile.WriteAsync(Path.Combine(plan.Staging, box), hyperv ? HyperVText.Metadata : VagrantText.BoxMetadata(volumes.Select(v => v.Image)), entries, hyperv, snapshot.At, new BytesTold(context.Progress, $"packing the box of {machine.Name}", 0, total), stop);
        ExportFolder.Remove(work);
        return new()
        {
            Name = machine.Name, MemoryBytes = machine.MemoryBytes, VirtualCpus = machine.VirtualCpus, Firmware = shape.Firmware, Chipset = shape.Chipset, Box = new(box, bytes, sha256), Volumes = volumes,
            Nics = shape.Nics, VagrantFolder = shape.VagrantFolder,
        };
    }

    private static DiskFormat FormatOf(ExportPlan plan) => plan.Provider == ExportProvider.Hyperv ? DiskFormat.Vhdx : DiskFormat.Qcow2;

    /// <summary>All boxes, and beside them the images of the one machine that is being packed.</summary>
    private async Task CheckSpaceAsync(IMachineExports exports, ExportPlan plan, Snapshot snapshot, IReadOnlyDictionary<LayerId, Layer> layers, CancellationToken stop)
    {
        long all = 0, most = 0;
        foreach (var machine in snapshot.Machines.Where(m => plan.Machines.All(p => p.Name != m.Name)))
        {
            long one = 0;
            foreach (var head in machine.Frozen) one += await exports.MeasureImageAsync(layers.Get(head.Layer).ToRef(), FormatOf(plan), stop);
            (all, most) = (all + one, Math.Max(most, one));
        }
        var storage = await exports.InspectFolderAsync(Path.GetDirectoryName(plan.Folder)!, stop);
        var left = bench.Options.ReservedBytes;
        if (storage.FreeBytes - all - most >= left) return;
        throw new WeaveException(Fault.Exhausted, $"The export of '{plan.Environment}' may need {SpaceGuard.Mib(all + most)}, and {SpaceGuard.Mib(left)} must stay free, but the file system of {Ids.QuotePath(storage.Path)} has only {SpaceGuard.Mib(storage.FreeBytes)} free.",
            "Free space there, or export to another file system.");
    }

    public Task UndoAsync(StepContext<ExportPlan> context, CancellationToken stop)
    {
        ExportFolder.Remove(context.Plan.Staging);
        context.Plan.Machines.Clear();
        return Task.CompletedTask;
    }

    private sealed class Named(StepContext<ExportPlan> context, string what) : IProgress<Progress>
    {
        public void Report(Progress value) => context.Progress.Report(new(what, value.Done, value.Total));
    }
}

/// <summary>Tells of bytes as progress of a step.</summary>
/// <param name="before">Bytes that were dealt with before the first of these.</param>
internal sealed class BytesTold(IProgress<StepProgress> progress, string what, long before, long total) : IProgress<long>
{
    public void Report(long value) => progress.Report(new(what, Math.Min(before + value, total), total));
}

/// <summary>Adds what describes the boxes, and gives the folder its name: from here on it is there, whole.</summary>
internal sealed class PublishExport(Bench bench) : IStep<ExportPlan>
{
    public string Name => "publish";

    public async Task DoAsync(StepContext<ExportPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var snapshot = await bench.Store.GetSnapshotAsync(plan.Snapshot, stop);
        if (Directory.Exists(plan.Staging))
        {
            plan.Machines = [.. plan.Machines.Select(m => m with { Key = WriteKey(plan, m) })];
            await context.SavePlanAsync(stop);
        }
        var manifest = ManifestOf(plan, snapshot);
        if (Directory.Exists(plan.Staging))
        {
            var vagrantfile = Encoding.UTF8.GetBytes(plan.Provider == ExportProvider.Hyperv ? HyperVText.Vagrantfile(manifest) : VagrantText.Vagrantfile(manifest));
            var path = Path.Combine(plan.Staging, "Vagrantfile");
            DurableFile.Write(path, file => file.Write(vagrantfile));
            var (bytes, sha256) = await BoxFile.HashAsync(path, null, stop);
            manifest = manifest with { Files = [new("Vagrantfile", bytes, sha256)] };
            DurableFile.Write(Path.Combine(plan.Staging, ExportManifest.FileName), file => file.Write(Encoding.UTF8.GetBytes(manifest.ToJson())));
        }
        ExportFolder.Publish(plan.Staging, plan.Folder);
        plan.Result = new(plan.Environment, snapshot.Weave, snapshot.Id, plan.Capture is null, snapshot.At, manifest.Consistency, plan.Folder, plan.Provider, plan.Machines.Sum(m => m.Box.Bytes),
            [.. plan.Machines.Select(m => m.Name)], manifest.NotCarried);
        context.Note = plan.Folder;
    }

    private static ExportedFile? WriteKey(ExportPlan plan, ExportedMachine machine)
    {
        if (machine.VagrantFolder is not { } folder || ExportKeys.Read(folder, machine.Name) is not { } key) return null;
        var path = ExportKeys.PathOf(machine.Name);
        ExportFolder.Make(Path.Combine(plan.Staging, Path.GetDirectoryName(path)!));
        DurableFile.Write(Path.Combine(plan.Staging, path), file => file.Write(key));
        return new(path, key.Length, Convert.ToHexStringLower(SHA256.HashData(key)));
    }

    private ExportManifest ManifestOf(ExportPlan plan, Snapshot snapshot)
    {
        var exports = CheckExport.Exports(bench);
        List<string> missing = [.. snapshot.Machines.Where(m => m.Memory is not null || m.RunState != RunState.Off).Select(m => $"{m.Name}: its memory at that instant: it boots")];
        foreach (var machine in snapshot.Blueprint.Machines) missing.AddRange(exports.Describe(machine).NotCarried.Select(n => $"{machine.Name}: {n}"));
        if (plan.Provider == ExportProvider.Hyperv) missing.AddRange(plan.Machines.Select(m => $"{m.Name}: the kinds of its disks and network interfaces: they are Hyper-V's, and have other names in the guest"));
        else foreach (var machine in plan.Machines.Where(m => m.Volumes.Select(v => v.Bus).Distinct().Count() > 1)) missing.Add($"{machine.Name}: different buses of its disks: all are on {machine.Volumes[0].Bus}");
        foreach (var machine in plan.Machines.Where(m => plan.Provider == ExportProvider.Libvirt && m.Nics.Select(n => n.Model).Distinct().Count() > 1)) missing.Add($"{machine.Name}: different models of its network interfaces: all are {machine.Nics[0].Model}");
        missing.AddRange(plan.Machines.Where(m => m is { VagrantFolder: not null, Key: null }).Select(m => $"{m.Name}: a key of its own to log in by: put it into {ExportKeys.PathOf(m.Name)} where it has one"));
        foreach (var network in snapshot.Blueprint.Networks.Where(n => n.Dhcp && n.Hosts.Any(h => h.Mac is not null))) missing.Add($"network {network.Name}: its fixed DHCP entries, in the Vagrantfile");
        if (!snapshot.Blueprint.Rules.IsNone) missing.Add($"its rules: {Rules.RulesGuard.Describe(snapshot.Blueprint.Rules)}");
        return new()
        {
            Format = ExportManifest.CurrentFormat, Id = plan.Export, Provider = plan.Provider, CreatedAt = bench.Now, Environment = plan.Environment, Weave = snapshot.Weave, Snapshot = snapshot.Id,
            Label = snapshot.Label, At = snapshot.At, Consistency = snapshot.Consistency == Consistency.Filesystem ? Consistency.Filesystem : Consistency.Crash, Machines = plan.Machines,
            Networks = snapshot.Blueprint.Networks, NotCarried = missing,
        };
    }

    public Task UndoAsync(StepContext<ExportPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        plan.Result = null;
        // Only what this export has made: its manifest says so.
        if (!Directory.Exists(plan.Staging) && IsOurs(plan)) ExportFolder.Remove(plan.Folder);
        if (plan.FolderWasThere && !Directory.Exists(plan.Folder)) ExportFolder.Make(plan.Folder);
        return Task.CompletedTask;
    }

    private static bool IsOurs(ExportPlan plan)
    {
        var manifest = Path.Combine(plan.Folder, ExportManifest.FileName);
        return File.Exists(manifest) && File.ReadAllText(manifest).Contains($"\"id\": \"{plan.Export}\"", StringComparison.Ordinal);
    }
}

/// <summary>The moment that was taken for the export alone goes again.</summary>
internal sealed class ForgetMoment(Bench bench, GarbageCollector collector) : IStep<ExportPlan>
{
    public string Name => "forget";
    public bool IsNeeded(ExportPlan plan) => plan.Capture is not null;

    public async Task DoAsync(StepContext<ExportPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (await bench.Store.FindSnapshotAsync(plan.Snapshot, stop) is { } moment)
        {
            var children = (await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop)).Where(s => s.Parent == moment.Id);
            await bench.Store.CommitAsync(new StoreChange { PutSnapshots = [.. children.Select(s => s with { Parent = moment.Parent })], DeleteSnapshots = [moment.Id] }, context.Lease, stop);
        }
        await bench.Driver.DeleteFilesAsync([.. StateFiles(plan)], stop);
        await collector.CollectAsync(plan.Environment, context.Lease, stop);
    }

    /// <summary>Firmware variables are captured with each moment, and nobody needs those of this one.</summary>
    private static IEnumerable<string> StateFiles(ExportPlan plan) => plan.Capture?.Request?.Machines.SelectMany(m => m.States).Select(s => s.Path) ?? [];

    public Task UndoAsync(StepContext<ExportPlan> context, CancellationToken stop) => Task.CompletedTask;
}
