using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <summary>
/// A connection to a hypervisor. Every call runs on the connection's own threads; cancelling ends the wait, not the native call.
/// Objects got from it keep their own reference and are disposed by the caller. After disposal every call throws <see cref="ObjectDisposedException"/>.
/// </summary>
public sealed partial class LibvirtConnection : IAsyncDisposable
{
    private const int MostThreads = 16;
    private readonly NativeCallScheduler _scheduler;
    private GCHandle _self;
    private bool _closeCallback;
    private int _disposed;

    private LibvirtConnection(ConnectHandle handle, NativeCallScheduler scheduler) => (Handle, _scheduler) = (handle, scheduler);

    /// <summary>The connection was lost or closed by the other side. Raised on the event thread: return soon, never wait for a libvirt call in it.</summary>
    public event Action<ConnectCloseReason>? Closed;

    internal ConnectHandle Handle { get; }

    /// <summary>Opens <paramref name="uri"/> (virConnectOpen), for example <c>qemu:///system</c>.</summary>
    /// <param name="maxThreads">Calls under way at once, at least 1; further ones wait. Null: 16.</param>
    /// <exception cref="LibvirtMissingException">libvirt is not installed.</exception>
    /// <exception cref="LibvirtException">The hypervisor did not answer or refused.</exception>
    public static async Task<LibvirtConnection> OpenAsync(string uri, bool readOnly = false, int? maxThreads = null, CancellationToken cancellationToken = default)
    {
        var scheduler = new NativeCallScheduler(Math.Max(1, maxThreads ?? MostThreads));
        try
        {
            var handle = await scheduler.RunAsync(() =>
            {
                LibvirtLibrary.EnsureStarted();
                return Check.Valid(readOnly ? ConnectNative.OpenReadOnly(uri) : ConnectNative.Open(uri));
            }, cancellationToken).ConfigureAwait(false);
            var connection = new LibvirtConnection(handle, scheduler);
            await connection.RunAsync(connection.WatchClose, CancellationToken.None).ConfigureAwait(false);
            return connection;
        }
        catch
        {
            scheduler.Dispose();
            throw;
        }
    }

    /// <summary>Sends keep-alive messages (virConnectSetKeepAlive): <paramref name="intervalSeconds"/> between them, lost after <paramref name="count"/> without answer. False where the connection has no need of them.</summary>
    public Task<bool> SetKeepAliveAsync(int intervalSeconds, int count, CancellationToken cancellationToken = default) =>
        RunAsync(() => Check.NotNegative(ConnectNative.SetKeepAlive(Handle, intervalSeconds, (uint)count)) == 0, cancellationToken);

    /// <summary>Version of the libvirt that serves the connection.</summary>
    public Task<Version> GetLibVersionAsync(CancellationToken cancellationToken = default) => RunAsync(() =>
    {
        Check.NotNegative(ConnectNative.GetLibVersion(Handle, out var version));
        return ToVersion(version);
    }, cancellationToken);

    /// <summary>Version of the hypervisor.</summary>
    public Task<Version> GetHypervisorVersionAsync(CancellationToken cancellationToken = default) => RunAsync(() =>
    {
        Check.NotNegative(ConnectNative.GetVersion(Handle, out var version));
        return ToVersion(version);
    }, cancellationToken);

    /// <summary>The host's processors and memory.</summary>
    public Task<NodeInfo> GetNodeInfoAsync(CancellationToken cancellationToken = default) => RunAsync(ReadNodeInfo, cancellationToken);

    /// <summary>Capabilities XML of the host.</summary>
    public Task<string> GetCapabilitiesAsync(CancellationToken cancellationToken = default) =>
        RunAsync(() => Check.Owned(ConnectNative.GetCapabilities(Handle)), cancellationToken);

    /// <summary>Capabilities XML for domains; null means the hypervisor's default.</summary>
    public Task<string> GetDomainCapabilitiesAsync(string? emulator = null, string? architecture = null, string? machine = null, string? virtualizationType = null, CancellationToken cancellationToken = default) =>
        RunAsync(() => Check.Owned(ConnectNative.GetDomainCapabilities(Handle, emulator, architecture, machine, virtualizationType, 0)), cancellationToken);

    /// <summary>True while the connection works.</summary>
    public Task<bool> IsAliveAsync(CancellationToken cancellationToken = default) => RunAsync(() => Check.Boolean(ConnectNative.IsAlive(Handle)), cancellationToken);

    /// <summary>Host name of the hypervisor's host.</summary>
    public Task<string> GetHostnameAsync(CancellationToken cancellationToken = default) => RunAsync(() => Check.Owned(ConnectNative.GetHostname(Handle)), cancellationToken);

    /// <summary>Canonical URI of the connection.</summary>
    public Task<string> GetUriAsync(CancellationToken cancellationToken = default) => RunAsync(() => Check.Owned(ConnectNative.GetUri(Handle)), cancellationToken);

    /// <summary>Closes the connection. Calls under way end first; objects and subscriptions got from it must be disposed before.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _scheduler.RunAsync(() =>
        {
            StopWatchingClose();
            Handle.Dispose();
            return true;
        }, CancellationToken.None).ConfigureAwait(false);
        _scheduler.Dispose();
    }

    internal Task<T> RunAsync<T>(Func<T> call, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        return _scheduler.RunAsync(call, cancellationToken);
    }

    internal Task RunAsync(Action call, CancellationToken cancellationToken) => RunAsync(() =>
    {
        call();
        return true;
    }, cancellationToken);

    private static Version ToVersion(CULong version)
    {
        var number = (int)version.Value;
        return new Version(number / 1_000_000, number / 1000 % 1000, number % 1000);
    }

    private unsafe NodeInfo ReadNodeInfo()
    {
        // Sound: libvirt fills the structure on this stack and ends the model with a zero.
        NativeNodeInfo info;
        Check.NotNegative(ConnectNative.GetNodeInfo(Handle, &info));
        return new NodeInfo(Marshal.PtrToStringUTF8((nint)info.Model)!, info.Memory.Value, info.Cpus, info.Mhz, info.Nodes, info.Sockets, info.Cores, info.Threads);
    }

    private unsafe void WatchClose()
    {
        _self = GCHandle.Alloc(this);
        // Sound: the callback is static; the GCHandle lives until the callback is unregistered. Local drivers have no such callback.
        _closeCallback = ConnectNative.RegisterCloseCallback(Handle, &OnClosed, GCHandle.ToIntPtr(_self), null) == 0;
        if (!_closeCallback)
        {
            _self.Free();
        }
    }

    private unsafe void StopWatchingClose()
    {
        if (_closeCallback)
        {
            _ = ConnectNative.UnregisterCloseCallback(Handle, &OnClosed);
            _self.Free();
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnClosed(nint connect, int reason, nint opaque)
    {
        try
        {
            (GCHandle.FromIntPtr(opaque).Target as LibvirtConnection)?.Closed?.Invoke((ConnectCloseReason)reason);
        }
        catch (Exception)
        {
            // An exception must not unwind through libvirt's frames; the handler's fault is the handler's.
        }
    }
}
