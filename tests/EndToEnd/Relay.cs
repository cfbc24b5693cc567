using System.Net.Sockets;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Passes a UNIX socket on to another, until it is disposed of: to its clients the server behind it has died then. File descriptors are not passed.</summary>
internal sealed class Relay : IAsyncDisposable
{
    private readonly string _path;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<Socket> _open = [];
    private readonly Task _accepting;
    private bool _closed;

    public Relay(string path, string target)
    {
        _path = path;
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen();
        _accepting = AcceptAsync(target);
    }

    private async Task AcceptAsync(string target)
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptAsync();
                var server = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await server.ConnectAsync(new UnixDomainSocketEndPoint(target));
                lock (_open) _open.AddRange([client, server]);
                _ = PassAsync(client, server);
                _ = PassAsync(server, client);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Closed.
        }
    }

    private static async Task PassAsync(Socket from, Socket to)
    {
        try
        {
            await using var source = new NetworkStream(from);
            await using var target = new NetworkStream(to);
            await source.CopyToAsync(target);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // One side is gone.
        }
        finally
        {
            from.Dispose();
            to.Dispose();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_closed) return;
        _closed = true;
        _listener.Dispose();
        await _accepting;
        lock (_open) foreach (var socket in _open) socket.Dispose();
        File.Delete(_path);
    }
}
