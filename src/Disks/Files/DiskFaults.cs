using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>The one place where errno values and <see cref="IOException"/>s of file operations become <see cref="WeaveException"/>s.</summary>
public static class DiskFaults
{
    private const int EPerm = 1, ENoEnt = 2, EIo = 5, EAccess = 13, EExist = 17, ENotDir = 20, ENoSpace = 28, EReadOnly = 30, ENotEmpty = 39, ELoop = 40, EQuota = 122;

    /// <summary>The exception for errno <paramref name="error"/> after "tried to <paramref name="what"/>".</summary>
    /// <param name="writes">Something new was to be written: see <see cref="WeaveException.NotWritten"/>.</param>
    public static WeaveException FromErrno(int error, string what, Exception? inner = null, bool writes = false)
    {
        var (fault, reason, next) = error switch
        {
            ENoEnt or ENotDir => (Fault.NotFound, "there is no such file or folder", "Check the path."),
            EExist => (Fault.AlreadyExists, "it exists already", (string?)null),
            ENotEmpty => (Fault.Conflict, "the folder is not empty", null),
            ELoop => (Fault.DataLoss, "its symbolic links lead in a circle", "Point at the file itself."),
            EPerm or EAccess => (Fault.Unavailable, "access is denied", "Run the service as a user with rights on the storage folder."),
            EReadOnly => (Fault.Unavailable, "the file system is read-only", "Mount it writable."),
            ENoSpace or EQuota => (Fault.Exhausted, "no space is left", "Free space on that file system and try again."),
            EIo => (Fault.DataLoss, "the storage reported an input/output error", "Look at the kernel log for the disk below."),
            _ => (Fault.Internal, $"error {error}", null),
        };
        return new(fault, $"Could not {what}: {reason}.", next, inner) { NotWritten = writes };
    }

    /// <summary>Translates what .NET's file calls throw; anything that is no file error is given back as Internal.</summary>
    public static WeaveException From(Exception error, string what, bool writes = false) => error switch
    {
        WeaveException known => known,
        FileNotFoundException or DirectoryNotFoundException => FromErrno(ENoEnt, what, error, writes),
        UnauthorizedAccessException => FromErrno(EAccess, what, error, writes),
        PathTooLongException => new(Fault.InvalidRequest, $"Could not {what}: the path is too long.", "Use shorter names.", error),
        // On Unix .NET keeps the raw errno in HResult; on Windows it is a Win32 code (39 and 112: disk full, 80 and 183: exists).
        IOException when !OperatingSystem.IsWindows() => FromErrno(error.HResult, what, error, writes),
        IOException => (error.HResult & 0xffff) switch
        {
            39 or 112 => FromErrno(ENoSpace, what, error, writes),
            80 or 183 => FromErrno(EExist, what, error, writes),
            _ => new(Fault.Internal, $"Could not {what}: {error.Message}", null, error),
        },
        _ => new(Fault.Internal, $"Could not {what}: {error.Message}", null, error),
    };
}
