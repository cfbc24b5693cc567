namespace LibvirtSharp;

/// <summary>libvirt <c>virDomainCreateFlags</c>, a set of bits.</summary>
[Flags]
public enum DomainCreateFlags : uint
{
    None = 0,
    StartPaused = 1,
    StartAutodestroy = 2,
    StartBypassCache = 4,
    StartForceBoot = 8,
    StartValidate = 16,
    StartResetNvram = 32,
}

/// <summary>libvirt <c>virDomainDefineFlags</c>, a set of bits.</summary>
[Flags]
public enum DomainDefineFlags : uint
{
    None = 0,
    Validate = 1,
}

/// <summary>libvirt <c>virDomainUndefineFlagsValues</c>, a set of bits.</summary>
[Flags]
public enum DomainUndefineFlags : uint
{
    None = 0,
    ManagedSave = 1,
    SnapshotsMetadata = 2,
    Nvram = 4,
    KeepNvram = 8,
    CheckpointsMetadata = 16,
    Tpm = 32,
    KeepTpm = 64,
}

/// <summary>libvirt <c>virDomainDestroyFlagsValues</c>, a set of bits.</summary>
[Flags]
public enum DomainDestroyFlags : uint
{
    Default = 0,
    Graceful = 1,
    RemoveLogs = 2,
}

/// <summary>libvirt <c>virDomainShutdownFlagValues</c>, a set of bits.</summary>
[Flags]
public enum DomainShutdownFlags : uint
{
    Default = 0,
    AcpiPowerBtn = 1,
    GuestAgent = 2,
    Initctl = 4,
    Signal = 8,
    Paravirt = 16,
}

/// <summary>libvirt <c>virDomainRebootFlagValues</c>, a set of bits.</summary>
[Flags]
public enum DomainRebootFlags : uint
{
    Default = 0,
    AcpiPowerBtn = 1,
    GuestAgent = 2,
    Initctl = 4,
    Signal = 8,
    Paravirt = 16,
}

/// <summary>libvirt <c>virDomainXMLFlags</c>, a set of bits.</summary>
[Flags]
public enum DomainXmlFlags : uint
{
    None = 0,
    Secure = 1,
    Inactive = 2,
    UpdateCpu = 4,
    Migratable = 8,
}

/// <summary>libvirt <c>virDomainSaveRestoreFlags</c>, a set of bits.</summary>
[Flags]
public enum DomainSaveRestoreFlags : uint
{
    None = 0,
    BypassCache = 1,
    Running = 2,
    Paused = 4,
    ResetNvram = 8,
}

/// <summary>libvirt <c>virDomainModificationImpact</c>, a set of bits.</summary>
[Flags]
public enum DomainModificationImpact : uint
{
    Current = 0,
    Live = 1,
    Config = 2,
}

/// <summary>libvirt <c>virDomainDeviceModifyFlags</c>, a set of bits.</summary>
[Flags]
public enum DomainDeviceModifyFlags : uint
{
    Current = 0,
    Live = 1,
    Config = 2,
    Force = 4,
}

/// <summary>libvirt <c>virDomainMetadataType</c>.</summary>
public enum DomainMetadataType
{
    Description = 0,
    Title = 1,
    Element = 2,
}

/// <summary>libvirt <c>virDomainMemoryStatTags</c>.</summary>
public enum DomainMemoryStatTag
{
    SwapIn = 0,
    SwapOut = 1,
    MajorFault = 2,
    MinorFault = 3,
    Unused = 4,
    Available = 5,
    ActualBalloon = 6,
    Rss = 7,
    Usable = 8,
    LastUpdate = 9,
    DiskCaches = 10,
    HugetlbPgalloc = 11,
    HugetlbPgfail = 12,
    Nr = 13,
}

/// <summary>libvirt <c>virDomainInterfaceAddressesSource</c>.</summary>
public enum InterfaceAddressSource
{
    Lease = 0,
    Agent = 1,
    Arp = 2,
}

/// <summary>libvirt <c>virDomainSetTimeFlags</c>, a set of bits.</summary>
[Flags]
public enum DomainSetTimeFlags : uint
{
    None = 0,
    Sync = 1,
}

/// <summary>libvirt <c>virIPAddrType</c>.</summary>
public enum IpAddressType
{
    Ipv4 = 0,
    Ipv6 = 1,
}

/// <summary>libvirt <c>virDomainQemuMonitorCommandFlags</c>, a set of bits.</summary>
[Flags]
public enum QemuMonitorCommandFlags : uint
{
    Default = 0,
    Hmp = 1,
}
