using System.Net;
using System.Net.Sockets;
using System.Text;

namespace WeaveHypervisor.Client.Tests;

/// <summary>What came over the wire.</summary>
internal sealed record Seen(string Method, string Path, IReadOnlyDictionary<string, string> Headers, string Body);

/// <summary>A server on a free port of 127.0.0.1 that answers each request, one per connection, as the script says, byte by byte: also half an answer, or none. It takes no connections after <see cref="Dispose"/>.</summary>
internal sealed class ScriptedServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _ended = new();
    private readonly List<Seen> _seen = [];
    private readonly Func<int, Seen, Connection, Task> _script;
    private readonly Task _serving;

    /// <param name="script">Called with the number of the request from 0; the connection is closed when it ends.</param>
    public ScriptedServer(Func<int, Seen, Connection, Task> script)
    {
        _script = script;
        _listener.Start();
        Address = new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");
        _serving = ServeAsync();
    }

    public Uri Address { get; }

    public IReadOnlyList<Seen> Requests
    {
        get
        {
            lock (_seen) return [.. _seen];
        }
    }

    public static string Answer(int status, string body, string type = "application/json") =>
        $"HTTP/1.1 {status} X\r\nContent-Type: {type}\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\nConnection: close\r\n\r\n{body}";

    /// <summary>The head of a stream of events, which ends with its connection.</summary>
    public const string EventsHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    public static string Chunk(string text) => $"{Encoding.UTF8.GetByteCount(text):x}\r\n{text}\r\n";
    public static byte[] Chunk(byte[] bytes) => [.. Encoding.ASCII.GetBytes($"{bytes.Length:x}\r\n"), .. bytes, .. "\r\n"u8];
    public const string LastChunk = "0\r\n\r\n";

    private async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_ended.Token);
                _ = HandleAsync(client);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task HandleAsync(TcpClient client)
    {
        using var _ = client;
        try
        {
            var stream = client.GetStream();
            if (await ReadAsync(stream) is not { } seen) return;
            int number;
            lock (_seen)
            {
                number = _seen.Count;
                _seen.Add(seen);
            }
            await _script(number, seen, new(client, stream, _ended.Token));
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The client has gone.
        }
    }

    private async Task<Seen?> ReadAsync(NetworkStream stream)
    {
        var bytes = new List<byte>();
        var buffer = new byte[4096];
        while (true)
        {
            var text = Encoding.Latin1.GetString([.. bytes]);
            var end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (end >= 0)
            {
                var lines = text[..end].Split("\r\n");
                var headers = lines.Skip(1).Select(l => l.Split(": ", 2)).ToDictionary(p => p[0], p => p[1], StringComparer.OrdinalIgnoreCase);
                var length = headers.TryGetValue("Content-Length", out var l) ? int.Parse(l, System.Globalization.CultureInfo.InvariantCulture) : 0;
                if (bytes.Count >= end + 4 + length)
                {
                    var first = lines[0].Split(' ');
                    return new(first[0], first[1], headers, Encoding.UTF8.GetString([.. bytes.Skip(end + 4)]));
                }
            }
            var read = await stream.ReadAsync(buffer, _ended.Token);
            if (read == 0) return null;
            bytes.AddRange(buffer.Take(read));
        }
    }

    public void Dispose()
    {
        _ended.Cancel();
        // A listener that has been stopped must not be asked for the next client.
        _serving.Wait();
        _listener.Dispose();
        _ended.Dispose();
    }

    internal sealed class Connection(TcpClient client, NetworkStream stream, CancellationToken ended)
    {
        public Task SendAsync(string text) => SendAsync(Encoding.UTF8.GetBytes(text));

        public async Task SendAsync(byte[] bytes)
        {
            await stream.WriteAsync(bytes, ended);
            await stream.FlushAsync(ended);
        }

        /// <summary>Ends the connection at once, as a process that dies does.</summary>
        public void Cut()
        {
            client.LingerState = new(true, 0);
            client.Close();
        }

        /// <summary>Stays silent until the server ends.</summary>
        public async Task HangAsync()
        {
            var never = new TaskCompletionSource();
            await using var _ = ended.Register(() => never.TrySetCanceled(ended));
            await never.Task;
        }
    }
}
