using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Declarations of libvirt-host.h and libvirt-event.h.</summary>
internal static unsafe partial class ConnectNative
{
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virInitialize", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Initialize();

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectOpen", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial ConnectHandle Open(string? uri);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectOpenReadOnly", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial ConnectHandle OpenReadOnly(string? uri);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectClose", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Close(nint connect);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectRef", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int AddReference(ConnectHandle connect);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectSetKeepAlive", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetKeepAlive(ConnectHandle connect, int interval, uint count);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectRegisterCloseCallback", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int RegisterCloseCallback(ConnectHandle connect, delegate* unmanaged[Cdecl]<nint, int, nint, void> callback, nint opaque, delegate* unmanaged[Cdecl]<nint, void> free);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectUnregisterCloseCallback", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int UnregisterCloseCallback(ConnectHandle connect, delegate* unmanaged[Cdecl]<nint, int, nint, void> callback);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectGetLibVersion", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetLibVersion(ConnectHandle connect, out CULong version);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectGetVersion", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetVersion(ConnectHandle connect, out CULong version);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virNodeGetInfo", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetNodeInfo(ConnectHandle connect, NativeNodeInfo* info);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectGetCapabilities", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetCapabilities(ConnectHandle connect);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectGetDomainCapabilities", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetDomainCapabilities(ConnectHandle connect, string? emulator, string? architecture, string? machine, string? virtualizationType, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectIsAlive", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int IsAlive(ConnectHandle connect);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectGetHostname", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetHostname(ConnectHandle connect);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectGetURI", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetUri(ConnectHandle connect);

    /// <remarks>The caller frees the array and each domain.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectListAllDomains", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ListAllDomains(ConnectHandle connect, out nint* domains, uint flags);

    /// <remarks>The caller frees the array and each network.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectListAllNetworks", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ListAllNetworks(ConnectHandle connect, out nint* networks, uint flags);

    /// <remarks>The caller frees the array and each pool.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectListAllStoragePools", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ListAllStoragePools(ConnectHandle connect, out nint* pools, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectDomainEventRegisterAny", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int DomainEventRegister(ConnectHandle connect, nint domain, int eventId, void* callback, nint opaque, delegate* unmanaged[Cdecl]<nint, void> free);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virConnectDomainEventDeregisterAny", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int DomainEventDeregister(ConnectHandle connect, int callbackId);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virEventRegisterDefaultImpl", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int EventRegisterDefault();

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virEventRunDefaultImpl", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int EventRunDefault();

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virSetErrorFunc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial void SetErrorFunc(nint userData, delegate* unmanaged[Cdecl]<nint, nint, void> callback);

    /// <remarks>The library keeps the result. Valid until this thread's next libvirt call.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virGetLastError", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial NativeError* GetLastError();
}
