namespace WeaveHypervisor.Disks;

/// <summary>A chain as a stream. Each has a position of its own and is not for parallel use; the chain below may be shared.</summary>
internal sealed class ChainStream(DiskChain chain) : Stream
{
    private long _position;

    public override bool CanRead => true;
    public override bool CanSeek => true;
    public override bool CanWrite => false;
    public override long Length => chain.Capacity;

    public override long Position
    {
        get => _position;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            _position = value;
        }
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var length = (int)Math.Min(buffer.Length, Math.Max(0, Length - _position));
        if (length == 0) return 0;
        await chain.ReadAsync(_position, buffer[..length], cancellationToken).ConfigureAwait(false);
        _position += length;
        return length;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override int Read(Span<byte> buffer)
    {
        var copy = new byte[buffer.Length];
        var read = Read(copy, 0, copy.Length);
        copy.AsSpan(0, read).CopyTo(buffer);
        return read;
    }

    public override long Seek(long offset, SeekOrigin origin)
    {
        var to = origin switch { SeekOrigin.Begin => offset, SeekOrigin.Current => _position + offset, _ => Length + offset };
        if (to < 0) throw new IOException("A position before the start of the disk.");
        return _position = to;
    }

    public override void Flush() { }
    public override void SetLength(long value) => throw new NotSupportedException("The disk is read-only.");
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("The disk is read-only.");
}
