using System.Globalization;

namespace WeaveHypervisor.Benchmarks;

/// <summary>What the command line asks for.</summary>
/// <param name="Figures">Ids in upper case; empty: all.</param>
/// <param name="Turns">Repetitions of each side; null: as many as a full or a quick run has.</param>
/// <param name="Largest">MiB of the largest machine: a power of two from 512 on.</param>
public sealed record Arguments(IReadOnlyList<string> Figures, bool Quick, bool Clean, string? Json, string? Markdown, int? Turns, int Largest)
{
    public const string Usage = """
        usage: tests/Benchmarks/run [FIGURE…] [--quick] [--turns N] [--largest MIB] [--json FILE] [--markdown FILE]
               tests/Benchmarks/run --clean     removes what an interrupted run has left
        """;

    /// <exception cref="FormatException">With what is wrong.</exception>
    public static Arguments Parse(IReadOnlyList<string> words, IReadOnlyCollection<string> known)
    {
        var figures = new List<string>();
        bool quick = false, clean = false;
        string? json = null, markdown = null;
        int? turns = null;
        var largest = 2048;
        for (var i = 0; i < words.Count; i++)
        {
            string Value() => ++i < words.Count ? words[i] : throw new FormatException($"{words[i - 1]} wants a value");
            int Number(Func<int, bool> fits) => int.TryParse(Value(), NumberStyles.None, CultureInfo.InvariantCulture, out var n) && fits(n) ? n : throw new FormatException($"{words[i - 1]} cannot be '{words[i]}'");
            switch (words[i])
            {
                case "--quick": quick = true; break;
                case "--clean": clean = true; break;
                case "--json": json = Value(); break;
                case "--markdown": markdown = Value(); break;
                case "--turns": turns = Number(n => n is > 0 and <= 50); break;
                case "--largest": largest = Number(n => n is >= 512 and <= 65536 && int.IsPow2(n)); break;
                case var word when known.Contains(word.ToUpperInvariant()): figures.Add(word.ToUpperInvariant()); break;
                default: throw new FormatException($"'{words[i]}' is no option and no figure; figures are {string.Join(' ', known)}");
            }
        }
        return new(figures, quick, clean, json, markdown, turns, largest);
    }
}
