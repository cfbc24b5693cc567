using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <content>
/// Events of all domains of the connection. Handlers run on the process's one event thread: they return soon and never wait for a libvirt call.
/// Disposing a subscription ends it; an event under way may still arrive once.
/// </content>
public sealed unsafe partial class LibvirtConnection
{
    /// <summary>A domain was defined, started, suspended, resumed, stopped…</summary>
    public Task<IDisposable> SubscribeLifecycleAsync(Action<LifecycleEvent> handler, CancellationToken cancellationToken = default) =>
        Subscribe(DomainEventId.Lifecycle, (nint)(delegate* unmanaged[Cdecl]<nint, nint, int, int, nint, int>)&OnLifecycle, handler, cancellationToken);

    /// <summary>A block job completed, failed, was cancelled or became ready to pivot.</summary>
    public Task<IDisposable> SubscribeBlockJobAsync(Action<BlockJobEvent> handler, CancellationToken cancellationToken = default) =>
        Subscribe(DomainEventId.BlockJob2, (nint)(delegate* unmanaged[Cdecl]<nint, nint, nint, int, int, nint, void>)&OnBlockJob, handler, cancellationToken);

    /// <summary>A guest let go of a device.</summary>
    public Task<IDisposable> SubscribeDeviceRemovedAsync(Action<DeviceRemovedEvent> handler, CancellationToken cancellationToken = default) =>
        Subscribe(DomainEventId.DeviceRemoved, (nint)(delegate* unmanaged[Cdecl]<nint, nint, nint, nint, void>)&OnDeviceRemoved, handler, cancellationToken);

    /// <summary>A guest agent came or went.</summary>
    public Task<IDisposable> SubscribeAgentLifecycleAsync(Action<AgentLifecycleEvent> handler, CancellationToken cancellationToken = default) =>
        Subscribe(DomainEventId.AgentLifecycle, (nint)(delegate* unmanaged[Cdecl]<nint, nint, int, int, nint, void>)&OnAgentLifecycle, handler, cancellationToken);

    private Task<IDisposable> Subscribe(DomainEventId id, nint callback, Delegate handler, CancellationToken cancellationToken) => RunAsync<IDisposable>(() =>
    {
        var target = GCHandle.Alloc(handler);
        // Sound: the callback is static and has the signature of this event; libvirt calls FreeTarget once it will not call back any more.
        var registration = ConnectNative.DomainEventRegister(Handle, 0, (int)id, (void*)callback, GCHandle.ToIntPtr(target), &FreeTarget);
        if (registration < 0)
        {
            var failure = LibvirtException.FromLastError();
            target.Free();
            throw failure;
        }

        return new Subscription(this, registration);
    }, cancellationToken);

    private static void Deliver<T>(nint opaque, nint domain, Func<string, Guid, T> make)
    {
        try
        {
            var uuid = stackalloc byte[37];
            // Sound: libvirt lends the domain for the length of the callback, and needs 37 bytes for the text of a UUID.
            Check.NotNegative(DomainNative.GetUuidString(domain, uuid));
            ((Action<T>)GCHandle.FromIntPtr(opaque).Target!)(make(Check.Borrowed(DomainNative.GetName(domain)), Guid.Parse(Marshal.PtrToStringUTF8((nint)uuid)!)));
        }
        catch (Exception)
        {
            // An exception must not unwind through libvirt's frames; the handler's fault is the handler's.
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnLifecycle(nint connect, nint domain, int type, int detail, nint opaque)
    {
        Deliver(opaque, domain, (name, uuid) => new LifecycleEvent(name, uuid, (LifecycleEventType)type, detail));
        return 0;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnBlockJob(nint connect, nint domain, nint disk, int type, int status, nint opaque) =>
        Deliver(opaque, domain, (name, uuid) => new BlockJobEvent(name, uuid, Check.Borrowed(disk), (BlockJobType)type, (BlockJobStatus)status));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnDeviceRemoved(nint connect, nint domain, nint alias, nint opaque) =>
        Deliver(opaque, domain, (name, uuid) => new DeviceRemovedEvent(name, uuid, Check.Borrowed(alias)));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnAgentLifecycle(nint connect, nint domain, int state, int reason, nint opaque) =>
        Deliver(opaque, domain, (name, uuid) => new AgentLifecycleEvent(name, uuid, (AgentLifecycleState)state, (AgentLifecycleReason)reason));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void FreeTarget(nint opaque) => GCHandle.FromIntPtr(opaque).Free();

    private sealed class Subscription(LibvirtConnection connection, int registration) : IDisposable
    {
        private int _disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0 && !connection.Handle.IsClosed)
            {
                _ = ConnectNative.DomainEventDeregister(connection.Handle, registration);
            }
        }
    }
}
