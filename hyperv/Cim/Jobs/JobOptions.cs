namespace WeaveHypervisor.HyperV.Cim;

/// <summary>How jobs are waited for.</summary>
public sealed record JobOptions
{
    /// <summary>From the call to the first look at its job, and the first step of the growing pause between looks.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>The longest pause between looks.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a call that is refused because something else is at work on the machine is made again.</summary>
    public TimeSpan BusyFor { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a job that was asked to end may take for it before it is killed.</summary>
    public TimeSpan CancelGrace { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>How a call ended that succeeded.</summary>
/// <param name="Answer">Its out parameters; mostly empty where there was a job.</param>
/// <param name="Job">The job as it was last seen; null where the call was done at once.</param>
/// <param name="Messages">Warnings and findings; read where the job ended with warnings, or where they were asked for.</param>
public sealed record JobOutcome(CimAnswer Answer, CimObject? Job, IReadOnlyList<HostMessage> Messages);
