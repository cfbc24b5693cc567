using System.Globalization;
using System.Text.RegularExpressions;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// The one table from a host's code spaces to <see cref="HostErrorKind"/>: CIM status codes, return values of methods, Windows errors (also those of virtual disks, 0xC03A....).
/// Where a Windows error is known it decides, because return values and job codes mostly say "failed".
/// </summary>
public static partial class HostErrors
{
    /// <summary>A call that did not get through. What is cancelled is not translated.</summary>
    public static HostException Of(CimException error, string what) =>
        new(error.WindowsError is { } windows && OfWindows(windows) is { } kind ? kind : Of(error.Status), $"{what}: {Sentence(error.Message)} ({error.Status}{Code(error.WindowsError)})",
            error.Status.ToString(), error.WindowsError, inner: error);

    /// <summary>A method that answered neither 0 nor 4096.</summary>
    public static HostException OfReturn(uint value, string what) => new(OfReturn(value), $"{what}: {NameReturn(value)} ({value})", value.ToString(CultureInfo.InvariantCulture));

    /// <summary>A job that ended with an error. Its texts hold the Windows error, if any.</summary>
    public static HostException OfJob(uint code, string? text, IReadOnlyList<HostMessage> messages, string what)
    {
        var windows = messages.Select(m => FindWindowsError(m.Text)).Prepend(FindWindowsError(text)).FirstOrDefault(e => e is not null);
        var kind = windows is { } w && OfWindows(w) is { } known ? known : OfReturn(code);
        var all = messages.Select(m => m.Text).Prepend(text ?? "").Select(Sentence).Where(t => t.Length > 0).Distinct(StringComparer.Ordinal).ToList();
        return new(kind, $"{what}: {(all.Count == 0 ? "the job failed without a reason" : string.Join("; ", all))} (job error {code})", code.ToString(CultureInfo.InvariantCulture), windows, messages);
    }

    /// <summary>A file operation of Windows, by the exception's HResult.</summary>
    public static HostException OfFile(Exception error, string what) =>
        new(OfWindows(unchecked((uint)error.HResult)) ?? HostErrorKind.Failed, $"{what}: {Sentence(error.Message)}", $"0x{error.HResult:X8}", unchecked((uint)error.HResult), inner: error);

    /// <summary>The kind of a CIM status.</summary>
    public static HostErrorKind Of(CimStatus status) => status switch
    {
        CimStatus.AccessDenied => HostErrorKind.AccessDenied,
        CimStatus.InvalidNamespace or CimStatus.InvalidClass or CimStatus.NotSupported or CimStatus.MethodNotFound or CimStatus.MethodNotAvailable => HostErrorKind.Unsupported,
        CimStatus.InvalidParameter or CimStatus.NoSuchProperty or CimStatus.TypeMismatch or CimStatus.InvalidQuery or CimStatus.QueryLanguageNotSupported => HostErrorKind.InvalidRequest,
        CimStatus.NotFound => HostErrorKind.NotFound,
        CimStatus.AlreadyExists => HostErrorKind.AlreadyExists,
        CimStatus.ServerShuttingDown => HostErrorKind.Unavailable,
        _ => HostErrorKind.Failed,
    };

    /// <summary>The kind of a method's return value, or of a job's ErrorCode, which is in the same space.</summary>
    public static HostErrorKind OfReturn(uint value) => value switch
    {
        1 or 32770 => HostErrorKind.Unsupported,
        3 or 32772 or 32777 => HostErrorKind.Unavailable,
        4 or 6 or 32773 or 32776 => HostErrorKind.InvalidRequest,
        5 or 32775 => HostErrorKind.InvalidState,
        32769 => HostErrorKind.AccessDenied,
        32771 => HostErrorKind.OutcomeUnknown,
        32774 or 32779 => HostErrorKind.InUse,
        32778 => HostErrorKind.NoMemory,
        _ => HostErrorKind.Failed,
    };

    /// <summary>The kind of a Windows error; null for one that says nothing more than its carrier.</summary>
    public static HostErrorKind? OfWindows(uint error) => error switch
    {
        0x80070002 or 0x80070003 or 0x80041002 => HostErrorKind.NotFound,
        0x80070005 or 0x80041003 or 0xC03A0016 => HostErrorKind.AccessDenied,
        0x80070020 or 0x80070021 => HostErrorKind.InUse,
        0x80070050 or 0x800700B7 or 0x80041019 => HostErrorKind.AlreadyExists,
        0x80070070 or 0x80070027 => HostErrorKind.NoSpace,
        0x8007000E or 0x800705AA => HostErrorKind.NoMemory,
        0x80070057 or 0x8007007B or 0xC03A0012 or 0xC03A001B => HostErrorKind.InvalidRequest,
        0x80041010 or 0x8004100E or 0xC03A0014 => HostErrorKind.Unsupported,
        0x800706BA => HostErrorKind.Unavailable,
        0x800706BE or 0x80010108 => HostErrorKind.OutcomeUnknown,
        0xC03A001C => HostErrorKind.InvalidState,
        0xC03A000D or 0xC03A000E or 0xC03A000F or 0xC03A0017 or 0xC03A0018 or 0xC03A0019 or 0x80070017 or 0x80070570 => HostErrorKind.Damaged,
        0xC03A0023 or 0xC03A0029 or 0xC03A002A or 0xC03A0030 => HostErrorKind.TrackingLost,
        _ => null,
    };

    private static string NameReturn(uint value) => OfReturn(value) switch
    {
        HostErrorKind.Unsupported => "the host does not support it",
        HostErrorKind.Unavailable => "the host did not answer it in time",
        HostErrorKind.InvalidRequest => "the host refuses a parameter",
        HostErrorKind.InvalidState => "not possible in the present state",
        HostErrorKind.AccessDenied => "access denied",
        HostErrorKind.OutcomeUnknown => "the host does not know how it ended",
        HostErrorKind.InUse => "something else is at work on it",
        HostErrorKind.NoMemory => "the host is out of memory",
        _ => "it failed",
    };

    /// <summary>The Windows error that a message names, as in <c>… ('0x80070050')</c>; the first one if there are several.</summary>
    internal static uint? FindWindowsError(string? text) =>
        text is not null && Hexadecimal().Match(text) is { Success: true } match ? uint.Parse(match.Groups[1].ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture) : null;

    private static string Code(uint? error) => error is { } e ? $", 0x{e:X8}" : "";

    private static string Sentence(string text) => text.ReplaceLineEndings(" ").Trim().TrimEnd('.');

    [GeneratedRegex(@"0x([89CcDd][0-9A-Fa-f]{7})(?![0-9A-Fa-f])", RegexOptions.CultureInvariant)]
    private static partial Regex Hexadecimal();
}
