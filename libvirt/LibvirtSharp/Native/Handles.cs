using Microsoft.Win32.SafeHandles;

namespace LibvirtSharp.Native;

/// <summary>Base of all native handles: owns exactly one libvirt reference.</summary>
internal abstract class LibvirtHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    /// <summary>Makes <typeparamref name="T"/> the owner of a reference that libvirt handed to its caller.</summary>
    internal static T Own<T>(nint pointer) where T : LibvirtHandle, new()
    {
        var owner = new T();
        owner.SetHandle(pointer);
        return owner;
    }
}

internal sealed class ConnectHandle : LibvirtHandle
{
    // virConnectClose returns the number of references left (> 0 while a domain still holds one), which is no failure.
    protected override bool ReleaseHandle() => ConnectNative.Close(handle) >= 0;
}

internal sealed class DomainHandle : LibvirtHandle
{
    protected override bool ReleaseHandle() => DomainNative.Free(handle) == 0;
}

internal sealed class SnapshotHandle : LibvirtHandle
{
    protected override bool ReleaseHandle() => SnapshotNative.Free(handle) == 0;
}

internal sealed class NetworkHandle : LibvirtHandle
{
    protected override bool ReleaseHandle() => NetworkNative.Free(handle) == 0;
}

internal sealed class StoragePoolHandle : LibvirtHandle
{
    protected override bool ReleaseHandle() => StorageNative.PoolFree(handle) == 0;
}

internal sealed class StorageVolumeHandle : LibvirtHandle
{
    protected override bool ReleaseHandle() => StorageNative.VolumeFree(handle) == 0;
}
