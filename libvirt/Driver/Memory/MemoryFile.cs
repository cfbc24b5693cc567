using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>A file without a name or a disk (memfd), gone with its last descriptor; for what another process is to write while nothing may wait for a disk.</summary>
internal sealed partial class MemoryFile : IDisposable
{
    private readonly SafeFileHandle _file;

    public MemoryFile(string name)
    {
        _file = Create(name, CloseOnExec);
        if (_file.IsInvalid) throw new WeaveException(Fault.Internal, $"No file in memory could be made: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.", "Look at the host: is it out of memory or descriptors?");
    }

    /// <summary>A descriptor that can only be written.</summary>
    public SafeFileHandle OpenForWriting() => File.OpenHandle(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{(int)_file.DangerousGetHandle()}"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite);

    /// <summary>All that was written, from the beginning; the stream does not close the file.</summary>
    public Stream OpenForReading() => new FileStream(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{(int)_file.DangerousGetHandle()}"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);

    public void Dispose() => _file.Dispose();

    private const uint CloseOnExec = 1;

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Create(string name, uint flags);
}
