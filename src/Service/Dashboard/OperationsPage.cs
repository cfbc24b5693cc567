using System.Globalization;
using System.Net;
using System.Text;
using Hangfire.Dashboard;
using Hangfire.Dashboard.Pages;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Api.Mapping;

namespace WeaveHypervisor.Service.Dashboard;

/// <summary>/hangfire/operations: what is at work and what was, with the environment and live progress. Rows come from the journal, progress from the board.</summary>
internal sealed class OperationsPage : RazorPage
{
    public const string Path = "/operations", RowsPath = Path + "/rows";
    private const int Shown = 100;

    public override void Execute()
    {
        Layout = new LayoutPage("Operations");
        WriteLiteral($$"""
            <div class="row"><div class="col-md-12"><h1 class="page-header">Operations</h1>
            <p>The newest {{Shown}}. The steps, results and the history of each: <code>weave op show ID</code>.</p>
            <div class="table-responsive"><table class="table"><thead><tr><th>Operation</th><th>Environment</th><th>State</th><th>Step</th><th>Progress</th><th>Requested by</th><th>Began</th></tr></thead>
            <tbody id="weave-operations">
            """);
        WriteLiteral(Rows(Context.GetHttpContext().RequestServices));
        WriteLiteral($$"""
            </tbody></table></div></div></div>
            <script>
            (function () {
              var body = document.getElementById("weave-operations");
              async function look() {
                try {
                  var answer = await fetch("{{Url.To(RowsPath)}}", { credentials: "same-origin", redirect: "error" });
                  if (answer.ok) body.innerHTML = await answer.text();
                } catch (e) { }
                setTimeout(look, 1000);
              }
              setTimeout(look, 1000);
            })();
            </script>
            """);
    }

    public static string Rows(IServiceProvider services)
    {
        // Pages of the dashboard are written synchronously.
        var found = services.GetRequiredService<IJournal>().ListAsync(null, false, Shown, null, CancellationToken.None).GetAwaiter().GetResult();
        var board = services.GetRequiredService<ProgressBoard>();
        var rows = new StringBuilder();
        foreach (var operation in found) Row(rows, operation, board.Find(operation.Id));
        if (found.Count == 0) rows.Append("<tr><td colspan=\"7\">There has been no operation yet.</td></tr>");
        return rows.ToString();
    }

    /// <summary>What a job's own page shows of its operation; empty for another job or an operation that is gone.</summary>
    public static string Details(IServiceProvider services, string? id)
    {
        if (!OperationId.TryCreate(id, out var operation) || services.GetRequiredService<IJournal>().FindAsync(operation, CancellationToken.None).GetAwaiter().GetResult() is not { } found) return "";
        var text = new StringBuilder($"<h3>{Text(OperationNames.Of(found))}</h3><table class=\"table\"><tbody>");
        Row(text, found, services.GetRequiredService<ProgressBoard>().Find(found.Id));
        text.Append("</tbody></table><table class=\"table\"><thead><tr><th>Step</th><th>State</th><th>Note</th></tr></thead><tbody>");
        foreach (var step in found.Steps) text.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(step.Name)}</td><td>{Map.Word(step.State)}</td><td>{Text(step.Note)}</td></tr>");
        return text.Append("</tbody></table>").ToString();
    }

    private static void Row(StringBuilder rows, Operation operation, OperationProgress? progress)
    {
        var done = operation.Steps.Count(s => s.State == StepState.Done);
        var now = operation.Steps.FirstOrDefault(s => s.State is StepState.Doing or StepState.Undoing)?.Name;
        var label = operation.State switch { OperationState.Succeeded => "success", OperationState.Failed => "danger", OperationState.Undone => "warning", OperationState.Queued => "default", _ => "info" };
        rows.Append(CultureInfo.InvariantCulture, $"<tr data-operation=\"{operation.Id}\"><td title=\"{operation.Id}\">{Text(OperationNames.Of(operation))}</td><td>{Text(operation.Environment.Text)}</td>");
        rows.Append(CultureInfo.InvariantCulture, $"<td><span class=\"label label-{label}\">{Map.Word(operation.State)}</span>{(operation.CancelRequested && !operation.IsEnded ? " cancelling" : "")}</td>");
        rows.Append(CultureInfo.InvariantCulture, $"<td>{done} of {operation.Steps.Count}{(now is null ? "" : ": " + Text(now))}</td><td>{Progress(operation, progress)}</td>");
        rows.Append(CultureInfo.InvariantCulture, $"<td>{Text(operation.RequestedBy)}</td><td>{operation.StartedAt?.UtcDateTime:yyyy-MM-dd HH:mm:ss}</td></tr>");
    }

    private static string Progress(Operation operation, OperationProgress? progress)
    {
        if (operation.IsEnded) return operation.Error is { } error ? $"{Text(error.Message)} {Text(error.NextStep)}" : "";
        if (progress is null) return "";
        return progress.Total <= 0 ? Text(progress.Activity)
            : string.Create(CultureInfo.InvariantCulture, $"{Text(progress.Activity)} <progress max=\"{progress.Total}\" value=\"{progress.Done}\"></progress> {Math.Clamp(100d * progress.Done / progress.Total, 0, 100):0} %");
    }

    private static string Text(string? text) => WebUtility.HtmlEncode(text ?? "");
}
