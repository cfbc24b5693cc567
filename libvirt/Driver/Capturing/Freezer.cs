using System.Diagnostics;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Agents;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// Freezing by guest agents in one capture: <see cref="FreezeAsync"/> right before the pause, <see cref="ThawAsync"/> for each machine as soon as it runs again,
/// <see cref="SettleAsync"/> where an agent did not do as it was told. Machines whose memory is captured are left out: a copy of a frozen guest would wake up frozen, and
/// with memory, disks need no freezing to be consistent. Whatever an agent does, it never fails the capture.
/// </summary>
internal sealed class Freezer(DriverContext context, Thawing thawing)
{
    /// <summary>Those that can be frozen and hold what programs write; all others (images of packages, FAT of the firmware) do not count as left out.</summary>
    private static readonly HashSet<string> Freezable = new(StringComparer.OrdinalIgnoreCase) { "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "nilfs2", "bcachefs", "gfs2", "ocfs2", "NTFS", "ReFS" };

    private readonly ILogger _log = context.Loggers.CreateLogger<Freezer>();
    private readonly Dictionary<CaptureMember, Member> _asked = [];

    private sealed class Member
    {
        public long Began { get; set; }
        public Task<AgentAnswer> Freezing { get; set; } = Task.FromResult(default(AgentAnswer));
        /// <summary>It said that it froze something, and has not said that it is thawed.</summary>
        public bool Frozen { get; set; }
        /// <summary>What it has frozen is not known.</summary>
        public bool Unsettled { get; set; }
    }

    /// <summary>Freezes all members that can be, at once; what came of it is in each member. Ends after the time limit, whatever agents do.</summary>
    public async Task FreezeAsync(IReadOnlyList<CaptureMember> members, CancellationToken stop)
    {
        foreach (var member in members)
            member.Quiescing = !member.Active ? new(QuiesceOutcome.NotRunning)
                : member.Method != MemoryMethod.None ? new(QuiesceOutcome.MemoryCaptured, Reason: "its memory is captured at the same instant")
                : member.Before == RunState.Paused ? new(QuiesceOutcome.NotRunning, Reason: "it is paused, and what it had not written yet is in its memory") : null;
        // Who does not answer, or is frozen by somebody else, is found before anything is frozen: nobody waits frozen for a dead agent.
        var ready = (await Task.WhenAll(members.Where(m => m.Quiescing is null).Select(async m => (Member: m, Expected: await AskAsync(m, stop))))).Where(m => m.Expected is not null).ToList();
        if (ready.Count == 0) return;
        stop.ThrowIfCancellationRequested();
        foreach (var (member, _) in ready)
        {
            _asked[member] = new();
            context.Marks.Begin(member.Machine.Machine);
        }
        await Task.WhenAll(ready.Select(m => FreezeAsync(m.Member, m.Expected!.Value)));
    }

    /// <summary>Thaws a member that was frozen; returns at once for any other. Never throws.</summary>
    public async Task ThawAsync(CaptureMember member)
    {
        if (!_asked.TryGetValue(member, out var asked) || !asked.Frozen) return;
        asked.Frozen = false;
        var answer = await CallAsync(member, "guest-fsfreeze-thaw");
        member.Quiescing = member.Quiescing! with { Frozen = Stopwatch.GetElapsedTime(asked.Began) };
        if (answer is { State: AgentCondition.Answers, Value.ValueKind: JsonValueKind.Number }) context.Marks.Clear(member.Machine.Machine);
        else asked.Unsettled = true;
    }

    /// <summary>Makes sure of all members: thaws what is still frozen, asks those that did not answer until they do, for the time limit at most. Never throws; repeatable.</summary>
    public async Task SettleAsync()
    {
        await Task.WhenAll(_asked.Keys.Select(ThawAsync));
        await Task.WhenAll(_asked.Where(a => a.Value.Unsettled).Select(a => SettleAsync(a.Key, a.Value)));
        foreach (var member in _asked.Keys) context.Marks.Leave(member.Machine.Machine);
    }

    /// <summary>What is to be reported of a member after all; null where nobody asked for quiescing.</summary>
    public static Quiescing? Outcome(CaptureMember member) => member is { Quiescing.Outcome: QuiesceOutcome.MemoryCaptured, Method: MemoryMethod.None }
        ? new(QuiesceOutcome.Refused, Reason: "it was not frozen, because its memory was to be captured, which failed") : member.Quiescing;

    /// <summary>How many file systems are to be frozen (0: not known); null where it cannot be, with the reason in the member.</summary>
    private async Task<int?> AskAsync(CaptureMember member, CancellationToken stop)
    {
        var status = await context.Agent.CallAsync(member.Machine.Machine, "guest-fsfreeze-status", context.Options.AgentPatience, stop);
        var word = status is { State: AgentCondition.Answers, Value.ValueKind: JsonValueKind.String } ? status.Value.GetString() : null;
        if (word == "frozen" && !context.Marks.Has(member.Machine.Machine)) member.Quiescing = new(QuiesceOutcome.Refused, Reason: "its file systems were frozen already, by something else");
        else if (word is "thawed" or "frozen")
        {
            // Frozen by an earlier capture, whose agent woke up late.
            if (context.Marks.Has(member.Machine.Machine)) await thawing.ThawAsync(member.Machine.Machine, context.Options.AgentPatience, stop);
            return Count((await context.Agent.CallAsync(member.Machine.Machine, "guest-get-fsinfo", context.Options.AgentPatience, stop)).Value);
        }
        else member.Quiescing = Failed(status.State == AgentCondition.Answers ? GuestAgent.Nonsense(Ids.Quote(status.Value.GetRawText())) : status);
        return null;
    }

    private async Task FreezeAsync(CaptureMember member, int expected)
    {
        var asked = _asked[member];
        asked.Began = Stopwatch.GetTimestamp();
        asked.Freezing = CallAsync(member, "guest-fsfreeze-freeze");
        AgentAnswer answer;
        try
        {
            // libvirt ends the call by itself; the guard is for a libvirtd that does not.
            answer = await asked.Freezing.WaitAsync(context.Options.AgentPatience + TimeSpan.FromSeconds(1), context.Clock);
        }
        catch (TimeoutException)
        {
            answer = GuestAgent.Late;
        }
        if (answer.State == AgentCondition.Answers && answer.Value.ValueKind == JsonValueKind.Number && answer.Value.TryGetInt32(out var count) && count is >= 0 and <= 1 << 16)
        {
            asked.Frozen = true;
            member.Quiescing = count == 0 ? new(QuiesceOutcome.Refused, Reason: "the guest has no file system that can be frozen")
                : count < expected ? new(QuiesceOutcome.Partial, count, Reason: $"{count} of {expected} file systems were frozen") : new(QuiesceOutcome.Frozen, count);
            return;
        }
        asked.Unsettled = true;
        member.Quiescing = Failed(answer.State == AgentCondition.Answers ? GuestAgent.Nonsense(Ids.Quote(answer.Value.GetRawText())) : answer);
    }

    private async Task SettleAsync(CaptureMember member, Member asked)
    {
        asked.Unsettled = false;
        var machine = member.Machine.Machine;
        string? next;
        try
        {
            // Not before libvirt has given up: until then the request to freeze may not even have been sent.
            await asked.Freezing;
            next = (await thawing.ThawAsync(machine, context.Options.AgentPatience, CancellationToken.None)) is { } finding ? $"{finding.Text} {finding.NextStep}" : null;
        }
        catch (WeaveException error)
        {
            next = $"{error.Message} {error.NextStep}";
        }
        if (next is null) return;
        _log.LogError("Machine {Machine} may be frozen: {Finding}", member.Name, next);
        member.Quiescing = member.Quiescing! with { NotThawed = next };
    }

    /// <summary>A command that is not given up by us, because it changes the guest. An error of libvirt itself is an answer, too.</summary>
    private async Task<AgentAnswer> CallAsync(CaptureMember member, string command)
    {
        try
        {
            return await context.Agent.CallAsync(member.Machine.Machine, command, context.Options.AgentPatience, CancellationToken.None, urgent: true);
        }
        catch (WeaveException error)
        {
            return new(AgentCondition.Refuses, default, error.Message);
        }
    }

    private static Quiescing Failed(AgentAnswer answer) => new(answer.State switch
    {
        AgentCondition.Off or AgentCondition.Paused => QuiesceOutcome.NotRunning,
        AgentCondition.NoChannel => QuiesceOutcome.NoChannel,
        AgentCondition.NotConnected => QuiesceOutcome.NotConnected,
        AgentCondition.Silent => QuiesceOutcome.TimedOut,
        _ => QuiesceOutcome.Refused,
    }, Reason: answer.Reason);

    /// <summary>File systems of the agent's list that can be frozen, one mounted twice counted once. 0 where the list cannot be read.</summary>
    internal static int Count(JsonElement list)
    {
        if (list.ValueKind != JsonValueKind.Array) return 0;
        static string? Text(JsonElement item, string name) => item.ValueKind == JsonValueKind.Object && item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        return list.EnumerateArray().Where(i => Text(i, "type") is { } type && Freezable.Contains(type)).Select(i => Text(i, "name")).OfType<string>().Distinct().Count();
    }
}
