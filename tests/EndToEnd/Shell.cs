using System.Diagnostics;
using System.Text;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Runs programs, never through a shell, never longer than asked.</summary>
internal static class Shell
{
    public sealed record Result(int Exit, string Output, string Error)
    {
        public Result Succeeded(string what) => Exit == 0 ? this : throw new InvalidOperationException($"{what} ended with {Exit}\n{Output}\n{Error}");
    }

    public static async Task<Result> RunAsync(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null, TimeSpan? limit = null, string? input = null, string? folder = null)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, UseShellExecute = false, WorkingDirectory = folder ?? "" };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} does not start");
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (input is not null) await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        using var stop = new CancellationTokenSource(limit ?? TimeSpan.FromMinutes(3));
        try
        {
            await process.WaitForExitAsync(stop.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', start.ArgumentList)} did not end in time");
        }
        return new(process.ExitCode, await output, await error);
    }

    public static Task<Result> RunAsync(string program, params string[] arguments) => RunAsync(program, (IEnumerable<string>)arguments);

    /// <summary>Waits until a condition holds, looking every 50 ms; what it waited for is in the exception when it does not come true in time.</summary>
    public static async Task UntilAsync(string what, Func<Task<bool>> condition, TimeSpan? limit = null)
    {
        var clock = Stopwatch.StartNew();
        var last = new StringBuilder();
        while (true)
        {
            try
            {
                if (await condition()) return;
            }
            catch (Exception e) when (e is HttpRequestException or IOException or TaskCanceledException)
            {
                last.Clear().Append(e.Message);
            }
            if (clock.Elapsed > (limit ?? TimeSpan.FromSeconds(60))) throw new TimeoutException($"waited in vain: {what}. {last}");
            await Task.Delay(50);
        }
    }
}
