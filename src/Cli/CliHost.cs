using Spectre.Console;
using WeaveHypervisor.Client;

namespace WeaveHypervisor.Cli;

/// <summary>Everything that the command takes from its surroundings, so that tests can give others.</summary>
internal sealed class CliHost
{
    public required TextWriter Out { get; init; }
    public required TextWriter Error { get; init; }
    /// <summary>Standard input.</summary>
    public TextReader In { get; init; } = TextReader.Null;
    /// <summary>Standard output is a terminal (or is to be treated as one): tables instead of tabs.</summary>
    public bool OutIsTerminal { get; init; }
    public bool ErrorIsTerminal { get; init; }
    /// <summary>Columns of standard output where it is a terminal.</summary>
    public int Width { get; init; } = 100;
    public required Func<string, string?> Environment { get; init; }
    public TimeProvider Clock { get; init; } = TimeProvider.System;
    public TimeZoneInfo Zone { get; init; } = TimeZoneInfo.Local;
    /// <summary>Null: the network.</summary>
    public HttpMessageHandler? Handler { get; init; }

    /// <summary>Becomes the service's program with these words; a test takes them instead.</summary>
    public Func<CliHost, IReadOnlyList<string>, int> Become { get; init; } = ServiceProgram.Run;

    /// <summary>See <see cref="ServiceProgram.Run"/>.</summary>
    public int RunService(IReadOnlyList<string> words) => Become(this, words);

    public static CliHost FromProcess()
    {
        var always = System.Environment.GetEnvironmentVariable("WEAVE_COLOR") == "always";
        var outTerminal = always || !Console.IsOutputRedirected;
        var width = 100;
        try
        {
            if (!Console.IsOutputRedirected) width = Math.Max(40, Console.WindowWidth);
        }
        catch (IOException)
        {
            // A terminal that does not tell its width.
        }
        return new()
        {
            Out = Console.Out, Error = Console.Error, In = Console.In, OutIsTerminal = outTerminal, ErrorIsTerminal = !Console.IsErrorRedirected, Width = width,
            Environment = System.Environment.GetEnvironmentVariable,
        };
    }

    /// <summary>The service that WEAVE_URL names, with the token of WEAVE_TOKEN, WEAVE_TOKEN_FILE, or the service's own token file.</summary>
    public WeaveClient Connect()
    {
        var text = Environment("WEAVE_URL") is { Length: > 0 } named ? named : "http://127.0.0.1:7700";
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https")) throw new UsageException($"WEAVE_URL is '{text}', which is no address.", "Use a form such as http://127.0.0.1:7700.");
        return new WeaveClient(url, Token(), Handler);
    }

    private string? Token()
    {
        if (Environment("WEAVE_TOKEN") is { Length: > 0 } token) return token.Trim();
        if (Environment("WEAVE_TOKEN_FILE") is { Length: > 0 } named)
            return Read(named) ?? throw new UsageException($"The token file '{named}' cannot be read.", "Run as its owner, or set WEAVE_TOKEN.");
        var state = Environment("XDG_STATE_HOME") is { Length: > 0 } xdg ? xdg : Path.Combine(Environment("HOME") ?? "/", ".local/state");
        return Read("/var/lib/weave/admin.token") ?? Read(Path.Combine(state, "weave/admin.token"));
    }

    private static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>A console for standard output or standard error: colours only on a terminal, and never with NO_COLOR.</summary>
    public IAnsiConsole OpenConsole(bool error)
    {
        var terminal = error ? ErrorIsTerminal : OutIsTerminal;
        var colours = terminal && Environment("NO_COLOR") is not { Length: > 0 };
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = terminal ? AnsiSupport.Yes : AnsiSupport.No, ColorSystem = colours ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(error ? Error : Out), Interactive = terminal ? InteractionSupport.Yes : InteractionSupport.No,
        });
        console.Profile.Width = terminal ? Width : 4096;
        return console;
    }
}
