using WeaveHypervisor.Disks.Qcow2;
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
            foreach (var writer in (string[])["overlay", "new file", "file replaced", "folder"])
                foreach (var (error, fault) in ((int, Fault)[])[(28, Fault.Exhausted), (5, Fault.DataLoss), (13, Fault.Unavailable)]) all.Add(writer, error, fault);
            return all;
        }
    }

    [Theory, MemberData(nameof(Failures))]
    public void A_writer_is_whole_or_absent_and_succeeds_the_next_time(string writer, int error, Fault fault)
    {
        for (var number = 0; ; number++)
        {
            using var folder = new TestFolder();
            var path = folder["target"];
            var backing = folder["backing"];
            File.WriteAllBytes(backing, new byte[1 << 20]);
            if (writer == "file replaced") File.WriteAllText(path, "old");
            void Write()
            {
                if (writer == "overlay") Qcow2OverlayWriter.Write(path, backing, DiskFormat.Raw, 1 << 20);
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
                if (Record.Exception(Write) is not { } thrown)
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
            if (writer == "overlay" && failed != "sync folder") Assert.False(File.Exists(path), failed);
            Write();
            if (writer == "overlay") Assert.Equal(backing, DiskImageInspector.Inspect(path, DiskFormat.Qcow2).BackingName);
            else if (writer == "folder") Assert.True(Directory.Exists(path + "/in/it"));
            else Assert.Equal("new", File.ReadAllText(path));
        }
    }
}
