namespace LibvirtSharp;

/// <summary>libvirt <c>virDomainSnapshotCreateFlags</c>, a set of bits.</summary>
[Flags]
public enum SnapshotCreateFlags : uint
{
    None = 0,
    Redefine = 1,
    Current = 2,
    NoMetadata = 4,
    Halt = 8,
    DiskOnly = 16,
    ReuseExt = 32,
    Quiesce = 64,
    Atomic = 128,
    Live = 256,
    Validate = 512,
}

/// <summary>libvirt <c>virDomainSnapshotListFlags</c>, a set of bits.</summary>
[Flags]
public enum SnapshotListFlags : uint
{
    None = 0,
    Descendants = 1,
    Roots = 1,
    Metadata = 2,
    Leaves = 4,
    NoLeaves = 8,
    NoMetadata = 16,
    Inactive = 32,
    Active = 64,
    DiskOnly = 128,
    Internal = 256,
    External = 512,
    Topological = 1024,
}

/// <summary>libvirt <c>virDomainSnapshotDeleteFlags</c>, a set of bits.</summary>
[Flags]
public enum SnapshotDeleteFlags : uint
{
    None = 0,
    Children = 1,
    MetadataOnly = 2,
    ChildrenOnly = 4,
}

/// <summary>libvirt <c>virDomainSnapshotXMLFlags</c>, a set of bits.</summary>
[Flags]
public enum SnapshotXmlFlags : uint
{
    None = 0,
    Secure = 1,
}
