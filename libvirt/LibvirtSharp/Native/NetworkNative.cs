using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Declarations of libvirt-network.h.</summary>
internal static unsafe partial class NetworkNative
{
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkFree", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Free(nint network);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkLookupByName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial NetworkHandle LookupByName(ConnectHandle connect, string name);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkLookupByUUIDString", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial NetworkHandle LookupByUuid(ConnectHandle connect, string uuid);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkDefineXML", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial NetworkHandle DefineXml(ConnectHandle connect, string xml);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkCreateXML", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial NetworkHandle CreateXml(ConnectHandle connect, string xml);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkCreate", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Create(NetworkHandle network);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkDestroy", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Destroy(NetworkHandle network);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkUndefine", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Undefine(NetworkHandle network);

    /// <remarks>The library keeps the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkGetName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetName(NetworkHandle network);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkGetUUIDString", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetUuidString(NetworkHandle network, byte* buffer37);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkGetXMLDesc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetXml(NetworkHandle network, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkGetBridgeName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetBridgeName(NetworkHandle network);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkIsActive", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int IsActive(NetworkHandle network);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkIsPersistent", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int IsPersistent(NetworkHandle network);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkGetAutostart", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetAutostart(NetworkHandle network, out int autostart);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkSetAutostart", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetAutostart(NetworkHandle network, int autostart);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkUpdate", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Update(NetworkHandle network, uint command, uint section, int parentIndex, string xml, uint flags);

    /// <remarks>The caller frees the array and each lease.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkGetDHCPLeases", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetDhcpLeases(NetworkHandle network, string? mac, out NativeDhcpLease** leases, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNetworkDHCPLeaseFree", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial void DhcpLeaseFree(NativeDhcpLease* lease);
}
