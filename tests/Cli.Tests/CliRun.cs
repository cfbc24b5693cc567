using Microsoft.Extensions.Time.Testing;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>One run of the command in this process, with a stand-in for the service, on 2030-01-01 at noon UTC in a zone two hours ahead.</summary>
internal sealed class CliRun
{
    public static readonly DateTimeOffset Noon = new(2030, 1, 1, 12, 0, 0, TimeSpan.Zero);
    public static readonly TimeZoneInfo Zone = TimeZoneInfo.CreateCustomTimeZone("test", TimeSpan.FromHours(2), "test", "test");

    private readonly StringWriter _out = new(), _error = new();

    public FakeService Service { get; init; } = new();
    public Dictionary<string, string> Environment { get; init; } = new() { ["WEAVE_URL"] = "http://service.test", ["WEAVE_TOKEN"] = "secret" };
    public bool OutIsTerminal { get; init; }
    public bool ErrorIsTerminal { get; init; }
    public int Width { get; init; } = 120;
    /// <summary>What comes in by standard input.</summary>
    public string Input { get; init; } = """{"groups":[{"name":"front","machines":["web"],"rules":["in tcp/80 from outside"]}],"access":{"sources":["10.0.0.0/8"]}}""";
    public CancellationToken Stop { get; init; }
    /// <summary>Takes the words with which the service's program would be run.</summary>
    public Func<IReadOnlyList<string>, int> Become { get; init; } = _ => throw new InvalidOperationException("This test does not expect the service's program to be run.");

    public string Out => _out.ToString().ReplaceLineEndings("\n");
    public string Error => _error.ToString().ReplaceLineEndings("\n");
    public CliHost Host => new()
    {
        Out = _out, Error = _error, OutIsTerminal = OutIsTerminal, ErrorIsTerminal = ErrorIsTerminal, Width = Width, In = new StringReader(Input), Environment = Environment.GetValueOrDefault, Clock = new FakeTimeProvider(Noon), Zone = Zone, Handler = Service, Become = (_, words) => Become(words),
    };

    public Task<int> RunAsync(params string[] arguments) => CommandLine.RunAsync(Host, arguments, Stop);

    /// <summary>Runs a line as a shell splits it: at spaces, but for what is in single quotes.</summary>
    public Task<int> RunLineAsync(string line) => RunAsync(Split(line));

    public static string[] Split(string line) => [.. System.Text.RegularExpressions.Regex.Matches(line, @"'([^']*)'|(\S+)").Select(m => m.Groups[1].Success ? m.Groups[1].Value : m.Groups[2].Value)];
}
