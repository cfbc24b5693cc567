using System.Diagnostics;
using System.Text.Json.Nodes;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// The pause. Every member is suspended, every disk is switched to its new head, the state of each is taken, and each runs again as soon as that is possible. No member's state can hold
/// the effect of a packet that another's has not yet sent, because all are suspended before the first state is taken, whatever their methods.
/// </summary>
internal sealed class CommonInstant(DriverContext context, StateKeeper states)
{
    public async Task<(DateTimeOffset At, TimeSpan Skew)> TakeAsync(LibvirtConnection connection, List<CaptureMember> members, Freezer freezer)
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
        await Together.RunAsync(members.Where(m => m.Method is MemoryMethod.Live or MemoryMethod.Private).ToList(), BeforeCut);
        // Pages are copied while the disks are cut: neither touches what the other reads.
        await Together.RunAsync([.. members.Where(m => m.Active).Select(m => (Action)(() => Cut(m))), .. members.Where(m => m.Method == MemoryMethod.Private).Select(m => (Action)m.Private!.Copy)], act => act());
        foreach (var member in members.Where(m => m.Domain is not null && m.Before == RunState.Off))
            await DiskCut.RedefineAsync(connection, member.Domain!, member.Machine.Volumes.ToDictionary(v => v.Target, v => v.NewHead), CancellationToken.None);
        foreach (var member in members) member.States = states.Take(member.Machine, member.Definition);
        await Together.RunAsync(members.Where(m => m.Active).ToList(), m =>
        {
            Proceed(m);
            // Here, on the thread that waits for this member alone: no other one's memory or agent holds it up.
            freezer.ThawAsync(m).GetAwaiter().GetResult();
        });
        var skew = running.Count > 1 ? Stopwatch.GetElapsedTime(running.Min(m => m.Suspended), running.Max(m => m.Suspended)) : TimeSpan.Zero;
        return (at, skew);
    }

    private static void BeforeCut(CaptureMember member)
    {
        if (member.Method == MemoryMethod.Live)
        {
            LivePath.Halt(member.Domain!);
            return;
        }
        try
        {
            member.Private!.SaveDevices(member.Domain!);
        }
        catch (QemuRefusal refusal)
        {
            member.Method = MemoryMethod.None;
            member.Because(refusal.Text);
        }
    }

    private static void Cut(CaptureMember member)
    {
        using var snapshot = member.Domain!.CreateSnapshotNow(member.SnapshotXml!, SnapshotCreateFlags.DiskOnly | SnapshotCreateFlags.ReuseExt | SnapshotCreateFlags.NoMetadata | SnapshotCreateFlags.Atomic);
    }

    /// <summary>Takes the state of one member and lets it run again as soon as that is possible.</summary>
    private void Proceed(CaptureMember member)
    {
        var domain = member.Domain!;
        if (member.Method is not (MemoryMethod.None or MemoryMethod.Private))
        {
            try
            {
                if (member.Method == MemoryMethod.Live) LivePath.Continue(domain);
                else if (member.Begun) member.Pipe!.Open();
                else Monitor.Execute(domain, "migrate", new JsonObject { ["uri"] = CapturePipe.Uri });
            }
            catch (QemuRefusal refusal)
            {
                // A device that cannot be migrated shows only now: the disks of the instant are taken all the same.
                member.Method = MemoryMethod.None;
                member.Because(refusal.Text);
            }
        }
        if (member.Method == MemoryMethod.Background) AwaitOwnResume(member);
        else if (member.Method is MemoryMethod.Live or MemoryMethod.Suspended) AwaitMigration(domain);
        if (!member.HeldByUs)
        {
            if (member.Method == MemoryMethod.Private && domain.GetStateNow().State != DomainState.Paused)
                throw new WeaveException(Fault.Conflict, $"Machine '{member.Name}' was paused, and was resumed by something else while its memory was taken.", "Take the snapshot again.");
            return;
        }
        if (domain.GetStateNow().State == DomainState.Paused) domain.ResumeNow();
        member.HeldByUs = false;
        member.Resumed = Stopwatch.GetTimestamp();
    }

    /// <summary>
    /// With background-snapshot QEMU saves the device state, write-protects the RAM, and runs the guest again by itself; where it was not begun before, it touches every page first.
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
}
