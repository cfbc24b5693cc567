using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>Changed blocks: reference points, and what guests have written since (resilient change tracking).</summary>
public sealed partial class SimulatedHost
{
    private const long LongestLook = 1L << 20;

    private sealed record ReferencePoint(Guid Id, Guid Machine, int Written, IReadOnlyDictionary<string, (Guid Disk, string Tracking)> Disks);

    private readonly List<ReferencePoint> _referencePoints = [];
    private readonly List<(Guid Machine, string Slot, long Offset, long Length)> _written = [];

    internal MethodReply ConvertToReferencePoint(MethodCall call)
    {
        var (machine, checkpoint) = CheckpointOf(call.NeedPath("AffectedSnapshot"));
        if (!checkpoint.IsRecovery) throw new Refusal(Refusal.InvalidState, "Only recovery checkpoints become reference points.");
        return Begin(call, machine, "Making a reference point", () =>
        {
            var disks = checkpoint.Configuration.Disks.ToDictionary(checkpoint.Configuration.Slot, d => (Disks.Read(Configuration.File(d)!).DiskId, $"rctX:{MachineFiles.Name(NewId())}:00000000"));
            var point = new ReferencePoint(NewId(), machine.Id, _written.Count, disks);
            _referencePoints.Add(point);
            Forget(machine, checkpoint);
            return new([PathOf(point)]);
        });
    }

    internal MethodReply DestroyReferencePoint(MethodCall call)
    {
        var path = call.NeedPath("AffectedReferencePoint");
        var point = _referencePoints.Find(p => PathOf(p).Equals(path)) ?? throw new Refusal(Refusal.InvalidParameter);
        return Short(call, null, "Removing a reference point", () =>
        {
            _referencePoints.Remove(point);
            return ([], []);
        });
    }

    internal MethodReply GetVirtualDiskChanges(MethodCall call)
    {
        var path = NeedFile(call.NeedText("Path"));
        var limit = call.NeedText("LimitId");
        var (offset, length) = ((long)(call.Long("ByteOffset") ?? 0), (long)(call.Long("ByteLength") ?? 0));
        var found = Machines.SelectMany(m => m.Own.Disks.Select(d => (Machine: m, Slot: m.Own.Slot(d), Leaf: Configuration.File(d)!))).FirstOrDefault(f => HostPath.Comparer.Equals(f.Leaf, path));
        var size = Volume.Exists(path) ? Disks.Read(path).Size : 0;
        if (length <= 0 || offset < 0 || offset + length > size) throw new Refusal(Refusal.InvalidParameter);
        var point = _referencePoints.Find(p => p.Machine == found.Machine?.Id && p.Disks.TryGetValue(found.Slot, out var d) && d.Tracking == limit);
        if (point is null)
            return MethodReply.Of(Jobs.Begin(StorageJob.ClassName, $"Changes of '{path}'", Options.JobTime, () => throw new JobFailure(found.Machine is null ? JobFailure.TrackingOff : JobFailure.UnknownTracking, $"'{path}' has no changes since '{limit}'"), fault: call.Fault));
        // A host may look at less than it was asked to, and promises no order.
        var processed = Math.Min(length, LongestLook);
        var changes = _written.Skip(point.Written).Where(w => w.Machine == found.Machine!.Id && w.Slot == found.Slot).Select(w => (Start: Math.Max(w.Offset, offset), End: Math.Min(w.Offset + w.Length, offset + processed))).Where(w => w.Start < w.End).Reverse().ToList();
        return MethodReply.Done(("ProcessedByteLength", (ulong)processed), ("ChangedByteOffsets", changes.Select(c => (ulong)c.Start).ToArray()), ("ChangedByteLengths", changes.Select(c => (ulong)(c.End - c.Start)).ToArray()));
    }

    internal IEnumerable<CimObject> ReferencePoints() => _referencePoints.Select(p => new CimObject(VirtualSystemReferencePoint.ClassName)
        .With(VirtualSystemReferencePoint.InstanceID, "Microsoft:" + MachineFiles.Name(p.Id)).With(VirtualSystemReferencePoint.VirtualSystemIdentifier, MachineFiles.Name(p.Machine))
        .With(VirtualSystemReferencePoint.VirtualDiskIdentifiers, [.. p.Disks.Values.Select(d => MachineFiles.Name(d.Disk))]).With(VirtualSystemReferencePoint.ResilientChangeTrackingIdentifiers, [.. p.Disks.Values.Select(d => d.Tracking)]));

    internal IEnumerable<Link> ReferencePointLinks() =>
        from point in _referencePoints from machine in Machines where machine.Id == point.Machine
        select new Link(ReferencePointOfVirtualSystem.ClassName, "Antecedent", PathOf(machine), "Dependent", PathOf(point));

    private CimPath PathOf(ReferencePoint point) => PathOf(VirtualSystemReferencePoint.ClassName, HostNamespaces.Virtualization, ("InstanceID", "Microsoft:" + MachineFiles.Name(point.Id)), ("VirtualSystemIdentifier", MachineFiles.Name(point.Machine)));
}
