using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>
/// Allows an exact set of files, each with the format that it was declared with; an image that states another one is refused. A file may have several names (hard links): one that is named by another than the declared one
/// is the same file, and is opened by the declared one.
/// </summary>
/// <param name="layers">Full paths and formats.</param>
public sealed class CatalogueLocator(IReadOnlyDictionary<string, DiskFormat> layers) : ILayerLocator
{
    private readonly Dictionary<string, DiskFormat> _layers = layers.ToDictionary(l => Path.GetFullPath(l.Key), l => l.Value, StringComparer.Ordinal);

    public LayerLocation Locate(string child, ParentLink link)
    {
        var candidates = LayerNames.Candidates(child, link);
        foreach (var path in candidates.Where(_layers.ContainsKey).Concat(candidates.Select(Declared).OfType<string>()))
        {
            var format = _layers[path];
            if (link.Format is { } stated && stated != format)
                throw new WeaveException(Fault.DataLoss, $"{Ids.QuotePath(child)} states {stated} as the format of {Ids.QuotePath(path)}, which is known to be {format}.", "Rebase the image with the right format.");
            return new(path, format);
        }
        throw LayerNames.Refused(child, link.Names.FirstOrDefault() ?? "", "is none of the layers that are known");
    }

    /// <summary>The declared name of the file that a path leads to; null where that is none of them.</summary>
    private string? Declared(string path)
    {
        if (!File.Exists(path)) return null;
        var identity = FileFacts.Read(path).Identity;
        return _layers.Keys.FirstOrDefault(known => File.Exists(known) && FileFacts.Read(known).Identity == identity);
    }
}
