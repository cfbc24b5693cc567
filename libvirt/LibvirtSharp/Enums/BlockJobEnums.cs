namespace LibvirtSharp;

/// <summary>libvirt <c>virDomainBlockJobType</c>.</summary>
public enum BlockJobType
{
    Unknown = 0,
    Pull = 1,
    Copy = 2,
    Commit = 3,
    ActiveCommit = 4,
    Backup = 5,
}

/// <summary>libvirt <c>virConnectDomainEventBlockJobStatus</c>.</summary>
public enum BlockJobStatus
{
    Completed = 0,
    Failed = 1,
    Canceled = 2,
    Ready = 3,
}

/// <summary>libvirt <c>virDomainBlockJobAbortFlags</c>, a set of bits.</summary>
[Flags]
public enum BlockJobAbortFlags : uint
{
    None = 0,
    Async = 1,
    Pivot = 2,
}

/// <summary>libvirt <c>virDomainBlockJobInfoFlags</c>, a set of bits.</summary>
[Flags]
public enum BlockJobInfoFlags : uint
{
    None = 0,
    BandwidthBytes = 1,
}

/// <summary>libvirt <c>virDomainBlockCommitFlags</c>, a set of bits.</summary>
[Flags]
public enum BlockCommitFlags : uint
{
    None = 0,
    Shallow = 1,
    Delete = 2,
    Active = 4,
    Relative = 8,
    BandwidthBytes = 16,
}

/// <summary>libvirt <c>virDomainBlockPullFlags</c>, a set of bits.</summary>
[Flags]
public enum BlockPullFlags : uint
{
    None = 0,
    BandwidthBytes = 64,
}

/// <summary>libvirt <c>virDomainBlockRebaseFlags</c> of a pull, a set of bits.</summary>
[Flags]
public enum BlockRebaseFlags : uint
{
    None = 0,
    Relative = 16,
    BandwidthBytes = 64,
}

/// <summary>libvirt <c>virDomainBlockCopyFlags</c>, a set of bits.</summary>
[Flags]
public enum BlockCopyFlags : uint
{
    None = 0,
    Shallow = 1,
    ReuseExt = 2,
    TransientJob = 4,
    SynchronousWrites = 8,
}
