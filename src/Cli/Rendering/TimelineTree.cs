using Spectre.Console;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Rendering;

/// <summary>An environment as one tree: weaves with their snapshots in order of time, and under each snapshot the weaves that were made from it.</summary>
internal static class TimelineTree
{
    public static void Write(Output output, TimelineView timeline, bool ascii)
    {
        var host = output.Host;
        var console = host.OpenConsole(error: false);
        console.Profile.Capabilities.Unicode = !ascii;
        var environment = timeline.Environment;
        var tree = new Tree(Line((environment.Name, new Style(decoration: Decoration.Bold)), ($"  {environment.State}", Colours.Of(environment.State)),
            ($"  {environment.Machines.Count} machines, adopted {Times.Show(environment.AdoptedAt, host.Zone)}", Dim)))
        { Guide = ascii ? TreeGuide.Ascii : TreeGuide.Line };
        var shown = new HashSet<string>();
        foreach (var root in timeline.Weaves.Where(w => w.Origin is null || timeline.Snapshots.All(s => s.Id != w.Origin))) Add(tree, root, timeline, host, ascii, shown);
        console.Write(tree);
    }

    private static void Add(IHasTreeNodes parent, WeaveView weave, TimelineView timeline, CliHost host, bool ascii, HashSet<string> shown)
    {
        if (!shown.Add(weave.Id)) return;
        var node = parent.AddNode(Line((weave.Id, new Style(Color.Aqua, decoration: Decoration.Bold)), ($"  {(weave.Verifies is null ? weave.State : "verifying")}", weave.Verifies is null ? Colours.Of(weave.State) : new Style(Color.Yellow)),
            (weave.Active ? ascii ? "  <- active" : "  ◀ active" : "", new Style(Color.Yellow)),
            (weave is { ExpiresAt: { } end, Verifies: null } ? $"  until {Times.Show(end, host.Zone)}" : "", Dim),
            (weave.Drift.Count > 0 ? $"  drift: {weave.Drift[0].Text}" : "", new Style(Color.Red))));
        foreach (var snapshot in timeline.Snapshots.Where(s => s.Weave == weave.Id))
        {
            var leaf = node.AddNode(Line((ascii ? "* " : "● ", new Style(Color.Blue)), (Times.Show(snapshot.At, host.Zone), Style.Plain), (snapshot.Label is { } label ? $"  {label}" : "", new Style(Color.Green)),
                ($"  {(snapshot.State == "ready" ? snapshot.Consistency : snapshot.State)}, pause {Times.Show(snapshot.LongestPauseMs)}", Dim), (snapshot.MadeBy == "(policy)" ? "  by policy" : "", Dim), Mark(snapshot.Verification, ascii)));
            foreach (var child in timeline.Weaves.Where(w => w.Origin == snapshot.Id)) Add(leaf, child, timeline, host, ascii, shown);
        }
    }

    private static (string, Style) Mark(VerificationView? verification, bool ascii) => verification switch
    {
        null => ("", Style.Plain),
        { Passed: true, Level: "running" } => (ascii ? "  [runs]" : "  ✓ runs", new Style(Color.Green)),
        { Passed: true } => (ascii ? "  [verified]" : "  ✓ verified", new Style(Color.Green)),
        _ => (ascii ? "  [verification failed]" : "  ✗ verification failed", new Style(Color.Red)),
    };

    private static Style Dim => new(decoration: Decoration.Dim);

    private static Paragraph Line(params (string Text, Style Style)[] parts)
    {
        var line = new Paragraph();
        foreach (var (text, style) in parts) if (text.Length > 0) line.Append(text, style);
        return line;
    }
}
