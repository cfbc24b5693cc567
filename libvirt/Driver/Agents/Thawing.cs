using System.Text.Json;
using Microsoft.Extensions.Logging;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Agents;

/// <summary>
/// Sees to it that no guest stays frozen by us. An agent does one command after the other, so once it answers a question of ours, an earlier request to freeze has been done
/// with, also one that was given up: then its answer counts, and "frozen" is thawed.
/// </summary>
internal sealed class Thawing(DriverContext context)
{
    private readonly ILogger _log = context.Loggers.CreateLogger<Thawing>();

    /// <summary>Thaws one machine that bears a mark; null: it is thawed, off, or had no mark. Otherwise what to tell people. The mark stands until it is vouched for.</summary>
    public async Task<Finding?> ThawAsync(MachineRef machine, TimeSpan patience, CancellationToken stop)
    {
        if (!context.Marks.Has(machine)) return null;
        var since = context.Clock.GetTimestamp();
        while (true)
        {
            var answer = await context.Agent.CallAsync(machine, "guest-fsfreeze-status", patience, stop);
            if (answer.State == AgentCondition.Answers)
            {
                var word = answer.Value.ValueKind == JsonValueKind.String ? answer.Value.GetString() : null;
                if (word == "thawed") return Vouched(machine);
                if (word == "frozen")
                {
                    _log.LogWarning("Machine {Machine} was still frozen by a snapshot of this service; its file systems are thawed", machine.HypervisorName);
                    answer = await context.Agent.CallAsync(machine, "guest-fsfreeze-thaw", patience, stop, urgent: true);
                }
                else answer = GuestAgent.Nonsense(Ids.Quote(answer.Value.GetRawText()));
            }
            // A machine that is off, or has been started since, has no frozen file systems.
            if (answer.State is AgentCondition.Off or AgentCondition.NoChannel) return Vouched(machine);
            if (answer.State == AgentCondition.Paused || context.Clock.GetElapsedTime(since) > patience) return Finding(machine, answer.Reason ?? "its file systems are frozen again after each thaw");
            // An answer may be wrong once (another program's command was answered by it); a dead agent is asked again only after its time is over.
            await Task.Delay(TimeSpan.FromMilliseconds(200), context.Clock, stop);
        }
    }

    /// <inheritdoc cref="IHypervisorDriver.ThawAsync"/>
    public async Task<IReadOnlyList<Finding>> ThawLeftAsync(CancellationToken stop)
    {
        var found = await Task.WhenAll(context.Marks.Left().Select(async machine =>
        {
            try
            {
                return await ThawAsync(machine, GuestAgent.SignOfLife, stop);
            }
            catch (WeaveException error)
            {
                // One machine that was renamed, say, keeps no other one from being thawed.
                return Finding(machine, error.Message);
            }
        }));
        return [.. found.OfType<Finding>()];
    }

    private Finding? Vouched(MachineRef machine)
    {
        context.Marks.Clear(machine);
        return null;
    }

    private Finding Finding(MachineRef machine, string reason) => new(FindingLevel.Error, $"machine {machine.HypervisorName}",
        $"It was asked to freeze its file systems for a snapshot, and its guest agent does not say that they are thawed: {reason}. Programs in it may hang when they write.",
        $"Restart qemu-guest-agent in the guest, or run `fsfreeze --unfreeze` there on each mount; the service goes on asking. Where the guest is well and has no agent any more, delete {context.Marks.PathOf(machine.Uuid)}.");
}
