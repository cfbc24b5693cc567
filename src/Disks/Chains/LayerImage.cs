using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>
/// One image file by itself, opened read-only, without its ancestors: what a format has to answer so that a chain can read it. Metadata are read in large
/// sequential reads through bounded caches; memory does not grow with the size of the disk. Safe for parallel calls. All errors are <see cref="WeaveException"/>s.
/// </summary>
internal abstract class LayerImage : IAsyncDisposable
{
    public abstract string Path { get; }
    public abstract DiskFormat Format { get; }
    /// <summary>Bytes that a guest sees; positive.</summary>
    public abstract long Capacity { get; }
    /// <summary>What the image says of its parent; null where it has none.</summary>
    public abstract ParentLink? Parent { get; }
    /// <summary>Kind, length, allocated bytes and identity of the image's file, best as they were when it was opened.</summary>
    public virtual FileFacts Facts => FileFacts.Read(Path);

    /// <summary>
    /// What the image says of the range, which lies within the capacity: first extent begins at <paramref name="offset"/>, the last one ends at <c>offset + length</c>.
    /// DataLoss, naming structure and offset, where metadata are damaged.
    /// </summary>
    public abstract IAsyncEnumerable<Extent> MapAsync(long offset, long length, CancellationToken stop);

    /// <summary>
    /// The same as <see cref="MapAsync(long, long, CancellationToken)"/>, a part at a time: fills <paramref name="into"/> with extents from <paramref name="offset"/> on, ending at
    /// <paramref name="end"/> or earlier where there is no more room, and answers how many there are, at least one. The last one may go on in the next part.
    /// </summary>
    public virtual async ValueTask<int> MapAsync(long offset, long end, Memory<Extent> into, CancellationToken stop)
    {
        var count = 0;
        await foreach (var extent in MapAsync(offset, end - offset, stop).ConfigureAwait(false))
        {
            into.Span[count++] = extent;
            if (count == into.Length) break;
        }
        return count;
    }

    /// <summary>Reads bytes of which <see cref="MapAsync"/> says that they are <see cref="ExtentKind.Data"/>. Others are refused (Internal).</summary>
    public abstract ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop);

    /// <summary>Reads from the start of an extent that this image has mapped; the whole extent need not be read. Spares formats that know the place in the file a second look-up.</summary>
    public virtual ValueTask ReadAsync(in Extent extent, Memory<byte> into, CancellationToken stop) => ReadAsync(extent.Offset, into, stop);

    /// <summary>Bytes of the file that were read so far, metadata and data.</summary>
    public virtual long BytesRead => 0;

    /// <summary>Conflict where somebody has written to the file since it was opened.</summary>
    public virtual void EnsureUnchanged() { }

    /// <summary>Checks that a file which was found under the names of <see cref="Parent"/> is the parent that this image was made on, as far as the format can tell. DataLoss where it is not.</summary>
    public virtual void VerifyParent(LayerImage parent) { }

    /// <summary>What the image is made of, in the words of its format. DataLoss where a directory of it is damaged.</summary>
    public virtual ValueTask<ImageDetails> DescribeAsync(CancellationToken stop) => new(new ImageDetails { Features = [] });

    /// <summary>Looks whether the image's structures agree with each other. Nothing is repaired. DataLoss where that cannot be told.</summary>
    /// <param name="progress">From 0 to 1.</param>
    public virtual ValueTask<ImageCheck> CheckAsync(IProgress<double>? progress, CancellationToken stop) => new(new ImageCheck { IsChecked = false, ImageEnd = Facts.Length });

    public abstract ValueTask DisposeAsync();
}

/// <summary>What an image says of its parent.</summary>
/// <param name="Names">As written in the image, the most trusted first: relative, absolute, or nothing that is a path at all. Never opened unresolved.</param>
/// <param name="Format">The stated format; null where the image does not state one (it is never guessed: such a chain is refused).</param>
/// <param name="Linkage">The parent's identity that the image was made with; null in formats that have none.</param>
public sealed record ParentLink(IReadOnlyList<string> Names, DiskFormat? Format, Guid? Linkage = null);
