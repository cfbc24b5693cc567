using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests;

public sealed class DurableFileTests : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_failed_write_leaves_the_old_content_and_nothing_beside_it()
    {
        DurableFile.Write(_folder["a"], f => f.Write("old"u8));
        Assert.Throws<InvalidOperationException>(() => DurableFile.Write(_folder["a"], f =>
        {
            f.Write("new"u8);
            throw new InvalidOperationException();
        }));
        Assert.Equal("old", File.ReadAllText(_folder["a"]));
        Assert.Single(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_link_in_the_place_of_the_part_file_is_not_followed()
    {
        File.WriteAllText(_folder["victim"], "mine");
        File.CreateSymbolicLink(DurableFile.PartOf(_folder["a"]), _folder["victim"]);
        DurableFile.Write(_folder["a"], f => f.Write("new"u8));
        Assert.Equal("mine", File.ReadAllText(_folder["victim"]));
        Assert.Equal("new", File.ReadAllText(_folder["a"]));
    }

    [Fact]
    public void Folders_get_their_mode_whatever_the_umask_and_deleting_twice_is_success()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "No modes.");
        const UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute;
        DurableFile.CreateDirectory(_folder["x/y/z"], mode);
        DurableFile.CreateDirectory(_folder["x/y/z"], mode);
        Assert.All(["x", "x/y", "x/y/z"], d => Assert.Equal(mode, File.GetUnixFileMode(_folder[d])));
        DurableFile.Write(_folder["x/y/z/f"], f => f.WriteByte(1));
        DurableFile.Delete(_folder["x/y/z/f"]);
        DurableFile.Delete(_folder["x/y/z/f"]);
        DurableFile.Delete(_folder["gone/f"]);
        Assert.Empty(Directory.GetFiles(_folder["x/y/z"]));
    }

    [Fact]
    public void A_folder_that_is_not_there_is_NotFound() =>
        Assert.Equal(Fault.NotFound, Assert.Throws<WeaveException>(() => DurableFile.Write(_folder["none/a"], _ => { })).Fault);
}
