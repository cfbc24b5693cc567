using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV;

/// <summary>The one place where errors of a Hyper-V host become <see cref="WeaveException"/>s. The host's own codes are told apart before, in <see cref="HostErrors"/>.</summary>
internal static class HyperVFaults
{
    public static WeaveException From(HostException error) => new(FaultOf(error.Kind), $"{error.Message.TrimEnd('.')}.", NextStep(error.Kind), error);

    public static WeaveException From(CimException error, string what) => From(HostErrors.Of(error, what));

    /// <summary>Makes a call on a host; its errors become <see cref="WeaveException"/>s.</summary>
    /// <param name="what">What is done, for the message of an error that says no more: "Looking for machines".</param>
    public static async Task<T> AskAsync<T>(Func<Task<T>> call, string what)
    {
        try
        {
            return await call();
        }
        catch (HostException e)
        {
            throw From(e);
        }
        catch (CimException e)
        {
            throw From(e, what);
        }
    }

    /// <inheritdoc cref="AskAsync{T}"/>
    public static Task DoAsync(Func<Task> call, string what) => AskAsync(async () =>
    {
        await call();
        return true;
    }, what);

    internal static Fault FaultOf(HostErrorKind kind) => kind switch
    {
        HostErrorKind.InvalidRequest => Fault.Internal,      // what we send is ours to get right
        HostErrorKind.NotFound => Fault.NotFound,
        HostErrorKind.AlreadyExists => Fault.AlreadyExists,
        HostErrorKind.InvalidState => Fault.Conflict,
        HostErrorKind.InUse => Fault.Busy,
        HostErrorKind.Unsupported => Fault.Unsupported,
        HostErrorKind.NoSpace or HostErrorKind.NoMemory => Fault.Exhausted,
        HostErrorKind.AccessDenied or HostErrorKind.Unavailable or HostErrorKind.TimedOut or HostErrorKind.OutcomeUnknown => Fault.Unavailable,
        HostErrorKind.Damaged => Fault.DataLoss,
        HostErrorKind.TrackingLost => Fault.DataLoss,
        HostErrorKind.Failed => Fault.Internal,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    private static string? NextStep(HostErrorKind kind) => kind switch
    {
        HostErrorKind.AccessDenied => "Run the service as a member of Hyper-V Administrators or Administrators, and elevated.",
        HostErrorKind.NoSpace => "Make space on the host's volume.",
        HostErrorKind.NoMemory => "Stop machines, or give the host more memory.",
        HostErrorKind.InUse or HostErrorKind.Unavailable => "Try again; if it lasts, look at the service vmms and its event log (Hyper-V-VMMS-Admin).",
        HostErrorKind.TimedOut or HostErrorKind.OutcomeUnknown => "Look at the machine in Hyper-V Manager before it is done again.",
        _ => null,
    };
}
