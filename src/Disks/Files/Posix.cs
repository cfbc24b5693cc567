using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace WeaveHypervisor.Disks;

/// <summary>The few Linux calls for which .NET has no equal. Never reached on Windows.</summary>
internal static partial class Posix
{
    // Equal on x86-64 and arm64 but for O_DIRECTORY, which is therefore not used: fsync of a folder needs only O_RDONLY.
    private const int ReadOnly = 0, NonBlocking = 0x800, CloseOnExec = 0x80000;
    private const int WorkingDirectory = -100, EmptyPath = 0x1000;
    private const int Interrupted = 4, NoSuchAddress = 6, InvalidArgument = 22;

    /// <summary>Opens for reading and never waits, also not on a FIFO that nobody writes.</summary>
    public static SafeFileHandle OpenForReading(string path, string what)
    {
        int descriptor;
        while ((descriptor = open(path, ReadOnly | NonBlocking | CloseOnExec, 0)) < 0)
            if (Marshal.GetLastPInvokeError() is var error && error != Interrupted) throw DiskFaults.FromErrno(error, what);
        return new(descriptor, ownsHandle: true);
    }

    public static void Sync(SafeFileHandle handle, string what)
    {
        while (fsync(handle) != 0)
            if (Marshal.GetLastPInvokeError() is var error && error != Interrupted) throw DiskFaults.FromErrno(error, what);
    }

    public static void ChangeOwner(string path, uint user, uint group, string what)
    {
        if (lchown(path, user, group) != 0) throw DiskFaults.FromErrno(Marshal.GetLastPInvokeError(), what);
    }

    /// <summary>The kernel's statx answer (its layout is the same on every architecture) for a path, symbolic links followed.</summary>
    public static StatX Stat(string path, string what)
    {
        if (statx(WorkingDirectory, path, 0, 0x7ff, out var facts) != 0) throw DiskFaults.FromErrno(Marshal.GetLastPInvokeError(), what);
        return facts;
    }

    public static StatX Stat(SafeFileHandle handle, string what)
    {
        var held = false;
        try
        {
            handle.DangerousAddRef(ref held);
            if (statx((int)handle.DangerousGetHandle(), "", EmptyPath, 0x7ff, out var facts) != 0) throw DiskFaults.FromErrno(Marshal.GetLastPInvokeError(), what);
            return facts;
        }
        finally
        {
            if (held) handle.DangerousRelease();
        }
    }

    /// <summary>Start of the first data at or behind <paramref name="from"/>; null where only a hole follows.</summary>
    public static long? SeekData(SafeFileHandle handle, long from, string what)
    {
        if (lseek(handle, from, 3) is var at and >= 0) return at;
        return Marshal.GetLastPInvokeError() switch { NoSuchAddress => null, InvalidArgument => from, var error => throw DiskFaults.FromErrno(error, what) };
    }

    /// <summary>Start of the first hole behind <paramref name="from"/>; the end of the file counts as one.</summary>
    public static long SeekHole(SafeFileHandle handle, long from, string what)
    {
        if (lseek(handle, from, 4) is var at and >= 0) return at;
        return Marshal.GetLastPInvokeError() switch { InvalidArgument => long.MaxValue, var error => throw DiskFaults.FromErrno(error, what) };
    }

    /// <summary>Tells the system that the range will be read soon. Only advice: what comes of it is not told.</summary>
    public static void WillRead(SafeFileHandle handle, long offset, long length) => posix_fadvise(handle, offset, length, 3);

    /// <summary>linux/stat.h, struct statx: 256 bytes.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct StatX
    {
        [FieldOffset(20)] public uint User;
        [FieldOffset(24)] public uint Group;
        [FieldOffset(28)] public ushort Mode;
        [FieldOffset(32)] public ulong Inode;
        [FieldOffset(40)] public ulong Size;
        [FieldOffset(48)] public ulong Blocks;
        [FieldOffset(112)] public long ModifiedSeconds;
        [FieldOffset(120)] public uint ModifiedRest;
        [FieldOffset(136)] public uint DeviceMajor;
        [FieldOffset(140)] public uint DeviceMinor;
        /// <summary>Since 1970; the kernel counts in steps of its clock tick, 1 to 10 ms.</summary>
        public readonly long ModifiedNanoseconds => ModifiedSeconds * 1_000_000_000 + ModifiedRest;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(SafeFileHandle descriptor, long offset, int whence);

    [LibraryImport("libc")]
    private static partial int posix_fadvise(SafeFileHandle descriptor, long offset, long length, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle descriptor);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int lchown(string path, uint user, uint group);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, out StatX facts);
}
