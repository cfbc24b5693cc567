using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>Numbered frames of one guest to and from one of its peers, as it counts them itself.</summary>
/// <param name="Repeated">Frames that were not above the last one of that peer: they had been received before they were sent.</param>
public sealed record PeerCount(string Peer, long Sent, long Received, long Last, long Repeated);

/// <summary>What the guests answer (`libvirt/lab/guest-init`): TCP port 7 says who it is, UDP port 9 tells of its frames.</summary>
public static class Guests
{
    private const int Hello = 7, Counts = 9;
    private static readonly TimeSpan Between = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// The first answer on TCP: role and nonce. A new attempt begins every 20 ms while older ones wait on, so that a lost SYN, which is sent again only after a
    /// second, decides nothing.
    /// </summary>
    public static async Task<string> FirstReplyAsync(string address, TimeSpan limit, CancellationToken stop)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var clock = Stopwatch.StartNew();
        var attempts = new List<Task<string?>>();
        try
        {
            while (clock.Elapsed < limit)
            {
                attempts.Add(AskAsync(address, enough.Token));
                var pause = Waiting.PauseAsync(Between, stop);
                do
                {
                    var first = await Task.WhenAny([.. attempts, pause]);
                    if (first == pause) break;
                    var attempt = (Task<string?>)first;
                    attempts.Remove(attempt);
                    if (await attempt is { } answer) return answer;
                } while (true);
                stop.ThrowIfCancellationRequested();
            }
            throw new TimeoutException($"{address} gives no answer on TCP port {Hello} within {limit.TotalSeconds:0} s");
        }
        finally
        {
            await enough.CancelAsync();
            await Task.WhenAll(attempts);
        }
    }

    private static async Task<string?> AskAsync(string address, CancellationToken stop)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(IPAddress.Parse(address), Hello, stop);
            var buffer = new byte[200];
            var got = await socket.ReceiveAsync(buffer, stop);
            return got > 0 ? Encoding.ASCII.GetString(buffer, 0, got).Trim() : null;
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>Frames as the guest counts them; asked again every 100 ms until it answers.</summary>
    public static async Task<IReadOnlyList<PeerCount>> CountsAsync(string address, CancellationToken stop) => await Waiting.ForAsync($"{address} tells its frames", async () =>
    {
        using var socket = Connected(address);
        await socket.SendAsync("?"u8.ToArray(), stop);
        using var soon = CancellationTokenSource.CreateLinkedTokenSource(stop);
        soon.CancelAfter(TimeSpan.FromMilliseconds(500));
        try
        {
            var buffer = new byte[2000];
            return Parse(Encoding.ASCII.GetString(buffer, 0, await socket.ReceiveAsync(buffer, soon.Token)));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException && !stop.IsCancellationRequested)
        {
            return null;
        }
    }, TimeSpan.FromSeconds(30), TimeSpan.FromMilliseconds(100), stop);

    public static IReadOnlyList<PeerCount> Parse(string answer) => [.. answer.Split('\n').Select(l => l.Split(' ')).Where(w => w is ["peer", _, _, _, _, _])
        .Select(w => new PeerCount(w[1], Number(w[2]), Number(w[3]), Number(w[4]), Number(w[5])))];

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    private static Socket Connected(string address)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(IPAddress.Parse(address), Counts);
        return socket;
    }

    /// <summary>Asks a guest every 5 ms while <paramref name="work"/> runs; the longest time in ms in which it gave no answer.</summary>
    public static async Task<double> LongestSilenceAsync(string address, Func<Task> work, CancellationToken stop)
    {
        using var socket = Connected(address);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var longest = 0L;
        var last = Stopwatch.GetTimestamp();
        var listening = Task.Run(async () =>
        {
            var buffer = new byte[2000];
            while (!over.IsCancellationRequested)
            {
                try
                {
                    await socket.ReceiveAsync(buffer, over.Token);
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                    continue;
                }
                var now = Stopwatch.GetTimestamp();
                longest = Math.Max(longest, now - last);
                last = now;
            }
        }, CancellationToken.None);
        var asking = Task.Run(async () =>
        {
            while (!over.IsCancellationRequested)
            {
                try
                {
                    await socket.SendAsync("?"u8.ToArray(), over.Token);
                    await Waiting.PauseAsync(TimeSpan.FromMilliseconds(5), over.Token);
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                }
            }
        }, CancellationToken.None);
        try
        {
            await work();
            await Waiting.PauseAsync(TimeSpan.FromMilliseconds(300), stop);
        }
        finally
        {
            await over.CancelAsync();
            await Task.WhenAll(listening, asking);
        }
        return Stopwatch.GetElapsedTime(0, Math.Max(longest, Stopwatch.GetTimestamp() - last)).TotalMilliseconds;
    }
}
