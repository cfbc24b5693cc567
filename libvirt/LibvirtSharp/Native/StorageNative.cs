using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Declarations of libvirt-storage.h.</summary>
internal static unsafe partial class StorageNative
{
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolFree", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolFree(nint pool);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolLookupByName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial StoragePoolHandle PoolLookupByName(ConnectHandle connect, string name);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolDefineXML", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial StoragePoolHandle PoolDefineXml(ConnectHandle connect, string xml, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolCreate", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolCreate(StoragePoolHandle pool, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolBuild", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolBuild(StoragePoolHandle pool, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolDestroy", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolDestroy(StoragePoolHandle pool);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolUndefine", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolUndefine(StoragePoolHandle pool);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolRefresh", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolRefresh(StoragePoolHandle pool, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolGetInfo", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolGetInfo(StoragePoolHandle pool, out NativeStoragePoolInfo info);

    /// <remarks>The library keeps the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolGetName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint PoolGetName(StoragePoolHandle pool);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolGetXMLDesc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint PoolGetXml(StoragePoolHandle pool, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolIsActive", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolIsActive(StoragePoolHandle pool);

    /// <remarks>The caller frees the array and each volume.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStoragePoolListAllVolumes", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int PoolListVolumes(StoragePoolHandle pool, out nint* volumes, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolFree", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int VolumeFree(nint volume);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolCreateXML", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial StorageVolumeHandle VolumeCreateXml(StoragePoolHandle pool, string xml, uint flags);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolLookupByName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial StorageVolumeHandle VolumeLookupByName(StoragePoolHandle pool, string name);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolLookupByPath", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial StorageVolumeHandle VolumeLookupByPath(ConnectHandle connect, string path);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolDelete", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int VolumeDelete(StorageVolumeHandle volume, uint flags);

    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolGetInfo", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int VolumeGetInfo(StorageVolumeHandle volume, out NativeStorageVolumeInfo info);

    /// <remarks>The library keeps the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolGetName", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint VolumeGetName(StorageVolumeHandle volume);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolGetPath", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint VolumeGetPath(StorageVolumeHandle volume);

    /// <remarks>The caller frees the result.</remarks>
    [LibraryImport(LibvirtLibrary.Libvirt, EntryPoint = "virStorageVolGetXMLDesc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint VolumeGetXml(StorageVolumeHandle volume, uint flags);
}
