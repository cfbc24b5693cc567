using System.Diagnostics;
using System.Text;

namespace WeaveHypervisor.EndToEnd;

/// <summary>tcpdump on one interface, into a file; what went over it can be searched afterwards.</summary>
internal sealed class Sniffer : IAsyncDisposable
{
    private readonly Process _process;
    private readonly string _file;

    private Sniffer(Process process, string file) => (_process, _file) = (process, file);

    public static async Task<Sniffer> OnAsync(string device)
    {
        var file = Path.Combine("/tmp", $"{LabWorld.Prefix}-{Guid.NewGuid():N}.pcap");
        var start = new ProcessStartInfo("tcpdump", ["-i", device, "-U", "--immediate-mode", "-n", "-s", "0", "-Z", "root", "-w", file]) { RedirectStandardError = true };
        var process = Process.Start(start)!;
        var said = new StringBuilder();
        while (await process.StandardError.ReadLineAsync() is { } line)
        {
            said.AppendLine(line);
            if (line.Contains("listening on", StringComparison.Ordinal)) return new(process, file);
        }
        throw new InvalidOperationException($"tcpdump does not listen on {device}: {said}");
    }

    /// <summary>Waits until this has gone over the wire.</summary>
    public Task SeesAsync(string what, byte[] bytes) => Shell.UntilAsync($"{what} on the wire", async () => (await File.ReadAllBytesAsync(_file)).AsSpan().IndexOf(bytes) >= 0, TimeSpan.FromSeconds(20));

    /// <summary>Ends the recording; all frames as they went over the wire, with pcap's headers between them.</summary>
    public async Task<byte[]> StopAsync()
    {
        await Shell.RunAsync("kill", "-INT", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
        await _process.WaitForExitAsync();
        return await File.ReadAllBytesAsync(_file);
    }

    public ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
        File.Delete(_file);
        return ValueTask.CompletedTask;
    }
}
