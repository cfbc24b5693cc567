using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Declarations of libvirt-qemu.h.</summary>
internal static unsafe partial class QemuNative
{
    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.LibvirtQemu, EntryPoint = "virDomainQemuMonitorCommand", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int MonitorCommand(DomainHandle domain, string command, out nint result, uint flags);

    /// <remarks>The caller frees the result and the array and closes each descriptor.</remarks>
    [LibraryImport(LibvirtLibrary.LibvirtQemu, EntryPoint = "virDomainQemuMonitorCommandWithFiles", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int MonitorCommandWithFiles(DomainHandle domain, string command, uint inCount, int* inFiles, out uint outCount, out int* outFiles, out nint result, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.LibvirtQemu, EntryPoint = "virDomainQemuAgentCommand", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint AgentCommand(DomainHandle domain, string command, int timeoutSeconds, uint flags);
}
