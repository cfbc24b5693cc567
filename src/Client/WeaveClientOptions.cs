namespace WeaveHypervisor.Client;

/// <summary>How patient a <see cref="WeaveClient"/> is.</summary>
public sealed record WeaveClientOptions
{
    /// <summary>How long an answer may take that the service gives from what it knows.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(100);
    /// <summary>How long an answer may take for which the service asks the hypervisor: the host check and the reconciliation.</summary>
    public TimeSpan HostTimeout { get; init; } = TimeSpan.FromMinutes(10);
    /// <summary>How long a comparison of disks may take, which reads whole disks where they have nothing in common.</summary>
    public TimeSpan DiffTimeout { get; init; } = TimeSpan.FromMinutes(30);
    /// <summary>How long a stream of events may be silent before it is taken for dead; the service gives a sign of life every 15 seconds.</summary>
    public TimeSpan StreamSilence { get; init; } = TimeSpan.FromSeconds(60);
    /// <summary>How often a request is sent again whose answer was lost; 0: never.</summary>
    public int Retries { get; init; } = 4;
    /// <summary>The wait before a request is sent again; doubled for each further time.</summary>
    public TimeSpan FirstRetryDelay { get; init; } = TimeSpan.FromMilliseconds(250);
    /// <summary>The wait before an operation is asked for again whose events broke off.</summary>
    public TimeSpan WatchPause { get; init; } = TimeSpan.FromMilliseconds(500);
    /// <summary>How often in a row a service that does not answer is asked for a watched operation.</summary>
    public int WatchPatience { get; init; } = 60;
}
