using System.Text.Json;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Qcow2;

public sealed class Qcow2OverlayWriterTests : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private string Base(long size = 1 << 20)
    {
        using var file = File.Create(_folder["base.raw"]);
        file.SetLength(size);
        return file.Name;
    }

    [Theory]
    [InlineData(512)]
    [InlineData(1L << 20)]
    [InlineData((512L << 20) - 512)]
    [InlineData((512L << 20) + 512)]
    [InlineData(100L << 30)]
    [InlineData(8L << 40)]
    public void An_overlay_is_clean_for_qemu_and_takes_at_most_24_KiB(long size)
    {
        var path = _folder["top.qcow2"];
        Qcow2OverlayWriter.Write(path, Base(), DiskFormat.Raw, size);
        QemuImg.Run("check", "-f", "qcow2", path);
        var info = JsonDocument.Parse(QemuImg.Run("info", "--output=json", "-f", "qcow2", path)).RootElement;
        Assert.Equal(size, info.GetProperty("virtual-size").GetInt64());
        Assert.Equal(_folder["base.raw"], info.GetProperty("backing-filename").GetString());
        Assert.Equal("raw", info.GetProperty("backing-filename-format").GetString());
        Assert.InRange(FileFacts.Read(path).AllocatedBytes, 1, 24 << 10);
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Equal([path, _folder["base.raw"]], Directory.GetFiles(_folder.Path).OrderDescending());
    }

    [Fact]
    public void What_qemu_writes_into_an_overlay_is_read_back_and_the_base_stays()
    {
        var path = _folder["top.qcow2"];
        File.WriteAllBytes(Base(), [.. Enumerable.Repeat((byte)7, 1 << 20)]);
        Qcow2OverlayWriter.Write(path, _folder["base.raw"], DiskFormat.Raw, 1 << 20);
        QemuImg.Io(path, "write -P 9 65536 4096");
        QemuImg.Run("check", "-f", "qcow2", path);
        QemuImg.Run("convert", "-f", "qcow2", "-O", "raw", path, _folder["out"]);
        var expected = Enumerable.Repeat((byte)7, 1 << 20).ToArray();
        expected.AsSpan(65536, 4096).Fill(9);
        Assert.Equal(expected, File.ReadAllBytes(_folder["out"]));
        Assert.DoesNotContain((byte)9, File.ReadAllBytes(_folder["base.raw"]));
    }

    [Fact]
    public void Twice_is_once_also_when_the_overlay_has_been_written_to()
    {
        var path = _folder["top.qcow2"];
        Qcow2OverlayWriter.Write(path, Base(), DiskFormat.Raw, 1 << 20);
        QemuImg.Io(path, "write -P 9 0 512");
        var before = File.ReadAllBytes(path);
        Qcow2OverlayWriter.Write(path, _folder["base.raw"], DiskFormat.Raw, 1 << 20);
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    [Fact]
    public void Another_image_in_its_place_is_a_conflict_and_stays()
    {
        var path = _folder["top.qcow2"];
        Qcow2OverlayWriter.Write(path, Base(), DiskFormat.Raw, 1 << 20);
        var before = File.ReadAllBytes(path);
        Refuses(Fault.Conflict, () => Qcow2OverlayWriter.Write(path, _folder["base.raw"], DiskFormat.Raw, 2 << 20));
        Refuses(Fault.Conflict, () => Qcow2OverlayWriter.Write(path, _folder["base.raw"], DiskFormat.Qcow2, 1 << 20));
        Refuses(Fault.Conflict, () => Qcow2OverlayWriter.Write(path, _folder["other.raw"], DiskFormat.Raw, 1 << 20));
        Assert.Equal(before, File.ReadAllBytes(path));
        File.WriteAllText(path, "something else");
        Refuses(Fault.Conflict, () => Qcow2OverlayWriter.Write(path, _folder["base.raw"], DiskFormat.Raw, 1 << 20));
    }

    [Fact]
    public void A_left_part_file_is_overwritten()
    {
        var path = _folder["top.qcow2"];
        File.WriteAllText(DurableFile.PartOf(path), "half of it");
        Qcow2OverlayWriter.Write(path, Base(), DiskFormat.Raw, 1 << 20);
        QemuImg.Run("check", "-f", "qcow2", path);
        Assert.False(File.Exists(DurableFile.PartOf(path)));
    }

    [Fact]
    public void Impossible_overlays_are_refused()
    {
        Refuses(Fault.InvalidRequest, () => Qcow2OverlayWriter.Write(_folder["a"], "base.raw", DiskFormat.Raw, 512));
        Refuses(Fault.InvalidRequest, () => Qcow2OverlayWriter.Write(_folder["a"], "/" + new string('x', 1023), DiskFormat.Raw, 512));
        foreach (var size in (long[])[0, -512, 513, long.MaxValue, Qcow2OverlayWriter.MaxVirtualSize + 512])
            Refuses(Fault.InvalidRequest, () => Qcow2OverlayWriter.Write(_folder["a"], Base(), DiskFormat.Raw, size));
        Refuses(Fault.NotFound, () => Qcow2OverlayWriter.Write(_folder["a"], _folder["none"], DiskFormat.Raw, 512));
        Refuses(Fault.Unsupported, () => Qcow2OverlayWriter.Write(_folder["a"], _folder.Path, DiskFormat.Raw, 512));
        Assert.False(File.Exists(_folder["a"]));
    }

    private static void Refuses(Fault fault, Action act) => Assert.Equal(fault, Assert.Throws<WeaveException>(act).Fault);
}
