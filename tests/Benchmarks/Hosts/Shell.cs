using System.Diagnostics;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>Runs programs, never through a shell.</summary>
public static class Shell
{
    public sealed record Result(string Command, int Exit, string Output, string Error)
    {
        public Result Succeeded() => Exit == 0 ? this : throw new InvalidOperationException($"'{Command}' ended with {Exit}: {(Error.Length > 0 ? Error : Output).Trim()}");
        public IEnumerable<string> Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }

    /// <summary>Runs it to its end; a cancellation ends it at once.</summary>
    public static async Task<Result> RunAsync(string program, IReadOnlyList<string> arguments, CancellationToken stop, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} does not start");
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        var error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await process.WaitForExitAsync(stop);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        return new($"{program} {string.Join(' ', arguments)}", process.ExitCode, await output, await error);
    }

    public static async Task<string> VirshAsync(CancellationToken stop, params string[] arguments) => (await TryVirshAsync(stop, arguments)).Succeeded().Output;

    public static Task<Result> TryVirshAsync(CancellationToken stop, params string[] arguments) => RunAsync("virsh", ["-q", "-c", "qemu:///system", .. arguments], stop);
}
