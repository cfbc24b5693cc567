using System.IO.Pipes;
using WeaveHypervisor.Libvirt.Capturing;

namespace WeaveHypervisor.Libvirt.Tests.Capturing;

public sealed class GatheringReaderTests : IDisposable
{
    private readonly AnonymousPipeServerStream _pipe = new(PipeDirection.In, HandleInheritability.None, 1 << 20);
    private readonly AnonymousPipeClientStream _writer;

    public GatheringReaderTests() => _writer = new(PipeDirection.Out, _pipe.ClientSafePipeHandle);

    [Fact]
    public async Task What_is_written_page_by_page_is_read_whole_and_in_far_fewer_reads_than_writes()
    {
        const int pages = 4000, size = 4104;
        var sent = new byte[pages * size];
        new Random(20261125).NextBytes(sent);
        var writing = Task.Factory.StartNew(() =>
        {
            for (var page = 0; page < pages; page++) _writer.Write(sent.AsSpan(page * size, size));
            _writer.Dispose();
        }, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await using var reader = new GatheringReader(_pipe);
        var (read, reads) = (new MemoryStream(), 0);
        var buffer = new byte[1 << 20];
        for (int count; (count = await reader.ReadAsync(buffer, TestContext.Current.CancellationToken)) > 0; reads++) read.Write(buffer, 0, count);
        await writing;
        Assert.Equal(sent, read.ToArray());
        Assert.Equal(sent.Length, reader.Position);
        Assert.InRange(reads, 1, pages / 2);
    }

    [Fact]
    public async Task A_read_that_waits_ends_when_it_is_cancelled_and_what_comes_later_is_read_by_the_next()
    {
        await using var reader = new GatheringReader(_pipe);
        using var source = new CancellationTokenSource();
        var waiting = Task.Run(() => reader.ReadAsync(new byte[10], source.Token).AsTask(), TestContext.Current.CancellationToken);
        await source.CancelAsync();
        await Assert.ThrowsAsync<TaskCanceledException>(() => waiting);
        _writer.Write([7]);
        var buffer = new byte[10];
        Assert.Equal(1, reader.Read(buffer));
        Assert.Equal(7, buffer[0]);
    }

    [Fact]
    public async Task A_read_that_waits_ends_when_the_pipe_is_closed_on_its_side()
    {
        await using var reader = new GatheringReader(_pipe);
        var waiting = Task.Run(() => reader.Read(new byte[10]), TestContext.Current.CancellationToken);
        _pipe.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
    }

    public void Dispose()
    {
        _writer.Dispose();
        _pipe.Dispose();
    }
}
