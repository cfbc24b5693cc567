using System.Diagnostics;
using System.Globalization;

namespace WeaveHypervisor.Conformance;

/// <summary>
/// Runs random sequences of steps, each decided by its number alone, and makes those that fail as short as they can be. WEAVE_SEQUENCES=FIRST-LAST runs those numbers instead of the usual few.
/// </summary>
public static class RandomSequences
{
    /// <summary>So many different sequences are made short and told of; then it is enough.</summary>
    private const int MostFailures = 3;

    /// <summary>Fails with the sequences that failed, by number and step. Usually takes as many as fit into <paramref name="usual"/>, from the first one on, at least <paramref name="least"/> and at most <paramref name="most"/>.</summary>
    /// <param name="of">The sequence of a number.</param>
    /// <param name="failureOf">Runs a sequence of a number, or a part of it; null where all is well. It counts the outcomes of its steps where it gets something to count them in.</param>
    public static async Task RunAsync<TStep>(Func<int, IReadOnlyList<TStep>> of, Func<int, IReadOnlyList<TStep>, IDictionary<string, int>?, Task<string?>> failureOf, int least, int most, TimeSpan usual, Action<string> tell)
    {
        var asked = Environment.GetEnvironmentVariable("WEAVE_SEQUENCES")?.Split('-').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToList();
        var (first, last) = asked is null ? (1, most) : (asked[0], asked[^1]);
        var clock = Stopwatch.StartNew();
        var (run, steps, done, failures) = (0, 0, new SortedDictionary<string, int>(StringComparer.Ordinal), new List<string>());
        for (var number = first; number <= last && failures.Count < MostFailures && (asked is not null || run < least || clock.Elapsed < usual); number++, run++)
        {
            var sequence = of(number);
            steps += sequence.Count;
            if (await failureOf(number, sequence, done) is not { } failure) continue;
            (sequence, failure) = await ShortenAsync(sequence, failure, s => failureOf(number, s, null));
            failures.Add($"Sequence {number}, made as short as it can be:\n{string.Join("\n", sequence)}\n{failure}");
        }
        tell($"sequences {first} to {first + run - 1}, {steps} steps, {clock.Elapsed.TotalSeconds:0} s: {string.Join(", ", done.Select(d => $"{d.Key} {d.Value}"))}");
        Xunit.Assert.True(failures.Count == 0, string.Join("\n\n", failures));
        Xunit.Assert.True(run >= least || asked is not null);
    }

    /// <summary>Without one step each, as long as any of those fails, too.</summary>
    private static async Task<(IReadOnlyList<TStep> Sequence, string Failure)> ShortenAsync<TStep>(IReadOnlyList<TStep> sequence, string failure, Func<IReadOnlyList<TStep>, Task<string?>> failureOf)
    {
        for (var again = true; again;)
        {
            again = false;
            for (var i = sequence.Count - 1; i >= 0; i--)
            {
                List<TStep> shorter = [.. sequence.Where((_, at) => at != i)];
                if (await failureOf(shorter) is not { } other) continue;
                (sequence, failure, again) = (shorter, other, true);
            }
        }
        return (sequence, failure);
    }
}
