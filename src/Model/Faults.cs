namespace WeaveHypervisor.Model;

/// <summary>
/// What went wrong, chosen by what the caller should do next. Every foreign error code (libvirt, QMP, errno, SQL) is
/// translated to one of these in exactly one file per code space; HTTP status and exit code follow from it by one table each.
/// Cancellation is not a fault: it stays <see cref="OperationCanceledException"/>.
/// </summary>
public enum Fault
{
    /// <summary>The request itself is wrong and will never succeed as it is (bad name, time in the future).</summary>
    InvalidRequest,
    /// <summary>The named thing does not exist.</summary>
    NotFound,
    /// <summary>A thing of that name exists already.</summary>
    AlreadyExists,
    /// <summary>The thing exists, but its state, or something that holds it, forbids the request.</summary>
    Conflict,
    /// <summary>Another operation holds the thing now; the same request may succeed later.</summary>
    Busy,
    /// <summary>This host, hypervisor or machine cannot do that at all; the message names the condition and the way out.</summary>
    Unsupported,
    /// <summary>Space, memory, addresses or descriptors have run out, or would.</summary>
    Exhausted,
    /// <summary>A part that is needed (libvirtd, database, guest agent) does not answer now.</summary>
    Unavailable,
    /// <summary>Stored data is missing or damaged.</summary>
    DataLoss,
    /// <summary>A bug of ours, or an error that nobody has classified yet.</summary>
    Internal,
}

/// <summary>
/// The one exception type of the product. <see cref="Exception.Message"/> says what was tried, on what, and why it failed, in one
/// sentence for an administrator; <see cref="NextStep"/> says what to do about it.
/// </summary>
public sealed class WeaveException : Exception
{
    public WeaveException(Fault fault, string message, string? nextStep = null, Exception? inner = null, IReadOnlyList<string>? holders = null)
        : base(message, inner)
    {
        Fault = fault;
        NextStep = nextStep;
        Holders = holders ?? [];
    }

    /// <summary>The kind of failure; control flow depends on this and never on the message.</summary>
    public Fault Fault { get; }

    /// <summary>What the reader should do next, as an imperative sentence; null where nothing better than the message is known.</summary>
    public string? NextStep { get; }

    /// <summary>Names of the things that hold what was to be changed (weaves, snapshots); empty where nothing holds it.</summary>
    public IReadOnlyList<string> Holders { get; }

    /// <summary>Something new of the service's own could not be written or put into place: nothing is said by it of what was there before.</summary>
    public bool NotWritten { get; init; }

    /// <summary>True where the same call may succeed later without any change by the caller.</summary>
    public bool IsTransient => Fault is Fault.Busy or Fault.Unavailable;
}
