using System.CommandLine;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>What all commands share: options, the way to the service, errors to exit codes.</summary>
internal sealed class Verb(CliHost host)
{
    private readonly Dictionary<Command, string[]> _examples = [];

    public CliHost Host => host;
    public Option<bool> Json { get; } = new("--json") { Description = "Write JSON with stable names to standard output.", Recursive = true };
    public Option<bool> NoWait { get; } = new("--no-wait") { Description = "Print the operation's id and do not wait for its end." };

    public IReadOnlyList<string> ExamplesOf(Command command) => _examples.GetValueOrDefault(command) ?? [];

    /// <summary>Declares a command with its examples, which its help shows.</summary>
    public Command Make(string name, string description, string[] examples, params Symbol[] symbols)
    {
        var command = new Command(name, description);
        foreach (var symbol in symbols)
            if (symbol is Argument argument) command.Arguments.Add(argument);
            else if (symbol is Option option) command.Options.Add(option);
            else if (symbol is Command sub) command.Subcommands.Add(sub);
        _examples[command] = examples;
        return command;
    }

    /// <summary>An action that talks to the service.</summary>
    /// <param name="local">Answers the words for the service's own program where it is to be run instead; null from it: the service is talked to.</param>
    public void Does(Command command, Func<ParseResult, WeaveClient, Output, CancellationToken, Task<int>> action, Func<ParseResult, IReadOnlyList<string>?>? local = null) => command.SetAction(async (parsed, stop) =>
    {
        var output = new Output(host, parsed.GetValue(Json));
        try
        {
            if (local?.Invoke(parsed) is { } words) return ServiceProgram.Run(host, words);
            using var client = host.Connect();
            return await action(parsed, client, output, stop);
        }
        catch (ApiException e)
        {
            return output.Problem(e);
        }
        catch (UsageException e)
        {
            output.Problem(new ApiException(new Problem { Fault = "invalidRequest", Detail = e.Message, NextStep = e.NextStep }));
            return ExitCodes.Usage;
        }
    });

    /// <summary>An action that begins an operation: waits for it unless told not to, then shows what it made.</summary>
    public void Begins(Command command, Func<ParseResult, WeaveClient, CancellationToken, Task<OperationView>> begin, Action<OperationView, Output> show) => Begins(command, begin, (operation, output) =>
    {
        if (!output.IsJson) show(operation, output);
        return ExitCodes.Done;
    });

    /// <summary>As the other; the result decides of the exit code. JSON is written already when <paramref name="judge"/> is called.</summary>
    public void Begins(Command command, Func<ParseResult, WeaveClient, CancellationToken, Task<OperationView>> begin, Func<OperationView, Output, int> judge)
    {
        command.Options.Add(NoWait);
        Does(command, async (parsed, client, output, stop) =>
        {
            var operation = await begin(parsed, client, stop);
            if (parsed.GetValue(NoWait))
            {
                if (output.IsJson) output.Json(operation, V1Json.Default.OperationView);
                else output.Line(operation.Id);
                return ExitCodes.Done;
            }
            try
            {
                operation = await new OperationWatcher(output, client).WaitAsync(operation, stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                output.Note($"weave: stopped waiting; {operation.Id} goes on. Watch it with `weave op watch {operation.Id}`, or cancel it with `weave op cancel {operation.Id}`.");
                return ExitCodes.Interrupted;
            }
            if (output.IsJson) output.Json(operation, V1Json.Default.OperationView);
            return judge(operation, output);
        });
    }

    /// <summary>Splits ENV/WEAVE.</summary>
    public static (string Environment, string Weave) Pair(string text) => text.Split('/') is [{ Length: > 0 } environment, { Length: > 0 } weave] ? (environment, weave)
        : throw new UsageException($"'{text}' does not name a weave.", "Write ENV/WEAVE, for example lab/main; ENV/active is the active one.");

    public static string Took(OperationView operation) => operation is { StartedAt: { } start, EndedAt: { } end } ? Times.Show((end - start).TotalMilliseconds) : "";

    public static Argument<string> Environment() => new("ENV") { Description = "Name of the environment." };
    public static Argument<string> Weave() => new("ENV/WEAVE") { Description = "The weave; ENV/active is the active one." };
}
