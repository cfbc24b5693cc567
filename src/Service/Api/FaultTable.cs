using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Api;

/// <summary>The one table from faults to HTTP (RFC 9110 §15, RFC 4918 §11). Total: a fault without a line here does not start.</summary>
public static class FaultTable
{
    /// <summary>The status code that answers a fault.</summary>
    public static int Status(Fault fault) => fault switch
    {
        Fault.InvalidRequest => 400,
        Fault.NotFound => 404,
        Fault.AlreadyExists => 409,
        Fault.Conflict => 409,
        Fault.Busy => 503,
        Fault.Unsupported => 422,
        Fault.Exhausted => 507,
        Fault.Unavailable => 503,
        Fault.DataLoss => 500,
        Fault.Internal => 500,
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "This fault has no HTTP status."),
    };

    /// <summary>Seconds after which the same request may succeed; null where waiting alone does not help.</summary>
    public static int? RetryAfter(Fault fault) => fault switch { Fault.Busy => 2, Fault.Unavailable => 10, _ => null };

    /// <summary>Exit code of this program, by the table of the command line: 2 usage, 3 not found, 4 refused, 5 unavailable, 1 failed.</summary>
    public static int ExitCode(Fault fault) => fault switch
    {
        Fault.InvalidRequest => 2,
        Fault.NotFound => 3,
        Fault.AlreadyExists or Fault.Conflict or Fault.Unsupported or Fault.Exhausted => 4,
        Fault.Busy or Fault.Unavailable => 5,
        Fault.DataLoss or Fault.Internal => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "This fault has no exit code."),
    };
}
