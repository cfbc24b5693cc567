using System.Net;
using System.Net.Sockets;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>Gives back what it gets, until it is told to end; the sockets are the caller's to close.</summary>
internal static class EchoServer
{
    /// <summary>Every connection that a listener takes.</summary>
    public static void Accept(Socket listener, CancellationToken end) => _ = Task.Run(async () =>
    {
        while (true)
        {
            var accepted = await listener.AcceptAsync(end);
            _ = Task.Run(async () =>
            {
                using var socket = accepted;
                var buffer = new byte[1024];
                while (await socket.ReceiveAsync(buffer, end) is var count and > 0) await socket.SendAsync(buffer.AsMemory(0, count), end);
            });
        }
    });

    public static void Datagrams(Socket socket, CancellationToken end) => _ = Task.Run(async () =>
    {
        var buffer = new byte[1024];
        while (true)
        {
            var got = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0), end);
            await socket.SendToAsync(buffer.AsMemory(0, got.ReceivedBytes), got.RemoteEndPoint, end);
        }
    });
}
