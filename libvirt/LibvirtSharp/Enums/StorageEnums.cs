namespace LibvirtSharp;

/// <summary>libvirt <c>virStoragePoolState</c>.</summary>
public enum StoragePoolState
{
    Inactive = 0,
    Building = 1,
    Running = 2,
    Degraded = 3,
    Inaccessible = 4,
}

/// <summary>libvirt <c>virStoragePoolBuildFlags</c>, a set of bits.</summary>
[Flags]
public enum StoragePoolBuildFlags : uint
{
    New = 0,
    Repair = 1,
    Resize = 2,
    NoOverwrite = 4,
    Overwrite = 8,
}

/// <summary>libvirt <c>virStoragePoolCreateFlags</c>, a set of bits.</summary>
[Flags]
public enum StoragePoolCreateFlags : uint
{
    Normal = 0,
    WithBuild = 1,
    WithBuildOverwrite = 2,
    WithBuildNoOverwrite = 4,
}

/// <summary>libvirt <c>virConnectListAllStoragePoolsFlags</c>, a set of bits.</summary>
[Flags]
public enum ListStoragePoolsFlags : uint
{
    None = 0,
    Inactive = 1,
    Active = 2,
    Persistent = 4,
    Transient = 8,
    Autostart = 16,
    NoAutostart = 32,
    Dir = 64,
    Fs = 128,
    Netfs = 256,
    Logical = 512,
    Disk = 1024,
    Iscsi = 2048,
    Scsi = 0x1000,
    Mpath = 0x2000,
    Rbd = 0x4000,
    Sheepdog = 0x8000,
    Gluster = 0x10000,
    Zfs = 0x20000,
    Vstorage = 0x40000,
    IscsiDirect = 0x80000,
}

/// <summary>libvirt <c>virStorageVolType</c>.</summary>
public enum StorageVolumeType
{
    File = 0,
    Block = 1,
    Dir = 2,
    Network = 3,
    Netdir = 4,
    Ploop = 5,
}

/// <summary>libvirt <c>virStorageVolCreateFlags</c>, a set of bits.</summary>
[Flags]
public enum StorageVolumeCreateFlags : uint
{
    None = 0,
    PreallocMetadata = 1,
    Reflink = 2,
    Validate = 4,
}

/// <summary>libvirt <c>virStorageVolDeleteFlags</c>, a set of bits.</summary>
[Flags]
public enum StorageVolumeDeleteFlags : uint
{
    Normal = 0,
    Zeroed = 1,
    WithSnapshots = 2,
}

/// <summary>libvirt <c>virStorageXMLFlags</c>, a set of bits.</summary>
[Flags]
public enum StorageXmlFlags : uint
{
    None = 0,
    Inactive = 1,
}
