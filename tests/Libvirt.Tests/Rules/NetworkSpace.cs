using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>A network namespace of this host by name; "" is the host's own. Sockets that are made in one stay there, whatever thread uses them.</summary>
internal sealed partial class NetworkSpace(string name)
{
    private const int NewNet = 0x40000000;

    public string Name => name;

    /// <summary>Runs in the namespace, on a thread that ends with it.</summary>
    public T In<T>(Func<T> make)
    {
        if (name.Length == 0) return make();
        T result = default!;
        Exception? error = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var space = File.OpenHandle("/run/netns/" + name);
                if (SetSpace(space, NewNet) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError(), name);
                result = make();
            }
            catch (Exception e)
            {
                error = e;
            }
        });
        thread.Start();
        thread.Join();
        return error is null ? result : throw new InvalidOperationException($"In {name}: {error.Message}", error);
    }

    /// <summary>For both families.</summary>
    public Socket Listen(int port) => In(() =>
    {
        var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        socket.Bind(new IPEndPoint(IPAddress.IPv6Any, port));
        socket.Listen(512);
        return socket;
    });

    public Socket Tcp(AddressFamily family = AddressFamily.InterNetwork) => In(() => new Socket(family, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });

    public Socket Udp(int port = 0, IPAddress? address = null) => In(() =>
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(address ?? IPAddress.Any, port));
        return socket;
    });

    public Socket Icmp() => In(() => new Socket(AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Icmp));

    /// <summary>Frames of an interface of the namespace, as they are on the wire.</summary>
    public Wire Open(string device) => In(() => new Wire(device));

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetSpace(SafeFileHandle space, int kind);
}

/// <summary>Sends and hears whole Ethernet frames at one interface (packet(7)).</summary>
internal sealed partial class Wire : IDisposable
{
    private readonly SafeFileHandle _socket;

    public Wire(string device)
    {
        const int packet = 17, raw = 3;
        var all = BitConverter.IsLittleEndian ? (ushort)0x0300 : (ushort)0x0003;
        _socket = new(Make(packet, raw | 0x800, all), true);
        var address = new byte[20];
        BitConverter.TryWriteBytes(address.AsSpan(0), (ushort)packet);
        BitConverter.TryWriteBytes(address.AsSpan(2), all);
        BitConverter.TryWriteBytes(address.AsSpan(4), Index(device));
        if (Bind(_socket, address, address.Length) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError(), device);
    }

    public void Send(byte[] frame)
    {
        if (Write(_socket, frame, frame.Length, 0) != frame.Length) throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    /// <summary>The next frame; null where there is none yet.</summary>
    public byte[]? Next()
    {
        var buffer = new byte[4096];
        var count = Read(_socket, buffer, buffer.Length, 0);
        return count <= 0 ? null : buffer[..(int)count];
    }

    public void Dispose() => _socket.Dispose();

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Make(int domain, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    private static partial int Bind(SafeFileHandle socket, byte[] address, int length);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint Write(SafeFileHandle socket, byte[] frame, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static partial nint Read(SafeFileHandle socket, byte[] buffer, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "if_nametoindex", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Index(string device);
}
