using System.Runtime.CompilerServices;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>
/// A disk as a guest sees it: a top image and its ancestors, opened read-only. Safe for parallel calls. Memory is bounded, whatever the size of the disk and the length of
/// the chain. All errors are <see cref="WeaveException"/>s: DataLoss, naming file, structure and offset, for damaged images; Conflict where somebody writes to a file of the
/// chain while it is read.
/// </summary>
public sealed class DiskChain : IAsyncDisposable
{
    private readonly LayerImage[] _images;

    private DiskChain(List<LayerImage> images)
    {
        _images = [.. images];
        Layers = [.. images.Select(i => new ChainLayer(i.Path, i.Format, i.Capacity, i.Facts.Length, i.Facts.AllocatedBytes, i.Facts.Identity))];
    }

    /// <summary>Bytes; positive. That of the top layer.</summary>
    public long Capacity => Layers[0].Capacity;
    /// <summary>Top to base.</summary>
    public IReadOnlyList<ChainLayer> Layers { get; }
    internal IReadOnlyList<LayerImage> Images => _images;

    /// <summary>
    /// Opens <paramref name="path"/> and all its ancestors, each in the format that was declared or stated for it; nothing is probed. NotFound, InvalidRequest (not that format)
    /// for the top. For ancestors: DataLoss where one is missing, of another format, not the one that the child was made on, or the chain is a circle; Unsupported for names that
    /// <paramref name="locator"/> does not allow, unstated formats, and more than <see cref="DiskChainInspector.MaxDepth"/> files.
    /// </summary>
    public static async ValueTask<DiskChain> OpenAsync(string path, DiskFormat format, ILayerLocator locator, CancellationToken stop)
    {
        var caches = new ChainCaches();
        var images = new List<LayerImage>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var next = new LayerLocation(Path.GetFullPath(path), format);
        try
        {
            while (true)
            {
                var image = await OpenAsync(next, images, caches, stop).ConfigureAwait(false);
                var child = images.Count > 0 ? images[^1] : null;
                images.Add(image);
                if (!seen.Add(image.Facts.Identity))
                    throw new WeaveException(Fault.DataLoss, $"The layers of {Ids.QuotePath(path)} lead in a circle: {Ids.QuotePath(child!.Path)} points to {Ids.QuotePath(next.Path)} again.", "Rebase the image on its true base.");
                child?.VerifyParent(image);
                if (image.Parent is not { } link) return new(images);
                if (images.Count == DiskChainInspector.MaxDepth)
                    throw new WeaveException(Fault.Unsupported, $"The chain of {Ids.QuotePath(path)} has more than {DiskChainInspector.MaxDepth} files.", "Merge layers with qemu-img commit or rebase.");
                next = Locate(locator, image, link);
            }
        }
        catch
        {
            foreach (var image in images) await image.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Reads all of <paramref name="into"/>. InvalidRequest where the range is not within <see cref="Capacity"/>.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop)
    {
        CheckRange(offset, into.Length);
        if (into.Length > 0) await ReadAsync(_images, offset, into, stop).ConfigureAwait(false);
    }

    /// <summary>The same of any run of layers that ends with a base, and a range that is within the first one's capacity and not empty.</summary>
    internal static async ValueTask ReadAsync(IReadOnlyList<LayerImage> images, long offset, Memory<byte> into, CancellationToken stop)
    {
        var map = new ChainMap(images, images.Count, offset, offset + into.Length);
        var part = new ChainExtent[Math.Clamp(into.Length >> 16, 1, 64)];
        ulong asked = 0;
        while (await map.ReadAsync(part, stop).ConfigureAwait(false) is var count and > 0)
            for (var i = 0; i < count; i++)
            {
                var extent = part[i];
                var bytes = into.Slice((int)(extent.Offset - offset), (int)extent.Length);
                if (extent.IsZero)
                {
                    bytes.Span.Clear();
                    continue;
                }
                var image = images[extent.Layer];
                await image.ReadAsync(new Extent(extent.Offset, extent.Length, ExtentKind.Data, extent.FileOffset, extent.IsCompressed), bytes, stop).ConfigureAwait(false);
                // Once for each layer that gave bytes, as far as they can be told apart.
                if (extent.Layer >= 64 || (asked & 1UL << extent.Layer) == 0) image.EnsureUnchanged();
                if (extent.Layer < 64) asked |= 1UL << extent.Layer;
            }
    }

    /// <summary>Who answers for the range, from metadata alone. InvalidRequest where it is not within <see cref="Capacity"/>.</summary>
    public IAsyncEnumerable<ChainExtent> ExtentsAsync(long offset, long length, CancellationToken stop) => ExtentsAsync(offset, length, Layers.Count, stop);

    /// <summary>
    /// The same of the <paramref name="depth"/> uppermost layers only; those below are not looked at. Where none of these says anything, the extent has no layer and is not zero:
    /// the range is as below them.
    /// </summary>
    /// <param name="depth">1 to the number of layers.</param>
    public async IAsyncEnumerable<ChainExtent> ExtentsAsync(long offset, long length, int depth, [EnumeratorCancellation] CancellationToken stop)
    {
        await foreach (var batch in ExtentBatchesAsync(offset, length, depth, stop).ConfigureAwait(false))
            for (var i = 0; i < batch.Length; i++) yield return batch.Span[i];
    }

    /// <summary>
    /// The same, many at a time, for who reads the map of a large disk: going from one extent to the next costs more than finding it. A batch holds until the next one is asked for.
    /// </summary>
    public IAsyncEnumerable<ReadOnlyMemory<ChainExtent>> ExtentBatchesAsync(long offset, long length, int depth, CancellationToken stop)
    {
        CheckRange(offset, length);
        ArgumentOutOfRangeException.ThrowIfNegative(depth);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(depth, Layers.Count);
        return MapAsync(offset, length, depth, stop);
    }

    /// <summary>What the layer is made of, in the words of its format. DataLoss where a directory of it is damaged.</summary>
    public ValueTask<ImageDetails> DescribeAsync(int layer, CancellationToken stop) => _images[layer].DescribeAsync(stop);

    /// <summary>
    /// Looks whether the structures of the layer agree with each other; that the layer is the one that its child was made on was checked when the chain was opened. Nothing is
    /// repaired. DataLoss where that cannot be told; Conflict where somebody writes to the file.
    /// </summary>
    /// <param name="progress">From 0 to 1.</param>
    public ValueTask<ImageCheck> CheckAsync(int layer, IProgress<double>? progress, CancellationToken stop) => _images[layer].CheckAsync(progress, stop);

    /// <summary>A seekable, read-only stream of the disk, on which readers of file systems can be mounted. Does not own the chain; several may be used at once.</summary>
    public Stream AsStream() => new ChainStream(this);

    /// <summary>Conflict where somebody has written to a file of the chain since it was opened.</summary>
    public void EnsureUnchanged()
    {
        foreach (var image in _images) image.EnsureUnchanged();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var image in _images) await image.DisposeAsync().ConfigureAwait(false);
    }

