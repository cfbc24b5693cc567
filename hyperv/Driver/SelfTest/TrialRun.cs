using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Inspecting;

namespace WeaveHypervisor.HyperV.SelfTest;

/// <summary>A group of questions. It finds the host free of all that trials before it have made, and leaves the clearing to the run.</summary>
internal interface IHostTrial
{
    /// <summary>One word, as answers and progress name it.</summary>
    string Name { get; }

    Task AskAsync(TrialRun run, CancellationToken stop);
}

/// <summary>One run of the self-test: what is found out so far, and how questions are asked.</summary>
internal sealed class TrialRun(DriverContext context, TrialThings things, TrialSweep sweep, Action<TrialAnswer> tell)
{
    private readonly List<TrialAnswer> _answers = [];

    public DriverContext Context => context;
    public TrialThings Things => things;

    /// <summary>What trials have found; each sets what it is about.</summary>
    public CapabilityRecord Found { get; set; } = new();
    public IReadOnlyList<TrialAnswer> Answers => _answers;

    /// <summary>What trials so far have found, applied to copies.</summary>
    public TrialCopies Copies => new(things, Found.TakesAvhdxAsParent, Found.GrantsParents, Found.SavesPaused);

    /// <summary>
    /// Asks the host by trying it, from a clear beginning. A refusal counts when it comes twice: one alone may be an accident. What says nothing about the host's ways (it does not answer, an outcome that is not
    /// known, no space) is thrown.
    /// </summary>
    public async Task<bool> AskAsync(IHostTrial trial, string question, Func<Task<Seen>> attempt, CancellationToken stop)
    {
        Seen seen = default;
        for (var i = 0; i < 2; i++)
        {
            await sweep.RunAsync(stop);
            seen = await TryAsync(attempt, question);
            if (seen.Yes) break;
        }
        Add(trial, question, seen.Yes ? TrialOutcome.Ok : TrialOutcome.Not, seen.What);
        return seen.Yes;
    }

    public void Skip(IHostTrial trial, string question, string why) => Add(trial, question, TrialOutcome.Skipped, why);

    private void Add(IHostTrial trial, string question, TrialOutcome outcome, string seen)
    {
        var answer = new TrialAnswer(trial.Name, question, outcome, seen);
        _answers.Add(answer);
        tell(answer);
    }

    private static async Task<Seen> TryAsync(Func<Task<Seen>> attempt, string question)
    {
        try
        {
            return await attempt();
        }
        catch (HostException e) when (IsAnswer(e.Kind))
        {
            return Seen.Not(e.Message);
        }
        catch (CimException e) when (IsAnswer(HostErrors.Of(e, question).Kind))
        {
            return Seen.Not(HostErrors.Of(e, question).Message);
        }
    }

    /// <summary>The host has said no. Other errors say that it did not get to answer.</summary>
    private static bool IsAnswer(HostErrorKind kind) => kind is HostErrorKind.InvalidRequest or HostErrorKind.NotFound or HostErrorKind.AlreadyExists or HostErrorKind.InvalidState or HostErrorKind.InUse
        or HostErrorKind.Unsupported or HostErrorKind.AccessDenied or HostErrorKind.Damaged or HostErrorKind.TrackingLost or HostErrorKind.Failed;
}
