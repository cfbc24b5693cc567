using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Disks;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>Virtual disks (Msvm_ImageManagementService). What changes a file needs it for itself alone; what reads it must find it not open for writing.</summary>
public sealed partial class SimulatedHost
{
    internal MethodReply CreateVirtualHardDisk(MethodCall call)
    {
        var given = call.NeedSettings("VirtualDiskSettingData");
        var path = NeedFile(given.Get(VirtualHardDiskSettingData.Path));
        var type = given.Find(VirtualHardDiskSettingData.Type);
        var parent = given.Get(VirtualHardDiskSettingData.ParentPath) is { Length: > 0 } p ? NeedFile(p) : null;
        if (type is not (2 or 3 or 4) || given.Find(VirtualHardDiskSettingData.Format) != 3 || (type == 4) != parent is not null) throw new Refusal(Refusal.InvalidParameter);
        return Image(call, $"Creating '{path}'", () =>
        {
            if (parent is not null)
            {
                if (!Volume.Exists(parent)) throw new JobFailure(JobFailure.FileNotFound, $"The system cannot find the file '{parent}'");
                RequireReadable(parent);
                if (!Behaviour.TakesAvhdxAsParent && HostPath.Ending(parent).Equals(".avhdx", StringComparison.OrdinalIgnoreCase)) throw new JobFailure(JobFailure.InvalidArgument, $"'{parent}' cannot be a parent");
            }
            Disks.Create(path, (ushort)type, (long)Math.Min(given.Find(VirtualHardDiskSettingData.MaxInternalSize) ?? 0, long.MaxValue), parent,
                given.Find(VirtualHardDiskSettingData.BlockSize) ?? 0, given.Find(VirtualHardDiskSettingData.LogicalSectorSize) ?? 0, given.Find(VirtualHardDiskSettingData.PhysicalSectorSize) ?? 0);
        });
    }

    internal MethodReply GetVirtualHardDiskSettingData(MethodCall call)
    {
        var path = NeedFile(call.NeedText("Path"));
        return Describe(call, "SettingData", path, () =>
        {
            var disk = Disks.Read(path);
            return new CimObject(VirtualHardDiskSettingData.ClassName)
                .With(VirtualHardDiskSettingData.Path, path).With(VirtualHardDiskSettingData.Type, disk.Type).With(VirtualHardDiskSettingData.Format, (ushort)3).With(VirtualHardDiskSettingData.MaxInternalSize, (ulong)disk.Size)
                .With(VirtualHardDiskSettingData.BlockSize, disk.BlockSize).With(VirtualHardDiskSettingData.LogicalSectorSize, disk.LogicalSector).With(VirtualHardDiskSettingData.PhysicalSectorSize, disk.PhysicalSector)
                .With(VirtualHardDiskSettingData.VirtualDiskId, MachineFiles.Name(disk.DiskId)).With(VirtualHardDiskSettingData.ParentPath, disk.ParentPath).With(VirtualHardDiskSettingData.ParentIdentifier, disk.ParentLinkage is { } id ? MachineFiles.Name(id) : null);
        });
    }

    internal MethodReply GetVirtualHardDiskState(MethodCall call)
    {
        var path = NeedFile(call.NeedText("Path"));
        // InUse is reserved: it says nothing.
        return Describe(call, "State", path, () => new CimObject(VirtualHardDiskState.ClassName).With(VirtualHardDiskState.FileSize, (ulong)Volume.Find(path)!.Length).With(VirtualHardDiskState.InUse, false));
    }

    /// <summary>These answer with their text now at once, now beside a job; a failure is that of the job. The service itself has the disks of running machines open, and tells of them, too.</summary>
    private MethodReply Describe(MethodCall call, string name, string path, Func<CimObject> describe)
    {
        string text;
        try
        {
            text = EmbeddedInstance.Write(describe());
        }
        catch (JobFailure e)
        {
            return MethodReply.Of(Jobs.Begin(StorageJob.ClassName, $"Reading '{path}'", Options.JobTime, () => throw new JobFailure(e.WindowsError, e.Message), fault: call.Fault));
        }
        return call.Fault is null && Toss() ? MethodReply.Done((name, text)) : MethodReply.Of(Jobs.Begin(StorageJob.ClassName, $"Reading '{path}'", Options.JobTime, () => new([]), fault: call.Fault), (name, text));
    }

