namespace WeaveHypervisor.Model;

/// <summary>A range of a disk as the guest sees it, in bytes.</summary>
public readonly record struct DiskRange(long Offset, long Length)
{
    public long End => Offset + Length;
}

/// <summary>Reads bytes of a disk as the guest sees them, all of <paramref name="into"/>. Errors are <see cref="WeaveException"/>s.</summary>
public delegate ValueTask DiskReader(long offset, Memory<byte> into, CancellationToken stop);
