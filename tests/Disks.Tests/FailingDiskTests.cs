using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests;

/// <summary>Every operation on a file fails once in turn: what was there is there still, or what was to be is; never something between, and nothing beside it.</summary>
public sealed class FailingDiskTests
{
    public static TheoryData<string, int, Fault> Failures
    {
        get
        {
            var all = new TheoryData<string, int, Fault>();
            foreach (var writer in (string[])["overlay", "qcow2 image", "empty VHDX", "VHDX on a parent", "fixed VHDX", "new file", "file replaced", "folder"])
                foreach (var (error, fault) in ((int, Fault)[])[(28, Fault.Exhausted), (5, Fault.DataLoss), (13, Fault.Unavailable)]) all.Add(writer, error, fault);
            return all;
        }
    }

    [Theory, MemberData(nameof(Failures))]
    public async Task A_writer_is_whole_or_absent_and_succeeds_the_next_time(string writer, int error, Fault fault)
    {
        var content = new byte[3 << 20];
        new Random(1).NextBytes(content);
        for (var number = 0; ; number++)
        {
            using var folder = new TestFolder();
            var path = folder["target"];
            var backing = folder["backing"];
            File.WriteAllBytes(backing, new byte[1 << 20]);
            if (writer == "file replaced") File.WriteAllText(path, "old");
            if (writer == "VHDX on a parent")
            {
                File.Delete(backing);
                await VhdxWriter.CreateAsync(backing, new VhdxShape(3 << 20), default);
            }
            async Task WriteAsync()
            {
                var ranges = new DiskRange[] { new(0, 0), new(1000, 70_000), new(1 << 20, 1 << 20), new((3 << 20) - 513, 513) }.ToAsyncEnumerable();
                DiskReader reader = (offset, into, _) =>
                {
                    content.AsMemory((int)offset, into.Length).CopyTo(into);
                    return default;
                };
                if (writer == "overlay") Qcow2OverlayWriter.Write(path, backing, DiskFormat.Raw, 1 << 20);
                else if (writer == "qcow2 image") await Qcow2Writer.WriteAsync(path, new Qcow2Shape(3 << 20), ranges, reader, null, null, default);
                else if (writer == "empty VHDX") await VhdxWriter.CreateAsync(path, new VhdxShape(3 << 20), default);
                else if (writer == "VHDX on a parent") await VhdxWriter.WriteAsync(path, new VhdxShape(3 << 20, backing, 1 << 20), ranges, reader, null, null, default);
                else if (writer == "fixed VHDX") await VhdxWriter.WriteAsync(path, new VhdxShape(3 << 20, BlockBytes: 1 << 20, IsFixed: true), ranges, reader, null, null, default);
                else if (writer == "folder") DurableFile.CreateDirectory(path + "/in/it", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                else DurableFile.Write(path, file => file.Write("new"u8));
            }
            var (passed, failed) = (0, "");
            using (FileFaults.Hook((operation, at) =>
            {
                if (!at.StartsWith(folder.Path, StringComparison.Ordinal) || passed++ != number) return 0;
                failed = operation;
                return error;
            }))
            {
                if (await Record.ExceptionAsync(WriteAsync) is not { } thrown)
                {
                    Assert.True(number >= 4 && failed == "", $"only {number} operations, {failed}");
                    return;
                }
                var refusal = Assert.IsType<WeaveException>(thrown);
                Assert.Equal((failed, fault), (failed, refusal.Fault));
                Assert.NotNull(refusal.NextStep);
            }
            Assert.False(File.Exists(DurableFile.PartOf(path)), failed);
            if (writer is "new file" or "file replaced")
                Assert.Contains(File.Exists(path) ? File.ReadAllText(path) : "absent", failed == "sync folder" ? ["new"] : (string[])[writer == "new file" ? "absent" : "old"]);
            if (IsImage(writer) && failed != "sync folder") Assert.False(File.Exists(path), failed);
            // An image that is there already is never written over.
            if (writer == "overlay" || !IsImage(writer) || !File.Exists(path)) await WriteAsync();
            if (writer.Contains("VHDX", StringComparison.Ordinal) || writer == "qcow2 image") await ReadAsync(path, writer.Contains("VHDX", StringComparison.Ordinal) ? DiskFormat.Vhdx : DiskFormat.Qcow2, writer == "empty VHDX" ? null : content);
            else if (writer == "overlay") Assert.Equal(backing, DiskImageInspector.Inspect(path, DiskFormat.Qcow2).BackingName);
            else if (writer == "folder") Assert.True(Directory.Exists(path + "/in/it"));
            else Assert.Equal("new", File.ReadAllText(path));
        }
    }

    private static bool IsImage(string writer) => writer == "overlay" || writer.Contains("VHDX", StringComparison.Ordinal) || writer == "qcow2 image";

    private static async Task ReadAsync(string path, DiskFormat format, byte[]? content)
    {
        await using var chain = await DiskChain.OpenAsync(path, format, new FolderLocator(path), default);
        var bytes = new byte[chain.Capacity];
        await chain.ReadAsync(0, bytes, default);
        var expected = new byte[3 << 20];
        if (content is not null)
            foreach (var (from, length) in ((int, int)[])[(1000, 70_000), (1 << 20, 1 << 20), ((3 << 20) - 513, 513)]) content.AsSpan(from, length).CopyTo(expected.AsSpan(from));
        Assert.Equal(expected, bytes);
    }
}
