using WeaveHypervisor.Disks;

namespace WeaveHypervisor.Service.Disks;

/// <summary>`disk check`: whether the structures of a disk's layers agree with each other, and the layers belong together.</summary>
internal static class DiskCheck
{
    /// <summary>Findings that are shown on a terminal.</summary>
    private const int FewFindings = 20;

    /// <summary>1 where errors were found; leaks cost space and no data.</summary>
    public static async Task<int> RunAsync(DiskChain chain, DiskArguments arguments, DiskConsole console, CancellationToken stop)
    {
        var checks = new List<ImageCheck>();
        for (var i = 0; i < chain.Layers.Count; i++)
        {
            using var progress = console.Progress($"check {Path.GetFileName(chain.Layers[i].Path)}");
            checks.Add(await chain.CheckAsync(i, progress, stop));
        }
        var (errors, leaks) = (checks.Sum(c => c.Errors), checks.Sum(c => c.Leaks));
        if (arguments.Json)
            DiskCommand.Json(new DiskCheckView(chain.Layers[0].Path, errors == 0, errors, leaks, [.. chain.Layers.Select((l, i) => View(l, i, checks[i]))]), DiskJson.Default.DiskCheckView, console);
        else
        {
            console.Table(["LAYER", "RESULT", "ERRORS", "LEAKS", "ALLOCATED", "COMPRESSED", "FRAGMENTED", "FILE"], chain.Layers.Select((l, i) => new[]
            {
                $"{i}", !checks[i].IsChecked ? "nothing to check" : checks[i].Errors > 0 ? "errors" : checks[i].Leaks > 0 ? "leaks" : "ok", $"{checks[i].Errors}", $"{checks[i].Leaks}",
                checks[i].IsChecked ? $"{checks[i].AllocatedClusters} of {checks[i].TotalClusters}" : "", $"{checks[i].CompressedClusters}", $"{checks[i].FragmentedClusters}", l.Path,
            }));
            Show(chain, checks, console);
            console.Error.WriteLine(errors > 0 ? $"{errors} errors, {leaks} leaks: copy what matters before anything writes to the disk" : leaks > 0 ? $"{leaks} leaks: space is lost, no data; {GivesBack(chain, checks)} gives it back" : chain.Layers.Count > 1 ? "no errors; the layers belong together" : "no errors");
        }
        return errors > 0 ? 1 : 0;
    }

    private static void Show(DiskChain chain, List<ImageCheck> checks, DiskConsole console)
    {
        var found = checks.SelectMany((c, i) => c.Findings.Select(f => (Layer: i, Finding: f))).ToList();
        if (found.Count == 0) return;
        var shown = console.OutIsTerminal ? found.Take(FewFindings).ToList() : found;
        console.Table(["LAYER", "KIND", "STRUCTURE", "AT", "FOUND"], shown.Select(f => new[] { $"{f.Layer}", f.Finding.Kind == CheckKind.Error ? "error" : "leak", f.Finding.Structure, f.Finding.Offset < 0 ? "" : $"{f.Finding.Offset}", f.Finding.Text }));
        var all = checks.Sum(c => c.Errors + c.Leaks);
        if (shown.Count < all) console.Error.WriteLine($"{all - shown.Count} more in {Model.Ids.QuotePath(chain.Layers[0].Path)} and below");
    }

    private static string GivesBack(DiskChain chain, List<ImageCheck> checks) =>
        chain.Layers.Where((l, i) => checks[i].Leaks > 0).All(l => l.Format == Model.DiskFormat.Qcow2) ? "`qemu-img check -r leaks`" : "a copy of the file";

    private static DiskLayerCheckView View(ChainLayer layer, int depth, ImageCheck check) => new(depth, layer.Path, DiskCommand.Name(layer.Format), check.IsChecked, check.Errors, check.Leaks, check.TotalClusters,
        check.AllocatedClusters, check.CompressedClusters, check.FragmentedClusters, check.ImageEnd,
        [.. check.Findings.Select(f => new DiskFindingView(f.Kind == CheckKind.Error ? "error" : "leak", f.Structure, f.Offset < 0 ? null : f.Offset, f.Text))]);
}
