using Spectre.Console;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Rendering;

/// <summary>Waits for an operation: a live line on a terminal, one line for each step otherwise, both on standard error.</summary>
internal sealed class OperationWatcher(Output output, WeaveClient client)
{
    /// <summary>The ended operation; an <see cref="ApiException"/> where it did not succeed.</summary>
    public async Task<OperationView> WaitAsync(OperationView operation, CancellationToken stop)
    {
        var last = operation;
        if (!last.IsEnded())
        {
            if (output.Host.ErrorIsTerminal && !output.IsJson)
                await output.Host.OpenConsole(error: true).Status().Spinner(Spinner.Known.Dots).StartAsync(Title(last), async status =>
                {
                    var told = new HashSet<string>();
                    await foreach (var view in client.WatchAsync(operation.Id, stop))
                    {
                        last = view;
                        Tell(view, told);
                        status.Status(Title(view));
                    }
                });
            else
            {
                var told = new HashSet<string>();
                await foreach (var view in client.WatchAsync(operation.Id, stop))
                {
                    last = view;
                    if (!output.IsJson) Tell(view, told);
                }
            }
        }
        return last.State == "succeeded" ? last : throw ApiException.Of(last);
    }

    private void Tell(OperationView view, HashSet<string> told)
    {
        foreach (var step in view.Steps.Where(s => s.State is "done" or "undone" or "failed" && told.Add(s.Name + s.State)))
        {
            var took = step is { StartedAt: { } start, EndedAt: { } end } ? Times.Show((end - start).TotalMilliseconds) : "";
            var mark = step.State switch { "done" => "[green]✓[/]", "undone" => "[yellow]↺[/]", _ => "[red]✗[/]" };
            output.Host.OpenConsole(error: true).MarkupLine($"{mark} {Markup.Escape(step.Name),-16} [dim]{Markup.Escape(took),8}  {Markup.Escape(step.Note ?? "")}[/]");
        }
    }

    private static string Title(OperationView view)
    {
        var what = $"{view.Kind} {view.Subject}";
        if (view.Progress is not { } progress) return Markup.Escape($"{what}: {view.State}");
        var far = progress.Total > 0 ? $" {100 * progress.Done / progress.Total} %" : progress.Done > 0 ? $" {Times.Bytes(progress.Done)}" : "";
        return Markup.Escape($"{what}: {progress.Step}: {progress.Activity}{far}");
    }
}
