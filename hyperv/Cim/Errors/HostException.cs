namespace WeaveHypervisor.HyperV.Cim;

/// <summary>What kind of failure it is, chosen by what a caller can do next.</summary>
public enum HostErrorKind
{
    /// <summary>The call itself is wrong: a parameter, a class, a text. Never succeeds as it is.</summary>
    InvalidRequest,
    /// <summary>The object or file is not there.</summary>
    NotFound,
    /// <summary>A file or object of that name is there already.</summary>
    AlreadyExists,
    /// <summary>The machine's state forbids it; from settings calls also: something else is at work on it.</summary>
    InvalidState,
    /// <summary>Something else is at work on the machine, or has the file open; may succeed later.</summary>
    InUse,
    /// <summary>The host cannot do it, or has no such class.</summary>
    Unsupported,
    NoSpace,
    NoMemory,
    AccessDenied,
    /// <summary>The management service does not answer now, and did not get the call.</summary>
    Unavailable,
    /// <summary>A disk or its chain is damaged, or a parent is missing or was changed.</summary>
    Damaged,
    /// <summary>Changed blocks are not known: the id, the tracking file or the tracking itself is gone. A full read helps.</summary>
    TrackingLost,
    /// <summary>It did not end in time and may still be going on.</summary>
    TimedOut,
    /// <summary>Whether it was done cannot be known (the service restarted, the job is gone): look at the effect before anything is repeated.</summary>
    OutcomeUnknown,
    /// <summary>Failed without a reason that anybody has classified.</summary>
    Failed,
}

/// <summary>One message of a job: an error, or a finding or warning of a job that succeeded.</summary>
/// <param name="Id">The provider's number of the message (33012: switch not found); empty where it gave none.</param>
/// <param name="Text">In the language of the host: for people, never for decisions.</param>
/// <param name="Source">What it is about, as the provider names it; empty where it does not say.</param>
public sealed record HostMessage(string Id, string Text, string Source);

/// <summary>
/// Something that a host did not do. <see cref="Exception.Message"/> says what was asked of what and what the host answered, in one sentence.
/// </summary>
/// <param name="kind">Control flow depends on this alone.</param>
/// <param name="code">The host's own code, as a number or name ("32775", "InvalidClass").</param>
/// <param name="windowsError">The Windows error found in the answer or its texts (0x80070050); null where there was none.</param>
public sealed class HostException(HostErrorKind kind, string message, string code = "", uint? windowsError = null, IReadOnlyList<HostMessage>? messages = null, Exception? inner = null)
    : Exception(message, inner)
{
    public HostErrorKind Kind { get; } = kind;
    public string Code { get; } = code;
    public uint? WindowsError { get; } = windowsError;

    /// <summary>What a job said beside its own error.</summary>
    public IReadOnlyList<HostMessage> Messages { get; } = messages ?? [];
}
