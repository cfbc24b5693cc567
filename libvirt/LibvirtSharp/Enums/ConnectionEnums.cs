namespace LibvirtSharp;

/// <summary>libvirt <c>virConnectCloseReason</c>.</summary>
public enum ConnectCloseReason
{
    Error = 0,
    Eof = 1,
    Keepalive = 2,
    Client = 3,
}

/// <summary>libvirt <c>virConnectListAllDomainsFlags</c>, a set of bits.</summary>
[Flags]
public enum ListDomainsFlags : uint
{
    None = 0,
    Active = 1,
    Inactive = 2,
    Persistent = 4,
    Transient = 8,
    Running = 16,
    Paused = 32,
    Shutoff = 64,
    Other = 128,
    Managedsave = 256,
    NoManagedsave = 512,
    Autostart = 1024,
    NoAutostart = 2048,
    HasSnapshot = 0x1000,
    NoSnapshot = 0x2000,
    HasCheckpoint = 0x4000,
    NoCheckpoint = 0x8000,
}
