using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>Allows an exact set of files, each with the format that it was declared with; an image that states another one is refused.</summary>
/// <param name="layers">Full paths and formats.</param>
public sealed class CatalogueLocator(IReadOnlyDictionary<string, DiskFormat> layers) : ILayerLocator
{
    private readonly Dictionary<string, DiskFormat> _layers = layers.ToDictionary(l => Path.GetFullPath(l.Key), l => l.Value, StringComparer.Ordinal);

    public LayerLocation Locate(string child, ParentLink link)
    {
        foreach (var path in LayerNames.Candidates(child, link))
        {
            if (!_layers.TryGetValue(path, out var format)) continue;
            if (link.Format is { } stated && stated != format)
                throw new WeaveException(Fault.DataLoss, $"{Ids.QuotePath(child)} states {stated} as the format of {Ids.QuotePath(path)}, which is known to be {format}.", "Rebase the image with the right format.");
            return new(path, format);
        }
        throw LayerNames.Refused(child, link.Names.FirstOrDefault() ?? "", "is none of the layers that are known");
    }
}
