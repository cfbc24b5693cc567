namespace WeaveHypervisor.Benchmarks;

/// <summary>What the command line asks for.</summary>
/// <param name="Figures">Ids in upper case; empty: all.</param>
public sealed record Arguments(IReadOnlyList<string> Figures, bool Quick, bool Clean, string? Json, string? Markdown)
{
    public const string Usage = """
        usage: tests/Benchmarks/run [FIGURE…] [--quick] [--json FILE] [--markdown FILE]
               tests/Benchmarks/run --clean     removes what an interrupted run has left
        """;

    /// <exception cref="FormatException">With what is wrong.</exception>
    public static Arguments Parse(IReadOnlyList<string> words, IReadOnlyCollection<string> known)
    {
        var figures = new List<string>();
        bool quick = false, clean = false;
        string? json = null, markdown = null;
        for (var i = 0; i < words.Count; i++)
        {
            string Value() => ++i < words.Count ? words[i] : throw new FormatException($"{words[i - 1]} wants the name of a file");
            switch (words[i])
            {
                case "--quick": quick = true; break;
                case "--clean": clean = true; break;
                case "--json": json = Value(); break;
                case "--markdown": markdown = Value(); break;
                case var word when known.Contains(word.ToUpperInvariant()): figures.Add(word.ToUpperInvariant()); break;
                default: throw new FormatException($"'{words[i]}' is no option and no figure; figures are {string.Join(' ', known)}");
            }
        }
        return new(figures, quick, clean, json, markdown);
    }
}
