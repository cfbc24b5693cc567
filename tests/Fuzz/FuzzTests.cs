using System.Globalization;
using WeaveHypervisor.Fuzz.Targets;

namespace WeaveHypervisor.Fuzz;

/// <summary>
/// All of the corpus and a number of its mutants, always the same ones, into each target. WEAVE_TESTS=full takes more than a million; WEAVE_MUTANTS=from-to those numbers.
/// A finding is printed with its input, which goes into the corpus as `found-…` once it is understood.
/// </summary>
public sealed class FuzzTests
{
    private static bool IsFull { get; } = Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full";

    [Fact]
    public void Raw_images() => Run<RawTarget>("raw", 300, 50_000);

    [Fact]
    public void Qcow2_images() => Run<Qcow2Target>("qcow2", 3_000, 500_000);

    [Fact]
    public void Vhdx_images() => Run<VhdxTarget>("vhdx", 3_000, 450_000);

    [Fact]
    public void Programs_of_a_guest_on_VHDX_chains() => Run<VhdxProgramTarget>("vhdx-program", 60, 5_000);

    [Fact]
    public void Programs_of_written_chains_and_their_differences() => Run<ChainProgramTarget>("chain-program", 100, 10_000);

    [Fact]
    public async Task The_corpus_can_be_made_anew()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew", "Only where the corpus is renewed.");
        await Corpus.RenewAsync();
    }

    [Fact]
    public void Images_are_short_inputs_and_come_back_as_they_were()
    {
        var random = new Random(1);
        for (var round = 0; round < 200; round++)
        {
            var bytes = new byte[512 * random.Next(0, 400)];
            for (var n = random.Next(5); n > 0 && bytes.Length > 0; n--)
            {
                var at = random.Next(bytes.Length);
                random.NextBytes(bytes.AsSpan(at, Math.Min(bytes.Length - at, random.Next(1, 70_000))));
            }
            SparseInput.Decode(SparseInput.Encode(bytes), Scratch.Mine["there-and-back"]);
            Assert.Equal(bytes, File.ReadAllBytes(Scratch.Mine["there-and-back"]));
        }
    }

    private static void Run<TTarget>(string target, long usual, long full) where TTarget : IFuzzTarget
    {
        var seeds = Corpus.Read(target);
        Assert.NotEmpty(seeds);
        foreach (var (name, bytes) in seeds) Try<TTarget>(bytes, $"{target}/{name}");
        var (from, to) = (0L, IsFull ? full : usual);
        if (Environment.GetEnvironmentVariable("WEAVE_MUTANTS") is { } range)
        {
            var ends = range.Split('-');
            (from, to) = (long.Parse(ends[0], CultureInfo.InvariantCulture), long.Parse(ends[1], CultureInfo.InvariantCulture));
        }
        var inputs = seeds.Select(s => s.Bytes).ToList();
        for (var number = from; number < to; number++)
        {
            var seed = (int)(number % inputs.Count);
            Try<TTarget>(Mutator.Mutate(inputs, seed, number), $"mutant {number} of {target}/{seeds[seed].Name}");
        }
    }

    private static void Try<TTarget>(byte[] input, string what) where TTarget : IFuzzTarget
    {
        try
        {
            TTarget.Run(input);
        }
        catch (Exception error)
        {
            Assert.Fail($"{what} ({input.Length} bytes, as base64 {Convert.ToBase64String(input)}):\n{error}");
        }
    }
}
