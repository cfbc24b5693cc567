using WeaveHypervisor.HyperV;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.SelfTest;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>`doctor --hyperv`: the self-test of a Hyper-V host, with each answer as it comes.</summary>
internal static class HyperVDoctor
{
    /// <summary>Answers go to <paramref name="output"/>, or, where that is to be the record as JSON, to <paramref name="progress"/>.</summary>
    /// <returns>0 where memory can be captured on this host, 1 where no route was proven that may be used, 130 where it was interrupted.</returns>
    public static async Task<int> RunAsync(HyperVHost host, HyperVOptions options, bool json, TextWriter output, TextWriter progress, CancellationToken stop)
    {
        using var loggers = LoggerFactory.Create(b => b.AddConsole(c => c.LogToStandardErrorThreshold = LogLevel.Trace).SetMinimumLevel(LogLevel.Warning));
        var test = new HostSelfTest(options, host.Client, host.Files, TimeProvider.System, loggers);
        await progress.WriteLineAsync(host.Imaginary is null
            ? "Trying out this Hyper-V host on machines of the test's own; it takes some minutes. All of it is removed again."
            : "Trying out an imaginary Hyper-V host: this says nothing of a real one.");
        CapabilityRecord record;
        try
        {
            record = await test.RunAsync(a => (json ? progress : output).WriteLine($"{a.Outcome.ToString().ToLowerInvariant()}\t{a.Trial}\t{a.Question}\t{a.Seen}"), stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            await progress.WriteLineAsync("Interrupted: nothing was recorded, and what the test had made is removed.");
            return 130;
        }
        var route = record.Route(options.AllowOutage);
        if (json) await output.WriteLineAsync(HostSelfTest.ToJson(record));
        else await output.WriteLineAsync(Verdict(record, route));
        return route is null ? 1 : 0;
    }

    private static string Verdict(CapabilityRecord record, CaptureRoute? route) =>
        $"Windows build {record.Build}: " + (route is { } found ? $"memory is captured by the route '{found.ToString().ToLowerInvariant()}'."
            : record.Resumes.Contains(CaptureRoute.Saved) ? "memory can be captured only while machines stand still; allow that with Weave:HyperV:AllowOutage." : "no route resumes a copy from memory: snapshots hold disks only.")
        + (route is { } chosen && record.Proven.Contains(chosen)
            ? " That memory is resumed was proven by a guest that counted on in its copy (first generation); of machines of the second generation Hyper-V's own states and job types tell it."
            : " No guest was heard in the test's machines: that they resumed is told by Hyper-V's own states and job types alone.");
}