    internal MethodReply SetVirtualHardDiskSettingData(MethodCall call)
    {
        var given = call.NeedSettings("VirtualDiskSettingData");
        var path = NeedFile(given.Get(VirtualHardDiskSettingData.Path));
        if (!Guid.TryParse(given.Get(VirtualHardDiskSettingData.VirtualDiskId), out var id)) throw new Refusal(Refusal.InvalidParameter);
        return Image(call, $"Changing '{path}'", () =>
        {
            RequireAlone(path);
            Disks.SetDiskId(path, id);
        });
    }

    internal MethodReply ValidateVirtualHardDisk(MethodCall call)
    {
        var path = NeedFile(call.NeedText("Path"));
        return Image(call, $"Checking '{path}'", () =>
        {
            RequireReadable(path);
            _ = Disks.Chain(path);
        });
    }

    internal MethodReply ResizeVirtualHardDisk(MethodCall call)
    {
        var path = NeedFile(call.NeedText("Path"));
        var size = call.Long("MaxInternalSize") ?? throw new Refusal(Refusal.InvalidParameter);
        return Image(call, $"Resizing '{path}'", () =>
        {
            RequireAlone(path);
            Disks.Resize(path, (long)Math.Min(size, long.MaxValue));
        }, path);
    }

    internal MethodReply MergeVirtualHardDisk(MethodCall call)
    {
        var (source, target) = (NeedFile(call.NeedText("SourcePath")), NeedFile(call.NeedText("DestinationPath")));
        return Image(call, $"Merging '{source}'", () =>
        {
            foreach (var (path, _) in Disks.Chain(source).TakeWhile(c => !HostPath.Comparer.Equals(c.Path, target)).Append((target, null!))) RequireAlone(path);
            Disks.MergeInto(source, target);
        }, source, target);
    }

    internal MethodReply ConvertVirtualHardDisk(MethodCall call)
    {
        var source = NeedFile(call.NeedText("SourcePath"));
        var given = call.NeedSettings("VirtualDiskSettingData");
        var path = NeedFile(given.Get(VirtualHardDiskSettingData.Path));
        var type = given.Find(VirtualHardDiskSettingData.Type);
        if (type is not (2 or 3) || given.Find(VirtualHardDiskSettingData.Format) != 3) throw new Refusal(Refusal.InvalidParameter);
        return Image(call, $"Converting '{source}'", () =>
        {
            RequireReadable(source);
            Disks.Flatten(source, path, (ushort)type, given.Find(VirtualHardDiskSettingData.BlockSize) ?? 0);
        });
    }

    internal MethodReply SetParentVirtualHardDisk(MethodCall call)
    {
        var (child, parent) = (NeedFile(call.NeedText("ChildPath")), NeedFile(call.NeedText("ParentPath")));
        var ignore = call.Truth("IgnoreIDMismatch") ?? false;
        return Image(call, $"Giving '{child}' another parent", () =>
        {
            RequireAlone(child);
            RequireReadable(parent);
            Disks.SetParent(child, parent, ignore);
        });
    }

    private MethodReply Image(MethodCall call, string caption, Action effect, params IReadOnlyList<string> held) => Begin(call, StorageJob.ClassName, caption, () =>
    {
        effect();
        return new([]);
    }, cancellable: true, [.. held.Select(h => (h, FileUse.Exclusive))]);

    private static string NeedFile(string? path) => HostPath.IsAbsolute(path) ? path! : throw new Refusal(Refusal.InvalidParameter, $"'{path}' is no path of a file.");

    private void RequireReadable(string path)
    {
        if (Volume.UseOf(path) == FileUse.Exclusive) throw HostVolume.Sharing(path);
    }

    /// <summary>Nobody has the file open, not even for reading, and it is not marked read-only.</summary>
    private void RequireAlone(string path)
    {
        if (Volume.UseOf(path) != FileUse.None) throw HostVolume.Sharing(path);
        if (Volume.IsReadOnly(path)) throw new JobFailure(JobFailure.AccessDenied, $"'{path}' is read-only");
    }
}
