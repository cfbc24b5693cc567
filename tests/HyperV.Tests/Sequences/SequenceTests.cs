using WeaveHypervisor.Conformance;

namespace WeaveHypervisor.HyperV.Tests.Sequences;

/// <summary>
/// Random sequences of what callers ask of the driver and what guests, users, hosts and bad luck do meanwhile, on hosts of all builds and abilities, each against a model of what must be there.
/// </summary>
public sealed class SequenceTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Usual = TimeSpan.FromSeconds(10);

    [Fact]
    public Task Whatever_is_asked_in_whatever_order_host_and_model_agree() => RandomSequences.RunAsync(Sequence.Of, FailureAsync, least: 8, most: 10_000, Usual, output.WriteLine);

    private static async Task<string?> FailureAsync(int number, IReadOnlyList<Step> sequence, IDictionary<string, int>? done)
    {
        var stage = Stage.Of(number);
        await using var model = new ModelHost(stage);
        var at = "the beginning";
        try
        {
            await model.BeginAsync();
            foreach (var step in sequence)
            {
                at = step.ToString();
                var outcome = await model.DoAsync(step);
                if (done is not null) done[outcome] = (done.TryGetValue(outcome, out var times) ? times : 0) + 1;
            }
            at = "the end";
            await model.EndAsync();
            return null;
        }
        catch (Exception e)
        {
            return $"on {stage.Kind} {stage.Profile}, {(stage.Gateway ? "with" : "without")} gateways, disks {string.Join("+", stage.Disks)}, generation {stage.Generation}, at {at}: {e}";
        }
    }
}
