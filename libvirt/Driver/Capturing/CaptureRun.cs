using System.Diagnostics;
using System.Text.Json.Nodes;
using LibvirtSharp;
using Microsoft.Extensions.Logging;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// One consistent instant over a set of machines. All that can be done before the pause is done before it: overlays, pipes, capabilities. In the pause:
/// every member is suspended, every disk is switched to its new head, and each migration starts, by which QEMU lets the guest run again. No member's
/// state can hold the effect of a packet that another's has not yet sent, because all are suspended before the first state is taken.
/// </summary>
internal sealed class CaptureRun(DriverContext context, StateKeeper states)
{
    private static readonly TimeSpan FreezePatience = TimeSpan.FromSeconds(10);
    private readonly ILogger _log = context.Loggers.CreateLogger<CaptureRun>();

    public async Task<CaptureResult> RunAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        var members = request.Machines.Select(m => new CaptureMember(m)).ToList();
        try
        {
            var connection = await context.Host.OpenAsync(stop);
            progress?.Report(new("preparing", 0, 0));
            foreach (var member in members) await PrepareAsync(member, request, stop);
            foreach (var member in members.Where(m => m.Method != MemoryMethod.None)) await PrepareMemoryAsync(member, progress, stop);
            await ConvergeAsync(members.Where(m => m.Method == MemoryMethod.Live).OrderByDescending(m => m.Memory).ToList(), progress, stop);
            // A memory image of a frozen guest would make copies that wake up frozen; and with memory, disks need no freezing to be consistent.
            if (request.Quiesce) await Task.WhenAll(members.Where(m => m.Before == RunState.Running && m.Method == MemoryMethod.None).Select(m => FreezeAsync(m, stop)));
            // From here to the end of the pause a cancellation would only lengthen it.
            stop.ThrowIfCancellationRequested();
            var (at, skew) = await PauseAsync(connection, members);
            progress?.Report(new("writing memory", 0, 0));
            var machines = await Task.WhenAll(members.Select(m => FinishAsync(m, stop)));
            var consistency = request.Memory && members.All(m => !m.Active || m.Method != MemoryMethod.None) ? Consistency.Machine
                : request.Quiesce && members.All(m => m.Before != RunState.Running || m.Frozen) ? Consistency.Filesystem : Consistency.Crash;
            return new(at, consistency, skew, machines);
        }
        catch (Exception error) when (error is LibvirtException or QemuRefusal)
        {
            await EndAsync(members);
            throw error is LibvirtException e ? LibvirtFaults.Translate(e, $"capture {request.Snapshot}") : ((QemuRefusal)error).ToFault("The capture failed");
        }
        catch
        {
            await EndAsync(members);
            throw;
        }
        finally
        {
            foreach (var member in members) member.Dispose();
        }
    }

    /// <inheritdoc cref="IHypervisorDriver.AbandonCaptureAsync"/>
    public async Task<IReadOnlyList<HeadReport>> AbandonAsync(CaptureRequest request, CancellationToken stop)
    {
        var reports = new List<HeadReport>();
        // Before anything is asked of any machine: see CapturePipe.
        var drains = request.Machines.Select(ReadOn).ToList();
        foreach (var machine in request.Machines)
        {
            using var domain = await context.Host.FindDomainAsync(machine.Machine, stop);
            IReadOnlyDictionary<string, string> live = new Dictionary<string, string>();
            if (domain is not null)
                await context.Host.CallAsync($"end the capture of {Ids.Quote(machine.Machine.HypervisorName)}", async connection =>
                {
                    if (await domain.IsActiveAsync(stop)) await ReleaseAsync(domain, machine, stop);
                    live = DiskCut.Paths(DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop)));
                    // A crash between the two definitions must not let the next boot use another file than the present.
                    if (await domain.IsActiveAsync(stop) && await domain.IsPersistentAsync(stop))
                        await DiskCut.RedefineAsync(connection, domain, machine.Volumes.Where(v => live.ContainsKey(v.Target))
                            .ToDictionary(v => v.Target, v => live[v.Target] == v.NewHead.Path ? v.NewHead : v.Head), stop);
                }, stop);
            foreach (var volume in machine.Volumes)
            {
                // A copy that ended meanwhile tells nothing; what it wrote after the cut is in the new head.
                var switched = live.TryGetValue(volume.Target, out var path) ? path == volume.NewHead.Path : domain is null && machine.Exists && HoldsData(volume.NewHead.Path);
                if (!switched && context.Paths.IsOurs(volume.NewHead.Path)) Remove(volume.NewHead.Path);
                reports.Add(new(machine.Machine.Name, volume.Volume, switched ? volume.NewHead.Id : volume.Head.Id));
            }
            foreach (var path in new[] { machine.FlatPath, machine.DeviceStatePath, HeldMark(machine) }.Concat(machine.States.Select(s => s.Path))) Remove(path);
        }
        await Task.WhenAll(drains).WaitAsync(stop);
        return reports;
    }

    private static Task ReadOn(CaptureMachine machine)
    {
        var mark = HeldMark(machine);
        return machine.Exists && File.Exists(mark) && QemuProcess.Find(machine.Machine.HypervisorName) is { } qemu && CapturePipe.Reopen(qemu, File.ReadAllText(mark)) is { } drain ? drain : Task.CompletedTask;
    }

    /// <summary>An overlay that was never written to has 12 KiB; the first write allocates a cluster of 64 KiB.</summary>
    private static bool HoldsData(string path) => File.Exists(path) && FileFacts.Read(path).AllocatedBytes > 48 << 10;

    private void Remove(string path)
    {
        DurableFile.TryDelete(DurableFile.PartOf(path));
        if (File.Exists(path)) DurableFile.Delete(path);
        context.Paths.RemoveEmptyFolders(path);
    }

    private async Task PrepareAsync(CaptureMember member, CaptureRequest request, CancellationToken stop)
    {
        foreach (var volume in member.Machine.Volumes)
        {
            context.Paths.EnsureFolderOf(volume.NewHead.Path);
            Qcow2OverlayWriter.Write(volume.NewHead.Path, volume.Head.Path, volume.Head.Format, volume.NewHead.VirtualSize, owner: context.Paths.QemuOwner);
        }
        if (!member.Machine.Exists) return;
        member.Domain = await context.Host.GetDomainAsync(member.Machine.Machine, stop);
        member.Before = member.Domain.GetStateNow().State switch
        {
            DomainState.Running or DomainState.Blocked => RunState.Running,
            DomainState.Paused or DomainState.Pmsuspended => RunState.Paused,
            DomainState.Shutoff => RunState.Off,
            var other => throw new WeaveException(Fault.Conflict, $"Machine '{member.Name}' is in state {other}; it cannot be captured.", "Wait until it runs or is off."),
        };
        member.Definition = DomainText.Parse(await member.Domain.GetXmlAsync(cancellationToken: stop));
        if (!member.Active) return;
        if (member.Before == RunState.Running)
        {
            context.Paths.EnsureFolderOf(member.Machine.FlatPath);
            await File.WriteAllTextAsync(HeldMark(member.Machine), "", stop);
        }
        member.SnapshotXml = DiskCut.SnapshotXml(member.Definition, member.Machine);
        if (!request.Memory) return;
        if (member.Machine.Newest is { } newest) context.Paths.RequireOurs(newest.FlatPath);
        member.Memory = (await member.Domain.GetInfoAsync(stop)).MaxMemoryKiB;
        member.Method = member.Before == RunState.Running ? MemoryMethod.Background : MemoryMethod.Suspended;
        if (member.Before == RunState.Paused) member.Reason = "the machine was paused";
    }

    private async Task PrepareMemoryAsync(CaptureMember member, IProgress<Progress>? progress, CancellationToken stop)
    {
        var domain = member.Domain!;
        if (member.Method == MemoryMethod.Background)
        {
            try
            {
                await Monitor.SetCapabilityAsync(domain, "background-snapshot", true, stop);
            }
            catch (QemuRefusal refusal)
            {
                member.Method = MemoryMethod.Live;
                member.Reason = refusal.Text;
            }
        }
        // Unlimited: QEMU counts bytes per second; the pipe is read as fast as it is written.
        await Monitor.ExecuteAsync(domain, "migrate-set-parameters", new JsonObject { ["max-bandwidth"] = 1L << 40 }, stop);
        context.Paths.EnsureFolderOf(member.Machine.FlatPath);
        var bytes = new SynchronousProgress(done => progress?.Report(new($"writing the memory of {member.Machine.Machine.Name}", done, 0)));
        member.Pipe = await CapturePipe.OpenAsync(domain, member.Machine, context.Paths.QemuOwner, name => Note(member, name), bytes, stop);
    }

    private async Task ConvergeAsync(List<CaptureMember> members, IProgress<Progress>? progress, CancellationToken stop)
    {
        // The biggest first: a small one that has nothing left to send would wait for it, suspended.
        foreach (var member in members)
        {
            try
            {
                await LivePath.BeginAsync(member.Domain!, stop);
            }
            catch (QemuRefusal refusal)
            {
                member.Method = MemoryMethod.None;
                member.Reason = refusal.Text;
            }
        }
        members.RemoveAll(m => m.Method == MemoryMethod.None);
        if (members.Count == 0) return;
        progress?.Report(new("sending memory while the machines run", 0, 0));
        await Task.WhenAll(members.Select(m => LivePath.ConvergeAsync(m.Domain!, context.Clock, stop)));
    }

    private static void Note(CaptureMember member, string pipe)
    {
        if (member.Before == RunState.Running) File.WriteAllText(HeldMark(member.Machine), pipe);
    }

    /// <summary>
    /// Stands while we may hold a machine: after a crash a paused machine is let go only where it does, because its user may have paused it. Holds the name of the pipe that takes its memory.
    /// </summary>
    private static string HeldMark(CaptureMachine machine) => machine.DeviceStatePath + ".held";

    private async Task FreezeAsync(CaptureMember member, CancellationToken stop)
    {
        try
        {
            await member.Domain!.FreezeFileSystemsAsync(stop).WaitAsync(FreezePatience, stop);
            member.Frozen = true;
        }
        catch (Exception error) when (error is LibvirtException or TimeoutException)
        {
            member.Reason = $"file systems were not frozen: {(error is TimeoutException ? $"the guest agent did not answer within {FreezePatience.TotalSeconds:0} s" : error.Message)}";
        }
    }

    private async Task<(DateTimeOffset At, TimeSpan Skew)> PauseAsync(LibvirtConnection connection, List<CaptureMember> members)
    {
        var running = members.Where(m => m.Before == RunState.Running).ToList();
        await Together.RunAsync(running, m =>
        {
            m.SuspendStarted = Stopwatch.GetTimestamp();
            m.HeldByUs = true;
            m.Domain!.SuspendNow();
            m.Suspended = Stopwatch.GetTimestamp();
        });
        var at = context.Clock.GetUtcNow();
        await Together.RunAsync(members.Where(m => m.Method == MemoryMethod.Live).ToList(), m => LivePath.Halt(m.Domain!));
        await Together.RunAsync(members.Where(m => m.Active).ToList(), m =>
        {
            using var snapshot = m.Domain!.CreateSnapshotNow(m.SnapshotXml!, SnapshotCreateFlags.DiskOnly | SnapshotCreateFlags.ReuseExt | SnapshotCreateFlags.NoMetadata | SnapshotCreateFlags.Atomic);
        });
        foreach (var member in members.Where(m => m.Domain is not null && m.Before == RunState.Off))
            await DiskCut.RedefineAsync(connection, member.Domain!, member.Machine.Volumes.ToDictionary(v => v.Target, v => v.NewHead), CancellationToken.None);
        foreach (var member in members) member.States = states.Take(member.Machine, member.Definition);
        await Together.RunAsync(members.Where(m => m.Active).ToList(), Proceed);
        foreach (var member in members.Where(m => m.Frozen)) await ThawAsync(member);
        var skew = running.Count > 1 ? Stopwatch.GetElapsedTime(running.Min(m => m.Suspended), running.Max(m => m.Suspended)) : TimeSpan.Zero;
        return (at, skew);
    }

    /// <summary>Takes the state of one member and lets it run again as soon as that is possible.</summary>
    private void Proceed(CaptureMember member)
    {
        var domain = member.Domain!;
        if (member.Method != MemoryMethod.None)
        {
            try
            {
                if (member.Method == MemoryMethod.Live) LivePath.Continue(domain);
                else Monitor.Execute(domain, "migrate", new JsonObject { ["uri"] = CapturePipe.Uri });
            }
            catch (QemuRefusal refusal)
            {
                // A device that cannot be migrated shows only now: the disks of the instant are taken all the same.
                member.Method = MemoryMethod.None;
                member.Reason = refusal.Text;
            }
        }
        if (member.Method == MemoryMethod.Background) AwaitOwnResume(member);
        else if (member.Method is MemoryMethod.Live or MemoryMethod.Suspended) AwaitMigration(domain);
        if (!member.HeldByUs) return;
        if (domain.GetStateNow().State == DomainState.Paused) domain.ResumeNow();
        member.HeldByUs = false;
        member.Resumed = Stopwatch.GetTimestamp();
    }

    /// <summary>
    /// With background-snapshot QEMU touches every page (about 50 ms for each GiB, more on a busy host), saves the device state, and runs the guest again by itself.
    /// Without a limit of time: a guest that ran earlier would change memory that belongs to the instant of the disk cut.
    /// </summary>
    private static void AwaitOwnResume(CaptureMember member)
    {
        while (!Monitor.Execute(member.Domain!, "query-status").GetProperty("running").GetBoolean())
        {
            if (Monitor.Migration(member.Domain!).Status is "failed" or "cancelled" or "completed") break;
            Thread.Sleep(1);
        }
    }

    private static void AwaitMigration(LibvirtDomain domain)
    {
        while (true)
        {
            var now = Monitor.Migration(domain);
            // "completed" comes a moment before the run state leaves finish-migrate, and until then QEMU refuses to go on ("Migration is not finalized yet").
            if (now.Status == "completed" && Monitor.Execute(domain, "query-status").GetProperty("status").GetString() != "finish-migrate") return;
            if (now.Status is "failed" or "cancelled") throw now.ToFault(domain.Name);
            Thread.Sleep(1);
        }
    }

    private async Task<CapturedMachine> FinishAsync(CaptureMember member, CancellationToken stop)
    {
        MemoryImage? memory = null;
        if (member.Method != MemoryMethod.None)
        {
            while (true)
            {
                var now = await Monitor.MigrationAsync(member.Domain!, stop);
                if (now.Status == "completed") break;
                if (now.Status is "failed" or "cancelled" or "none") throw now.ToFault(member.Name);
                await Task.Delay(TimeSpan.FromMilliseconds(5), context.Clock, stop);
            }
            var split = await member.Pipe!.Split;
            await CapturePipe.EndAsync(member.Domain!, context.Clock, stop);
            memory = new MemoryImage
            {
                FlatPath = split.SharesBase ? member.Machine.Newest!.FlatPath : member.Machine.FlatPath, DeviceStatePath = member.Machine.DeviceStatePath, SharesBase = split.SharesBase,
                RamBytes = split.RamBytes, StoredBytes = split.StoredBytes,
                // The main block of a copy that shares memory bears our name; a machine that is to load a whole stream has the original's.
                MainBlock = split.MainBlock == MigrationStreamSplitter.SharedBlock ? (member.Machine.Base ?? member.Machine.Newest)?.MainBlock ?? "pc.ram" : split.MainBlock,
            };
        }
        else if (member.Pipe is { } unused)
        {
            // The stream never came: once QEMU has closed its end, the splitter ends with an error, and leaves nothing.
            await CapturePipe.EndAsync(member.Domain!, context.Clock, stop);
            await unused.Split.ContinueWith(static _ => { }, TaskScheduler.Default);
        }
        var kept = states.Keep(member.States);
        DurableFile.TryDelete(HeldMark(member.Machine));
        if (memory is null) context.Paths.RemoveEmptyFolders(member.Machine.FlatPath);
        var method = member.Before == RunState.Off ? "off" : member.Method switch { MemoryMethod.Background => "background", MemoryMethod.Live => "live", MemoryMethod.Suspended => "suspended", _ => "disk" };
        return new(member.Machine.Machine.Name, member.Before, memory, method, member.Reason, member.Pause, []) { States = kept };
    }

    private async Task ThawAsync(CaptureMember member)
    {
        try
        {
            await member.Domain!.ThawFileSystemsAsync().WaitAsync(FreezePatience);
        }
        catch (Exception error) when (error is LibvirtException or TimeoutException)
        {
            _log.LogError(error, "The file systems of {Machine} could not be thawed by the guest agent", member.Name);
            member.Reason = $"the guest agent did not thaw: {error.Message}";
        }
    }

    /// <summary>After an error: nothing that we held stays held, and no transfer goes on. Best effort; <see cref="AbandonAsync"/> does the rest.</summary>
    private async Task EndAsync(List<CaptureMember> members)
    {
        foreach (var member in members)
        {
            if (member.Domain is { } domain && member.Active)
            {
                if (member.Frozen) await ThawAsync(member);
                try
                {
                    await ReleaseAsync(domain, member.Machine, CancellationToken.None, resume: member.HeldByUs);
                }
                catch (Exception error) when (error is LibvirtException or QemuRefusal or WeaveException)
                {
                    _log.LogError(error, "Machine {Machine} could not be let go after a failed capture", member.Name);
                    // QEMU may have the pipe still: its reader goes on by itself until it is closed.
                    member.Pipe = null;
                }
            }
            if (member.Pipe is { } pipe) await pipe.Split.ContinueWith(static _ => { }, TaskScheduler.Default);
        }
    }

    /// <summary>Ends a memory transfer and lets the machine run again where we held it.</summary>
    private async Task ReleaseAsync(LibvirtDomain domain, CaptureMachine machine, CancellationToken stop, bool? resume = null)
    {
        await CapturePipe.EndAsync(domain, context.Clock, stop);
        if ((resume ?? File.Exists(HeldMark(machine))) && (await domain.GetStateAsync(stop)).State == DomainState.Paused) await domain.ResumeAsync(stop);
    }

    /// <summary>Reports on the thread that progresses: <see cref="Progress{T}"/> would hand it to the pool, out of order.</summary>
    private sealed class SynchronousProgress(Action<long> report) : IProgress<long>
    {
        public void Report(long value) => report(value);
    }
}
