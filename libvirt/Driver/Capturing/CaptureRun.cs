using System.Diagnostics;
using System.Text.Json.Nodes;
using LibvirtSharp;
using Microsoft.Extensions.Logging;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Agents;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// One consistent instant over a set of machines. All that can be done before the pause is done before it: overlays, pipes, capabilities, memory that is sent live. The pause itself is
/// <see cref="CommonInstant"/>; writing what was taken comes after it.
/// </summary>
internal sealed class CaptureRun(DriverContext context, StateKeeper states, Thawing thawing)
{
    private readonly CommonInstant _instant = new(context, states);
    private readonly CaptureCleanup _cleanup = new(context, thawing);

    public async Task<CaptureResult> RunAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        var members = request.Machines.Select(m => new CaptureMember(m)).ToList();
        var freezer = new Freezer(context, thawing);
        try
        {
            var connection = await context.Host.OpenAsync(stop);
            progress?.Report(new("preparing", 0, 0));
            // Overlays wait for the disk, and a pipe's stand-in for a program to start: several machines need little longer than one.
            await Task.WhenAll(members.Select(member => Task.Run(() => PrepareAsync(member, request, stop), CancellationToken.None)).ToList());
            await Task.WhenAll(members.Where(m => m.Method is not (MemoryMethod.None or MemoryMethod.Private)).Select(member => PrepareMemoryAsync(member, progress, stop)).ToList());
            await ConvergeAsync(members.Where(m => m.Method == MemoryMethod.Live).OrderByDescending(m => m.Memory).ToList(), progress, stop);
            await Task.WhenAll(members.Where(m => m.Method == MemoryMethod.Background && !m.Pipe!.IsOpen).Select(m => BeginAsync(m, stop)));
            foreach (var member in members) member.Private?.Reserve();
            if (request.Quiesce) await freezer.FreezeAsync(members, stop);
            // From here to the end of the pause a cancellation would only lengthen it.
            stop.ThrowIfCancellationRequested();
            var (at, skew) = await _instant.TakeAsync(connection, members, freezer);
            progress?.Report(new("writing memory", 0, 0));
            var settled = freezer.SettleAsync();
            var finished = await Task.WhenAll(members.Select(m => FinishAsync(m, stop)));
            await settled;
            var machines = members.Zip(finished, (member, machine) => machine with { Quiescing = Freezer.Outcome(member) }).ToList();
            return new(at, Consistencies.Of(request, machines), skew, machines);
        }
        catch (Exception error) when (error is LibvirtException or QemuRefusal)
        {
            await _cleanup.EndAsync(members, freezer);
            throw error is LibvirtException e ? LibvirtFaults.Translate(e, $"capture {request.Snapshot}") : ((QemuRefusal)error).ToFault("The capture failed");
        }
        catch
        {
            await _cleanup.EndAsync(members, freezer);
            throw;
        }
        finally
        {
            foreach (var member in members) member.Dispose();
        }
    }

    /// <inheritdoc cref="IHypervisorDriver.AbandonCaptureAsync"/>
    public Task<IReadOnlyList<HeadReport>> AbandonAsync(CaptureRequest request, CancellationToken stop) => _cleanup.AbandonAsync(request, stop);

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
            await File.WriteAllTextAsync(CaptureCleanup.HeldMark(member.Machine), "", stop);
        }
        member.SnapshotXml = DiskCut.SnapshotXml(member.Definition, member.Machine);
        if (!request.Memory) return;
        if (member.Machine.Newest is { } newest) context.Paths.RequireOurs(newest.FlatPath);
        member.Memory = (await member.Domain.GetInfoAsync(stop)).MaxMemoryKiB;
        if (member.Machine.Base is not null) (member.Private, member.Reason) = await PrivatePath.PrepareAsync(member.Domain, member.Machine, stop);
        if (member.Private is not null) context.Paths.EnsureFolderOf(member.Machine.DeviceStatePath);
        member.Method = member.Private is not null ? MemoryMethod.Private : member.Before == RunState.Running ? MemoryMethod.Background : MemoryMethod.Suspended;
        if (member.Method == MemoryMethod.Suspended) member.Because("the machine was paused");
    }

    private async Task PrepareMemoryAsync(CaptureMember member, IProgress<Progress>? progress, CancellationToken stop)
    {
        var domain = member.Domain!;
        var shut = false;
        if (member.Method == MemoryMethod.Background)
        {
            try
            {
                await BackgroundPath.EnableAsync(domain, stop);
                shut = await BackgroundPath.WaitsAsync(domain, stop);
            }
            catch (QemuRefusal refusal)
            {
                member.Method = MemoryMethod.Live;
                member.Because(refusal.Text);
            }
        }
        // Unlimited: QEMU counts bytes per second; the pipe is read as fast as it is written.
        await Monitor.ExecuteAsync(domain, "migrate-set-parameters", new JsonObject { ["max-bandwidth"] = 1L << 40 }, stop);
        context.Paths.EnsureFolderOf(member.Machine.FlatPath);
        var bytes = new SynchronousProgress(done => progress?.Report(new($"writing the memory of {member.Machine.Machine.Name}", done, 0)));
        member.Pipe = await CapturePipe.OpenAsync(domain, member.Machine, context.Paths.QemuOwner, name => Note(member, name), bytes, stop, shut);
    }

    private async Task BeginAsync(CaptureMember member, CancellationToken stop)
    {
        try
        {
            await BackgroundPath.BeginAsync(member.Domain!, context.Clock, stop);
            member.Begun = true;
        }
        catch (QemuRefusal refusal)
        {
            member.Method = MemoryMethod.None;
            member.Because(refusal.Text);
        }
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
                member.Because(refusal.Text);
            }
        }
        members.RemoveAll(m => m.Method == MemoryMethod.None);
        if (members.Count == 0) return;
        progress?.Report(new("sending memory while the machines run", 0, 0));
        await Task.WhenAll(members.Select(m => LivePath.ConvergeAsync(m.Domain!, context.Clock, stop)));
    }

    private static void Note(CaptureMember member, string pipe)
    {
        if (member.Before == RunState.Running) File.WriteAllText(CaptureCleanup.HeldMark(member.Machine), pipe);
    }

    private async Task<CapturedMachine> FinishAsync(CaptureMember member, CancellationToken stop)
    {
        MemoryImage? memory = null;
        if (member.Private is { } path)
        {
            await Monitor.ReleaseFilesAsync(member.Domain!, CapturePipe.Mark, stop);
            if (member.Method == MemoryMethod.Private) memory = await path.WriteAsync(member.Machine.DeviceStatePath, context.Paths.QemuOwner, stop);
        }
        else if (member.Method != MemoryMethod.None)
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
            unused.Open();
            // The stream never came: once QEMU has closed its end, the splitter ends with an error, and leaves nothing.
            await CapturePipe.EndAsync(member.Domain!, context.Clock, stop);
            await unused.Split.ContinueWith(static _ => { }, TaskScheduler.Default);
        }
        var kept = states.Keep(member.States);
        DurableFile.TryDelete(CaptureCleanup.HeldMark(member.Machine));
        if (memory is null) context.Paths.RemoveEmptyFolders(member.Machine.FlatPath);
        var method = member.Before == RunState.Off ? "off" : member.Method switch { MemoryMethod.Background => "background", MemoryMethod.Live => "live", MemoryMethod.Private => "private", MemoryMethod.Suspended => "suspended", _ => "disk" };
        return new(member.Machine.Machine.Name, member.Before, memory, method, member.Reason, member.Pause, []) { States = kept };
    }
}
