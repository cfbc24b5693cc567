using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Declarations of libvirt-domain-snapshot.h.</summary>
internal static unsafe partial class SnapshotNative
{
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSnapshotFree", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Free(nint snapshot);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSnapshotCreateXML", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial SnapshotHandle CreateXml(DomainHandle domain, string xml, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSnapshotLookupByName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial SnapshotHandle LookupByName(DomainHandle domain, string name, uint flags);

    /// <remarks>The caller frees the array and each snapshot.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainListAllSnapshots", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ListAll(DomainHandle domain, out nint* snapshots, uint flags);

    /// <remarks>The library keeps the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSnapshotGetName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetName(SnapshotHandle snapshot);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSnapshotGetXMLDesc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint GetXml(SnapshotHandle snapshot, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virDomainSnapshotDelete", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Delete(SnapshotHandle snapshot, uint flags);
}
