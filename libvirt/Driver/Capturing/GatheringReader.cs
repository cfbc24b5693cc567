using System.IO.Pipes;
using System.Runtime.InteropServices;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// Reads a pipe into which QEMU writes page by page: a background snapshot flushes after each of them, so that a reader that is woken for each spends the time of both processors on waking (measured:
/// three quarters of a capture of 2 GiB). Once the stream flows, it lets the pipe fill for a moment before it reads on. A read blocks its thread, also <see cref="ReadAsync(Memory{byte}, CancellationToken)"/>,
/// which has ended when it returns: for a thread of its own.
/// </summary>
internal sealed partial class GatheringReader(AnonymousPipeServerStream pipe) : Stream
{
    /// <summary>Bytes that are read as they come: the head of the stream is written while the guest stands still.</summary>
    private const long Head = 1 << 20;
    /// <summary>A read of less than that had better waited.</summary>
    private const int Few = 256 << 10;
    /// <summary>Milliseconds. QEMU writes less than a pipe of 1 MiB holds in that time.</summary>
    private const int Moment = 1, StopLook = 100;
    private long _read;
    private bool _few;

    public override int Read(Span<byte> buffer) => Read(buffer, CancellationToken.None);

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            return new(Read(buffer.Span, cancellationToken));
        }
        catch (OperationCanceledException error)
        {
            return ValueTask.FromCanceled<int>(error.CancellationToken);
        }
        catch (IOException error)
        {
            return ValueTask.FromException<int>(error);
        }
    }

    private int Read(Span<byte> buffer, CancellationToken stop)
    {
        if (_few && _read > Head) Thread.Sleep(Moment);
        while (!HasSome()) stop.ThrowIfCancellationRequested();
        stop.ThrowIfCancellationRequested();
        var count = pipe.Read(buffer);
        _read += count;
        _few = count < Few && count < buffer.Length;
        return count;
    }

    /// <summary>Waits for a byte, or the end; false where neither came for a while. ObjectDisposedException: the pipe was closed on this side.</summary>
    private bool HasSome()
    {
        var held = false;
        try
        {
            // Closed meanwhile, its number could be that of another file.
            pipe.SafePipeHandle.DangerousAddRef(ref held);
            var look = new PollFile { File = (int)pipe.SafePipeHandle.DangerousGetHandle(), Events = Readable };
            return Poll(ref look, 1, StopLook) switch
            {
                0 => false,
                < 0 when Marshal.GetLastPInvokeError() == Interrupted => false,
                // Whatever else there is to say of it, a read says it.
                _ => true,
            };
        }
        finally
        {
            if (held) pipe.SafePipeHandle.DangerousRelease();
        }
    }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => _read; set => throw new NotSupportedException(); }
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override void Flush()
    {
    }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    // poll(2) of Linux; EINTR.
    private const short Readable = 1;
    private const int Interrupted = 4;

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFile
    {
        public int File;
        public short Events, Told;
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(ref PollFile files, nuint count, int milliseconds);
}
