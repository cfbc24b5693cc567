using System.Runtime.InteropServices;
using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <summary>An error that libvirt reported.</summary>
public sealed class LibvirtException : Exception
{
    /// <summary>Makes an error with libvirt's own terms.</summary>
    public LibvirtException(VirErrorCode code, VirErrorDomain domain, VirErrorLevel level, string message) : base(message) =>
        (Code, Domain, Level) = (code, domain, level);

    /// <summary>What failed. A newer libvirt may report a number that the enum does not name.</summary>
    public VirErrorCode Code { get; }

    /// <summary>Which part of libvirt reported it.</summary>
    public VirErrorDomain Domain { get; }

    /// <summary>Warning or error.</summary>
    public VirErrorLevel Level { get; }

    /// <summary>Reads this thread's last error. Must run on the thread of the failed call, before any other libvirt call.</summary>
    internal static unsafe LibvirtException FromLastError()
    {
        // Sound: the pointer is this thread's own error record, valid until its next libvirt call.
        var error = ConnectNative.GetLastError();
        return error == null
            ? new LibvirtException(VirErrorCode.InternalError, VirErrorDomain.None, VirErrorLevel.Error, "libvirt reported a failure without a reason")
            : new LibvirtException((VirErrorCode)error->Code, (VirErrorDomain)error->Domain, (VirErrorLevel)error->Level,
                Marshal.PtrToStringUTF8(error->Message) ?? "libvirt gave no message");
    }
}

/// <summary>The libvirt client library, or a function that needs a newer one, is not on this machine. The message says what to install.</summary>
public sealed class LibvirtMissingException : Exception
{
    /// <summary>Makes the error.</summary>
    public LibvirtMissingException(string message, Exception? inner = null) : base(message, inner)
    {
    }
}
