using System.Diagnostics;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Chains;

public sealed class DiskChainInspectorTests : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private void Raw(string name) => File.WriteAllBytes(_folder[name], new byte[1 << 20]);
    private void Overlay(string name, string on, DiskFormat format) => Qcow2OverlayWriter.Write(_folder[name], _folder[on], format, 1 << 20);
    private WeaveException Refused(string name) => Assert.Throws<WeaveException>(() => DiskChainInspector.Inspect(_folder[name], DiskFormat.Qcow2));

    /// <summary>Files 1 to <paramref name="depth"/>, each on the one before, on the raw file 0.</summary>
    private void Chain(int depth)
    {
        Raw("0");
        for (var i = 1; i <= depth; i++) Overlay($"{i}", $"{i - 1}", i == 1 ? DiskFormat.Raw : DiskFormat.Qcow2);
    }

    [Fact]
    public void A_chain_is_listed_from_top_to_base()
    {
        Chain(3);
        Assert.Equal([_folder["3"], _folder["2"], _folder["1"], _folder["0"]], DiskChainInspector.Inspect(_folder["3"], DiskFormat.Qcow2).Select(f => f.Path));
    }

    [Fact]
    public void A_relative_backing_name_is_sought_in_the_folder_of_its_file()
    {
        Directory.CreateDirectory(_folder["sub"]);
        Raw("base");
        QemuImg.Run("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "../base", _folder["sub/top"]);
        Assert.Equal([_folder["sub/top"], _folder["base"]], DiskChainInspector.Inspect(_folder["sub/top"], DiskFormat.Qcow2).Select(f => f.Path));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void A_circle_is_refused(int length)
    {
        Chain(length + 1);
        File.Delete(_folder["1"]);
        File.CreateSymbolicLink(_folder["1"], _folder[$"{length + 1}"]);
        var error = Refused($"{length + 1}");
        Assert.Equal(Fault.DataLoss, error.Fault);
        Assert.Contains("circle", error.Message);
    }

    [Fact]
    public void Two_hundred_files_are_read_and_one_more_is_refused()
    {
        Chain(200);
        Assert.Equal(200, DiskChainInspector.Inspect(_folder["199"], DiskFormat.Qcow2).Count);
        Assert.Equal(Fault.Unsupported, Refused("200").Fault);
    }

    [Fact]
    public void A_missing_base_is_named_with_the_file_that_points_to_it()
    {
        Chain(2);
        File.Delete(_folder["0"]);
        var error = Refused("2");
        Assert.Equal(Fault.DataLoss, error.Fault);
        Assert.Contains(_folder["0"], error.Message);
        Assert.Contains(_folder["1"], error.Message);
    }

    [Fact]
    public void A_backing_file_that_is_not_of_the_stated_format_is_refused()
    {
        Raw("0");
        Overlay("1", "0", DiskFormat.Qcow2);
        Assert.Equal(Fault.DataLoss, Refused("1").Fault);
    }

    [Fact]
    public void An_unstated_backing_format_is_refused()
    {
        Chain(1);
        using (var file = File.OpenWrite(_folder["1"]))
        {
            file.Position = 112;                // the backing format extension's type, made one that is unknown and so passed over
            file.Write([1, 2, 3, 4]);
        }
        Assert.Equal(Fault.Unsupported, Refused("1").Fault);
    }

    [Fact]
    public void Symbolic_links_in_a_circle_are_refused()
    {
        Chain(1);
        File.Delete(_folder["0"]);
        File.CreateSymbolicLink(_folder["0"], _folder["x"]);
        File.CreateSymbolicLink(_folder["x"], _folder["0"]);
        Assert.Equal(Fault.DataLoss, Refused("1").Fault);
    }

    [Fact]
    public void Devices_folders_and_pipes_are_refused_without_waiting()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "No such files.");
        foreach (var name in (string[])["device", "folder", "pipe"])
        {
            Raw("0");
            File.Delete(_folder["1"]);
            Overlay("1", "0", DiskFormat.Raw);
            File.Delete(_folder["0"]);
            if (name == "device") File.CreateSymbolicLink(_folder["0"], "/dev/zero");
            else if (name == "folder") Directory.CreateDirectory(_folder["0"]);
            else using (var make = Process.Start("mkfifo", _folder["0"])) make.WaitForExit();
            Assert.Equal(Fault.Unsupported, Refused("1").Fault);
            if (name == "folder") Directory.Delete(_folder["0"]);
            else File.Delete(_folder["0"]);
        }
    }
}
