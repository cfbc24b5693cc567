using Microsoft.Win32.SafeHandles;

namespace LibvirtSharp;

/// <summary>The host. Memory in KiB, clock in MHz.</summary>
public sealed record NodeInfo(string Model, ulong MemoryKiB, uint Cpus, uint Mhz, uint NumaNodes, uint Sockets, uint Cores, uint Threads);

/// <summary>State of a domain; <see cref="Reason"/> is a number of the reason enum that belongs to the state (for example <see cref="DomainPausedReason"/>).</summary>
public readonly record struct DomainStateAndReason(DomainState State, int Reason);

/// <summary>Size and use of a domain. Memory in KiB; CPU time since start.</summary>
public sealed record DomainInfo(DomainState State, ulong MaxMemoryKiB, ulong MemoryKiB, int VirtualCpus, TimeSpan CpuTime);

/// <summary>Sizes of a disk in bytes: what the guest sees, what is written, and the size on the host.</summary>
public readonly record struct DomainBlockInfo(ulong Capacity, ulong Allocation, ulong Physical);

/// <summary>Progress of a block job; a job is done or ready to pivot when <see cref="Current"/> equals <see cref="End"/> and the event says so.</summary>
public sealed record BlockJobInfo(BlockJobType Type, ulong Bandwidth, ulong Current, ulong End);

/// <summary>One address with its prefix length.</summary>
public sealed record IpAddress(IpAddressType Type, string Address, uint Prefix);

/// <summary>One network interface of a guest.</summary>
public sealed record DomainInterface(string Name, string? HardwareAddress, IReadOnlyList<IpAddress> Addresses);

/// <summary>One DHCP lease; <see cref="Expiry"/> is null for a lease without end.</summary>
public sealed record DhcpLease(string Interface, DateTimeOffset? Expiry, IpAddressType Type, string? Mac, string? Iaid, string IpAddress, uint Prefix, string? Hostname, string? ClientId);

/// <summary>Sizes of a storage pool in bytes.</summary>
public sealed record StoragePoolInfo(StoragePoolState State, ulong Capacity, ulong Allocation, ulong Available);

/// <summary>Sizes of a storage volume in bytes.</summary>
public sealed record StorageVolumeInfo(StorageVolumeType Type, ulong Capacity, ulong Allocation);

/// <summary>Answer of QEMU with the descriptors that came along; the caller disposes it, which closes them.</summary>
public sealed record MonitorReply(string Json, IReadOnlyList<SafeFileHandle> Files) : IDisposable
{
    /// <summary>Closes the descriptors.</summary>
    public void Dispose()
    {
        foreach (var file in Files)
        {
            file.Dispose();
        }
    }
}

/// <summary>A domain's state changed. <see cref="Detail"/> is libvirt's detail number for the type.</summary>
public sealed record LifecycleEvent(string DomainName, Guid DomainUuid, LifecycleEventType Type, int Detail);

/// <summary>A block job changed; <see cref="Disk"/> is the target name such as <c>vda</c> (libvirt's second kind of block job event).</summary>
public sealed record BlockJobEvent(string DomainName, Guid DomainUuid, string Disk, BlockJobType Type, BlockJobStatus Status);

/// <summary>The guest let go of a device.</summary>
public sealed record DeviceRemovedEvent(string DomainName, Guid DomainUuid, string DeviceAlias);

/// <summary>The guest agent came or went.</summary>
public sealed record AgentLifecycleEvent(string DomainName, Guid DomainUuid, AgentLifecycleState State, AgentLifecycleReason Reason);
