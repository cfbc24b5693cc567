using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>
/// Allows the files in the folder of the top image, and in further folders, with all below them. Symbolic links are followed first, and where they lead is what counts,
/// so that neither `../` nor a link leads out.
/// </summary>
public sealed class FolderLocator : ILayerLocator
{
    /// <summary>As many links as Linux follows for one path.</summary>
    private const int MaxLinks = 40;
    private readonly IReadOnlyList<string> _folders;

    /// <summary>NotFound for folders that are not there.</summary>
    /// <param name="top">The image whose folder is allowed.</param>
    /// <param name="allowed">Further folders.</param>
    public FolderLocator(string top, params IEnumerable<string> allowed) =>
        _folders = [.. new[] { Path.GetDirectoryName(Real(Path.GetFullPath(top)))! }.Concat(allowed.Select(Path.GetFullPath)).Select(Real).Distinct()];

    public LayerLocation Locate(string child, ParentLink link)
    {
        var format = LayerNames.StatedFormat(child, link);
        WeaveException? missing = null;
        foreach (var path in LayerNames.Candidates(child, link))
        {
            string real;
            try
            {
                real = Real(path);
            }
            catch (WeaveException error) when (error.Fault == Fault.NotFound)
            {
                missing ??= error;
                continue;
            }
            if (!_folders.Any(f => IsBelow(real, f))) throw LayerNames.Refused(child, path, $"is outside of {string.Join(", ", _folders.Select(Ids.QuotePath))}");
            return new(real, format);
        }
        throw new WeaveException(Fault.NotFound, $"The parent {Ids.Quote(link.Names.FirstOrDefault())} of {Ids.QuotePath(child)} is not there.", "Bring the file back to its place, or rebase the image.", missing);
    }

    private static bool IsBelow(string path, string folder) =>
        path.StartsWith(folder.EndsWith(Path.DirectorySeparatorChar) ? folder : folder + Path.DirectorySeparatorChar, OperatingSystem.IsWindows() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal);

    /// <summary>The path without symbolic links in any of its parts. NotFound; DataLoss where links lead in a circle.</summary>
    private static string Real(string path)
    {
        var root = Path.GetPathRoot(path)!;
        var todo = new Stack<string>(path[root.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).Reverse());
        var (at, links) = (root, 0);
        try
        {
            while (todo.TryPop(out var part))
            {
                if (part == "..")
                {
                    at = Path.GetDirectoryName(at) ?? root;
                    continue;
                }
                var next = Path.Combine(at, part);
                var info = new FileInfo(next);
                if (info.LinkTarget is not { } target)
                {
                    if (!info.Exists && !Directory.Exists(next)) throw new WeaveException(Fault.NotFound, $"There is no {Ids.QuotePath(next)}.", "Check the path.");
                    at = next;
                    continue;
                }
                if (++links > MaxLinks) throw new WeaveException(Fault.DataLoss, $"The symbolic links of {Ids.QuotePath(path)} lead in a circle.", "Point at the file itself.");
                if (Path.IsPathFullyQualified(target)) (at, target) = (Path.GetPathRoot(target)!, target[Path.GetPathRoot(target)!.Length..]);
                foreach (var piece in target.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).Reverse())
                    if (piece != ".") todo.Push(piece);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"look at {Ids.QuotePath(path)}");
        }
        return at;
    }
}
