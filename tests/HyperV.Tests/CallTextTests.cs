namespace WeaveHypervisor.HyperV.Tests;

/// <summary>
/// Every method that a capture, a copy with memory, one that boots and their removal call, with all settings that are sent as text, as a golden file: nothing else tells what a real host is asked.
/// `WEAVE_GOLDEN=renew` writes it anew.
/// </summary>
public sealed class CallTextTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(Hosts.Kind.All)]
    [InlineData(Hosts.Kind.OnlySaved)]
    [InlineData(Hosts.Kind.OnlyFlat)]
    public async Task What_is_sent_is_as_it_was(Hosts.Kind kind)
    {
        var recorder = new CallRecorder();
        using var bench = Hosts.Core(kind, client: recorder.Listen);
        await bench.AdoptAsync(1);
        recorder.Begin("capture with memory");
        var (request, result) = await bench.CaptureAsync(memory: true);
        foreach (var memory in new[] { true, false })
        {
            recorder.Pause();
            var copies = await bench.PlanCopyAsync(request, result, memory);
            recorder.Begin(memory ? "a copy from memory" : "a copy that boots");
            await bench.Parts.Starter.RunAsync(copies, null, Stop);
            recorder.Begin("its end");
            await bench.Parts.Owned.RetireAsync(copies.Machines[0].Machine.Uuid, Stop);
        }
        await recorder.MatchAsync($"sent-{kind.ToString().ToLowerInvariant()}.txt", Stop);
    }
}
