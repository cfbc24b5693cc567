using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Declarations of libvirt-domain.h.</summary>
internal static unsafe partial class DomainNative
{
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainFree", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Free(nint domain);

    /// <remarks>The library keeps the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetName(nint domain);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetUUIDString", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetUuidString(nint domain, byte* buffer37);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetID", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial uint GetId(DomainHandle domain);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainLookupByName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial DomainHandle LookupByName(ConnectHandle connect, string name);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainLookupByUUIDString", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial DomainHandle LookupByUuid(ConnectHandle connect, string uuid);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainLookupByID", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial DomainHandle LookupById(ConnectHandle connect, int id);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainDefineXMLFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial DomainHandle DefineXml(ConnectHandle connect, string xml, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainCreateXML", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial DomainHandle CreateXml(ConnectHandle connect, string xml, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainCreateXMLWithFiles", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial DomainHandle CreateXmlWithFiles(ConnectHandle connect, string xml, uint count, int* files, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainCreateWithFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Create(DomainHandle domain, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSuspend", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Suspend(DomainHandle domain);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainResume", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Resume(DomainHandle domain);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainShutdownFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Shutdown(DomainHandle domain, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainReboot", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Reboot(DomainHandle domain, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainReset", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Reset(DomainHandle domain, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainDestroyFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Destroy(DomainHandle domain, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainUndefineFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Undefine(DomainHandle domain, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetXMLDesc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetXml(DomainHandle domain, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetState", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetState(DomainHandle domain, out int state, out int reason, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetInfo", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetInfo(DomainHandle domain, out NativeDomainInfo info);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainIsPersistent", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int IsPersistent(DomainHandle domain);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainIsActive", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int IsActive(DomainHandle domain);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetAutostart", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetAutostart(DomainHandle domain, out int autostart);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSetAutostart", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetAutostart(DomainHandle domain, int autostart);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetBlockInfo", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetBlockInfo(DomainHandle domain, string disk, out DomainBlockInfo info, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainBlockCommit", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int BlockCommit(DomainHandle domain, string disk, string? baseLayer, string? top, CULong bandwidth, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainBlockRebase", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int BlockRebase(DomainHandle domain, string disk, string? baseLayer, CULong bandwidth, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainBlockPull", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int BlockPull(DomainHandle domain, string disk, CULong bandwidth, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainBlockCopy", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int BlockCopy(DomainHandle domain, string disk, string destinationXml, nint parameters, int parameterCount, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainBlockJobAbort", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int BlockJobAbort(DomainHandle domain, string disk, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetBlockJobInfo", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetBlockJobInfo(DomainHandle domain, string disk, out NativeBlockJobInfo info, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainAttachDeviceFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int AttachDevice(DomainHandle domain, string xml, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainDetachDeviceFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int DetachDevice(DomainHandle domain, string xml, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainUpdateDeviceFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int UpdateDevice(DomainHandle domain, string xml, uint flags);

    /// <remarks>The caller frees the array and each interface.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainInterfaceAddresses", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int InterfaceAddresses(DomainHandle domain, out NativeInterface** interfaces, uint source, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainInterfaceFree", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial void InterfaceFree(NativeInterface* value);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainFSFreeze", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int FsFreeze(DomainHandle domain, nint mountpoints, uint count, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainFSThaw", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int FsThaw(DomainHandle domain, nint mountpoints, uint count, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSetTime", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetTime(DomainHandle domain, long seconds, uint nanoseconds, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainGetMetadata", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetMetadata(DomainHandle domain, int type, string? uri, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSetMetadata", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetMetadata(DomainHandle domain, int type, string? metadata, string? key, string? uri, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainMemoryStats", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int MemoryStats(DomainHandle domain, NativeMemoryStat* stats, uint count, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSaveFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Save(DomainHandle domain, string path, string? xml, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainRestoreFlags", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Restore(ConnectHandle connect, string path, string? xml, uint flags);
}