    private async IAsyncEnumerable<ReadOnlyMemory<ChainExtent>> MapAsync(long offset, long length, int depth, [EnumeratorCancellation] CancellationToken stop)
    {
        var map = new ChainMap(_images, depth, offset, offset + length);
        var batch = new ChainExtent[(int)Math.Clamp(length >> 16, 4, 1024)];
        while (await map.ReadAsync(batch, stop).ConfigureAwait(false) is var count and > 0) yield return batch.AsMemory(0, count);
        for (var i = 0; i < depth; i++) _images[i].EnsureUnchanged();
    }

    private void CheckRange(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > Capacity - length)
            throw new WeaveException(Fault.InvalidRequest, $"{length} bytes at {offset} are not within the {Capacity} bytes of {Ids.QuotePath(Layers[0].Path)}.");
    }

    private static async ValueTask<LayerImage> OpenAsync(LayerLocation location, List<LayerImage> above, ChainCaches caches, CancellationToken stop)
    {
        try
        {
            return await LayerImages.OpenAsync(location.Path, location.Format, caches, stop).ConfigureAwait(false);
        }
        catch (WeaveException error) when (above.Count > 0)
        {
            throw Ancestor(above[^1].Path, location.Path, error);
        }
    }

    private static LayerLocation Locate(ILayerLocator locator, LayerImage child, ParentLink link)
    {
        try
        {
            return locator.Locate(child.Path, link);
        }
        catch (WeaveException error) when (error.Fault == Fault.NotFound)
        {
            throw new WeaveException(Fault.DataLoss, error.Message, error.NextStep, error);
        }
    }

    /// <summary>What is wrong with an ancestor is damage of the chain, but for what could not be read here anyway.</summary>
    private static WeaveException Ancestor(string child, string path, WeaveException error) =>
        new(error.Fault is Fault.NotFound or Fault.InvalidRequest ? Fault.DataLoss : error.Fault, $"The parent {Ids.QuotePath(path)} of {Ids.QuotePath(child)} cannot be used. {error.Message}", error.NextStep, error);
}
