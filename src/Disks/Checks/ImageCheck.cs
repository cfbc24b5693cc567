using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>What is wrong with a place of an image.</summary>
public enum CheckKind
{
    /// <summary>Space that nothing uses any more: it is lost, the data are not.</summary>
    Leak,
    /// <summary>Structures that contradict each other: data are lost, or will be with the next write.</summary>
    Error,
}

/// <summary>One finding.</summary>
/// <param name="Structure">The structure in the words of the format.</param>
/// <param name="Offset">Of the place in the file; -1 where it has none.</param>
public sealed record CheckFinding(CheckKind Kind, string Structure, long Offset, string Text);

/// <summary>What the check of one image has found.</summary>
public sealed record ImageCheck
{
    /// <summary>Findings that are kept; those beyond are counted alone.</summary>
    public const int MaxFindings = 1000;

    /// <summary>False for formats with nothing that could contradict itself, as raw.</summary>
    public bool IsChecked { get; init; } = true;
    public long Leaks { get; init; }
    public long Errors { get; init; }
    /// <summary>The first ones.</summary>
    public IReadOnlyList<CheckFinding> Findings { get; init; } = [];
    /// <summary>Clusters or blocks of the disk, and how many of them the image holds, of those compressed ones, and ones that do not follow their neighbour in the file.</summary>
    public long TotalClusters { get; init; }
    public long AllocatedClusters { get; init; }
    public long CompressedClusters { get; init; }
    public long FragmentedClusters { get; init; }
    /// <summary>Bytes: behind it nothing in the file is used.</summary>
    public long ImageEnd { get; init; }
}

/// <summary>Collects findings, of which the first are kept.</summary>
internal sealed class CheckFindings
{
    private readonly List<CheckFinding> _kept = [];
    public long Leaks { get; private set; }
    public long Errors { get; private set; }
    public IReadOnlyList<CheckFinding> Kept => _kept;

    public void Error(string structure, long offset, string text) => Add(CheckKind.Error, structure, offset, text);
    public void Leak(string structure, long offset, string text) => Add(CheckKind.Leak, structure, offset, text);

    private void Add(CheckKind kind, string structure, long offset, string text)
    {
        if (kind == CheckKind.Error) Errors++;
        else Leaks++;
        // A damaged image may have a leak for each cluster: errors must not be lost behind them.
        if (_kept.Count < ImageCheck.MaxFindings || kind == CheckKind.Error && _kept.Count < 2 * ImageCheck.MaxFindings) _kept.Add(new(kind, structure, offset, text));
    }
}
