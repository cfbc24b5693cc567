namespace WeaveHypervisor.HyperV.Cim;

/// <summary>Status codes of CIM operations (DSP0200 5.2.5), with their numbers; a host may answer others.</summary>
public enum CimStatus
{
    Failed = 1,
    AccessDenied = 2,
    InvalidNamespace = 3,
    InvalidParameter = 4,
    InvalidClass = 5,
    NotFound = 6,
    NotSupported = 7,
    AlreadyExists = 11,
    NoSuchProperty = 12,
    TypeMismatch = 13,
    QueryLanguageNotSupported = 14,
    InvalidQuery = 15,
    MethodNotAvailable = 16,
    MethodNotFound = 17,
    /// <summary>The server does not answer: it is restarting, or the connection was lost. The call may have had its effect.</summary>
    ServerShuttingDown = 27,
}

/// <summary>A CIM call that the server refused or that did not reach it. <see cref="HostErrors"/> tells what to make of it.</summary>
public sealed class CimException(CimStatus status, string message, uint? hresult = null, Exception? inner = null) : Exception(message, inner)
{
    public CimStatus Status { get; } = status;

    /// <summary>The Windows error that the server named beside the status; null where it named none.</summary>
    public uint? WindowsError { get; } = hresult;
}
