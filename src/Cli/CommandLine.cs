using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using WeaveHypervisor.Cli.Commands;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli;

/// <summary>The whole command line: parsing, help with examples, exit codes.</summary>
internal static class CommandLine
{
    public static (RootCommand Root, Verb Verb) Build(CliHost host)
    {
        var root = new RootCommand("Time travel for virtual environments: from any moment of their history a running copy, beside the present.");
        var verb = new Verb(host);
        root.Options.Add(verb.Json);
        EnvironmentCommands.AddTo(root, verb);
        SnapshotCommands.AddTo(root, verb);
        PolicyCommands.AddTo(root, verb);
        WeaveCommands.AddTo(root, verb);
        VolumeCommands.AddTo(root, verb);
        RouteCommands.AddTo(root, verb);
        RulesCommands.AddTo(root, verb);
        ExportCommands.AddTo(root, verb);
        OperationCommands.AddTo(root, verb);
        DiskCommands.AddTo(root, verb);
        ServiceCommands.AddTo(root, verb);
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((SynchronousCommandLineAction)help.Action!, verb);
        return (root, verb);
    }

    public static async Task<int> RunAsync(CliHost host, IReadOnlyList<string> arguments, CancellationToken stop)
    {
        var (root, verb) = Build(host);
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction)
        {
            var output = new Output(host, parsed.GetValue(verb.Json));
            output.Problem(new ApiException(new Problem { Fault = "invalidRequest", Detail = string.Join(" ", parsed.Errors.Select(e => e.Message)), NextStep = $"See `weave {Path(parsed.CommandResult.Command)}--help`." }));
            return ExitCodes.Usage;
        }
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { Output = host.Out, Error = host.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return ExitCodes.Interrupted;
        }
    }

    internal static string Path(Command command)
    {
        var names = new Stack<string>();
        for (var at = command; at is not RootCommand; at = (Command)at.Parents.First()) names.Push(at.Name);
        return string.Concat(names.Select(n => n + " "));
    }

    private sealed class HelpWithExamples(SynchronousCommandLineAction inner, Verb verb) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parsed)
        {
            var output = parsed.InvocationConfiguration.Output;
            // The command is called weave, whatever its file is called.
            using var text = new StringWriter();
            parsed.InvocationConfiguration.Output = text;
            var result = inner.Invoke(parsed);
            parsed.InvocationConfiguration.Output = output;
            output.Write(text.ToString().Replace(RootCommand.ExecutableName, "weave", StringComparison.Ordinal));
            if (parsed.CommandResult.Command is RootCommand)
            {
                output.WriteLine("Examples:");
                foreach (var example in new[] { "weave env adopt shop --domain shop-web --domain shop-db", "weave snapshot shop --label before-upgrade", "weave create shop --at -10m --id past", "weave route shop/past 80 --machine web", "weave list shop --tree" })
                    output.WriteLine($"  {example}");
                output.WriteLine();
                output.WriteLine("Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict or refused, 5 unavailable, 6 not allowed by rules, 130 interrupted.");
                output.WriteLine("WEAVE_URL names the service (http://127.0.0.1:7700), WEAVE_TOKEN or WEAVE_TOKEN_FILE the token.");
                return result;
            }
            if (verb.ExamplesOf(parsed.CommandResult.Command) is not { Count: > 0 } examples) return result;
            output.WriteLine("Examples:");
            foreach (var example in examples) output.WriteLine($"  {example}");
            output.WriteLine();
            return result;
        }
    }
}
