using System.ComponentModel;
using System.Diagnostics;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>Runs the host's network tools: arguments as a list, time-limited. No shell comes in between; where one is the program, its script is the caller's to write safely.</summary>
internal static class HostCommand
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
    /// <summary>Limit of programs that move data.</summary>
    public static readonly TimeSpan Long = TimeSpan.FromHours(12);

    /// <summary>Standard output of a program that ended with 0; otherwise Internal with what it said, Unavailable where it is not installed or does not end.</summary>
    public static async Task<string> RunAsync(string program, IEnumerable<string> arguments, string? input, CancellationToken stop)
    {
        var ended = await TryAsync(program, arguments, input, stop);
        return ended.Exit == 0 ? ended.Output : throw Failed(ended, "Look at the host's network configuration; another program may have changed what the service made.");
    }

    /// <summary>What is told of a program that ended with another code than 0.</summary>
    public static WeaveException Failed((int Exit, string Output, string Error, string Line) ended, string nextStep) => new(Fault.Internal, $"`{ended.Line}` failed ({ended.Exit}): {ended.Error.Trim()}", nextStep);

    /// <summary>The error is that of a program that is not installed.</summary>
    public static bool IsMissing(WeaveException error) => error.InnerException is Win32Exception;

    /// <summary>As <see cref="RunAsync"/>, but any exit code is an answer.</summary>
    public static async Task<(int Exit, string Output, string Error, string Line)> TryAsync(string program, IEnumerable<string> arguments, string? input, CancellationToken stop, TimeSpan? limit = null)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, UseShellExecute = false };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        start.Environment["LC_ALL"] = "C";
        // Services often run without the folders of administration in their path.
        start.Environment["PATH"] = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";
        var line = $"{program} {string.Join(' ', start.ArgumentList)}";
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new WeaveException(Fault.Unavailable, $"`{program}` cannot be run: {e.Message}", "Install iproute2, nftables, iptables and dnsmasq-base.", e);
        }
        // Disposing of the process leaves streams open that have been read.
        using (process)
        using (process.StandardOutput)
        using (process.StandardError)
        using (var limited = CancellationTokenSource.CreateLinkedTokenSource(stop))
        {
            limited.CancelAfter(limit ?? Limit);
            try
            {
                var output = process.StandardOutput.ReadToEndAsync(limited.Token);
                var error = process.StandardError.ReadToEndAsync(limited.Token);
                if (input is not null) await process.StandardInput.WriteAsync(input.AsMemory(), limited.Token);
                process.StandardInput.Close();
                await process.WaitForExitAsync(limited.Token);
                return (process.ExitCode, await output, await error, line);
            }
            catch (OperationCanceledException)
            {
                process.Kill();
                if (stop.IsCancellationRequested) throw;
                throw new WeaveException(Fault.Unavailable, $"`{line}` did not end within {(limit ?? Limit).TotalSeconds:0} s.", "Look at the host: is it overloaded?");
            }
        }
    }
}
