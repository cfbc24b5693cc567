using System.Net;
using System.Net.Sockets;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Traffic;

/// <summary>Asks a machine whether it serves. A port, so that rules can be tried without a network.</summary>
public interface IProber
{
    /// <summary>Null where <paramref name="probe"/> was answered at <paramref name="address"/> in time; otherwise what happened, for people.</summary>
    Task<string?> ProbeAsync(string address, ProbeSpec probe, CancellationToken stop);
}

/// <summary>TCP connections and HTTP requests from this host. Tries again until the time is over: a machine that has just been resumed may need a moment.</summary>
public sealed class NetworkProber(TimeProvider clock) : IProber
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(200);

    /// <inheritdoc/>
    public async Task<string?> ProbeAsync(string address, ProbeSpec probe, CancellationToken stop)
    {
        using var limit = new CancellationTokenSource(probe.Timeout, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stop);
        var last = "no answer";
        while (true)
        {
            try
            {
                if (await OnceAsync(address, probe, both.Token) is not { } problem) return null;
                last = problem;
                await Task.Delay(Pace, clock, both.Token);
            }
            catch (OperationCanceledException) when (!stop.IsCancellationRequested)
            {
                return $"{last} within {probe.Timeout.TotalSeconds:0.#} s";
            }
        }
    }

    private static async Task<string?> OnceAsync(string address, ProbeSpec probe, CancellationToken stop)
    {
        try
        {
            if (probe.HttpPath is null)
            {
                using var socket = new TcpClient();
                await socket.ConnectAsync(IPAddress.Parse(address), probe.Port, stop);
                return null;
            }
            // No proxy, no redirects followed: the answer must be the machine's own.
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, UseCookies = false });
            using var answer = await http.GetAsync(new Uri($"http://{address}:{probe.Port}{probe.HttpPath}"), HttpCompletionOption.ResponseHeadersRead, stop);
            return (int)answer.StatusCode is >= 200 and < 400 ? null : $"HTTP status {(int)answer.StatusCode}";
        }
        catch (Exception e) when (e is SocketException or HttpRequestException or IOException)
        {
            return e.GetBaseException().Message;
        }
    }
}
