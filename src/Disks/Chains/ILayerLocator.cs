using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>
/// Decides which files an image may name as its parent. What stands in an image was perhaps written by a guest or came with a file from elsewhere, so that no name
/// is opened that a locator has not turned into a path.
/// </summary>
public interface ILayerLocator
{
    /// <summary>
    /// The parent of the image <paramref name="child"/>. NotFound where the names lead to no file; Unsupported where they lead out of what is allowed, or to no file at all
    /// (`json:`, `nbd:`, `http:`); DataLoss where the format contradicts what is known. Regular files only: others are refused when they are opened.
    /// </summary>
    /// <param name="child">Full path of the image that states the link.</param>
    LayerLocation Locate(string child, ParentLink link);
}

/// <summary>A file that may be opened as a layer.</summary>
/// <param name="Path">Full path.</param>
/// <param name="Format">As stated by the image or known from elsewhere; never probed.</param>
public readonly record struct LayerLocation(string Path, DiskFormat Format);
