using LibvirtSharp;
using Microsoft.Extensions.Logging;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Agents;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>After a capture that failed or died: nothing that we held stays held, no transfer goes on, and no file of its own is left. Never touches a file of an earlier image.</summary>
internal sealed class CaptureCleanup(DriverContext context, Thawing thawing)
{
    private readonly ILogger _log = context.Loggers.CreateLogger<CaptureCleanup>();

    /// <inheritdoc cref="IHypervisorDriver.AbandonCaptureAsync"/>
    public async Task<IReadOnlyList<HeadReport>> AbandonAsync(CaptureRequest request, CancellationToken stop)
    {
        var reports = new List<HeadReport>();
        // A guest that was frozen waits for nothing else; one that is still held is thawed once it runs.
        await ThawAsync(request, last: false, stop);
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
        await ThawAsync(request, last: true, stop);
        await Task.WhenAll(drains).WaitAsync(stop);
        return reports;
    }

    private async Task ThawAsync(CaptureRequest request, bool last, CancellationToken stop)
    {
        var findings = (await Task.WhenAll(request.Machines.Select(m => thawing.ThawAsync(m.Machine, TimeSpan.FromSeconds(2), stop)))).OfType<Finding>().ToList();
        // Those that still cannot be vouched for keep their mark, by which they are asked again.
        foreach (var finding in last ? findings : [])
            _log.LogError("{Subject}: {Finding} {NextStep}", finding.Subject, finding.Text, finding.NextStep);
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

    /// <summary>
    /// Stands while we may hold a machine: after a crash a paused machine is let go only where it does, because its user may have paused it. Holds the name of the pipe that takes its memory.
    /// </summary>
    public static string HeldMark(CaptureMachine machine) => machine.DeviceStatePath + ".held";

    /// <summary>Right after an error, with all that is known of the members. Best effort; <see cref="AbandonAsync"/> does the rest.</summary>
    public async Task EndAsync(List<CaptureMember> members, Freezer freezer)
    {
        // First those that were not paused yet; the others are thawed once they run.
        await Task.WhenAll(members.Where(m => !m.HeldByUs).Select(freezer.ThawAsync));
        foreach (var member in members) member.Pipe?.Open();
        foreach (var member in members)
        {
            if (member.Domain is { } domain && member.Active)
            {
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
        await freezer.SettleAsync();
    }

    /// <summary>Ends a memory transfer and lets the machine run again where we held it.</summary>
    private async Task ReleaseAsync(LibvirtDomain domain, CaptureMachine machine, CancellationToken stop, bool? resume = null)
    {
        await CapturePipe.EndAsync(domain, context.Clock, stop);
        if (!(resume ?? File.Exists(HeldMark(machine))) || (await domain.GetStateAsync(stop)).State != DomainState.Paused) return;
        await domain.ResumeAsync(stop);
        // QEMU closes what was taken back only while the machine runs, and with the next that is taken back.
        await Monitor.ReleaseFilesAsync(domain, CapturePipe.Mark, stop);
    }
}
