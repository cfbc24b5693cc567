using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

// Layouts of libvirt's public structures; C "unsigned long" is CULong (4 bytes on Windows).
internal struct NativeError
{
    internal int Code, Domain;
    internal nint Message;
    internal int Level;
}

internal unsafe struct NativeNodeInfo
{
    internal fixed byte Model[32];
    internal CULong Memory;
    internal uint Cpus, Mhz, Nodes, Sockets, Cores, Threads;
}

internal struct NativeDomainInfo
{
    internal byte State;
    internal CULong MaxMemory, Memory;
    internal ushort VirtualCpus;
    internal ulong CpuTime;
}

internal struct NativeBlockJobInfo
{
    internal int Type;
    internal CULong Bandwidth;
    internal ulong Current, End;
}

internal unsafe struct NativeInterface
{
    internal nint Name, HardwareAddress;
    internal uint AddressCount;
    internal NativeIpAddress* Addresses;
}

internal struct NativeIpAddress
{
    internal int Type;
    internal nint Address;
    internal uint Prefix;
}

internal struct NativeDhcpLease
{
    internal nint Interface;
    internal long ExpiryTime;
    internal int Type;
    internal nint Mac, Iaid, IpAddress;
    internal uint Prefix;
    internal nint Hostname, ClientId;
}

internal struct NativeMemoryStat
{
    internal int Tag;
    internal ulong Value;
}

internal struct NativeStoragePoolInfo
{
    internal int State;
    internal ulong Capacity, Allocation, Available;
}

internal struct NativeStorageVolumeInfo
{
    internal int Type;
    internal ulong Capacity, Allocation;
}
