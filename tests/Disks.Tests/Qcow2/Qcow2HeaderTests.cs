using System.Buffers.Binary;
using CsCheck;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Qcow2;

public sealed class Qcow2HeaderTests : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private byte[] Good(string backing = "base.raw")
    {
        File.WriteAllBytes(_folder[backing], new byte[1 << 20]);
        Qcow2OverlayWriter.Write(_folder["good"], _folder[backing], DiskFormat.Raw, 1 << 30);
        return File.ReadAllBytes(_folder["good"]);
    }

    private DiskImageFacts Inspect(byte[] image)
    {
        File.WriteAllBytes(_folder["image"], image);
        return DiskImageInspector.Inspect(_folder["image"], DiskFormat.Qcow2);
    }

    private void Refused(Fault fault, Action<byte[]> change)
    {
        var image = Good();
        change(image);
        Assert.Equal(fault, Assert.Throws<WeaveException>(() => Inspect(image)).Fault);
    }

    private static Action<byte[]> U32(int at, uint value) => image => BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(at), value);
    private static Action<byte[]> U64(int at, ulong value) => image => BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(at), value);

    public static TheoryData<Fault, int, int, ulong> Wrong => new()
    {
        { Fault.InvalidRequest, 4, 0, 0x51464900 },                          // magic
        { Fault.Unsupported, 4, 4, 0 }, { Fault.Unsupported, 4, 4, 1 }, { Fault.Unsupported, 4, 4, 4 },
        { Fault.DataLoss, 4, 20, 8 }, { Fault.DataLoss, 4, 20, 22 }, { Fault.DataLoss, 4, 20, uint.MaxValue },
        { Fault.InvalidRequest, 8, 24, 0 }, { Fault.DataLoss, 8, 24, 1000 }, { Fault.DataLoss, 8, 24, long.MaxValue }, { Fault.DataLoss, 8, 24, 1UL << 50 }, { Fault.DataLoss, 8, 24, 0xfffffffffffffe00 },
        { Fault.Unsupported, 4, 32, 1 }, { Fault.Unsupported, 4, 32, 2 },    // encryption
        { Fault.DataLoss, 4, 36, 1 }, { Fault.DataLoss, 4, 36, 0 }, { Fault.DataLoss, 4, 36, (32 << 20) / 8 + 1 }, { Fault.DataLoss, 4, 36, uint.MaxValue },
        { Fault.DataLoss, 8, 40, 0 }, { Fault.DataLoss, 8, 40, 0x30001 }, { Fault.DataLoss, 8, 40, 1UL << 40 }, { Fault.DataLoss, 8, 40, 0x10000 }, { Fault.DataLoss, 8, 40, 0xffffffffffff0000 },
        { Fault.DataLoss, 8, 48, 0 }, { Fault.DataLoss, 8, 48, 0x10200 }, { Fault.DataLoss, 8, 48, 1UL << 41 }, { Fault.DataLoss, 4, 56, 0 }, { Fault.DataLoss, 4, 56, 129 },
        { Fault.DataLoss, 4, 60, 65537 }, { Fault.DataLoss, 4, 60, 1 },      // snapshots: too many; a table at 0
        { Fault.DataLoss, 8, 72, 2 }, { Fault.Unsupported, 8, 72, 4 }, { Fault.Unsupported, 8, 72, 32 }, { Fault.Unsupported, 8, 72, 1UL << 63 }, { Fault.DataLoss, 8, 72, 8 },
        { Fault.DataLoss, 4, 96, 7 }, { Fault.DataLoss, 4, 100, 103 }, { Fault.DataLoss, 4, 100, 105 }, { Fault.DataLoss, 4, 100, 1 << 17 }, { Fault.DataLoss, 4, 100, 96 },
        { Fault.Unsupported, 1, 104, 2 }, { Fault.DataLoss, 1, 104, 1 },     // unknown compression; a type without its bit
        { Fault.DataLoss, 4, 16, 1024 }, { Fault.DataLoss, 4, 16, 0 }, { Fault.DataLoss, 8, 8, 65530 }, { Fault.DataLoss, 8, 8, 50 }, { Fault.DataLoss, 8, 8, ulong.MaxValue },
        { Fault.DataLoss, 4, 116, 0xffff }, { Fault.DataLoss, 4, 116, uint.MaxValue }, { Fault.Unsupported, 4, 112, 0x44415441 }, { Fault.Unsupported, 4, 112, 0x0537be77 },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void A_wrong_field_is_refused(Fault fault, int bytes, int at, ulong value) =>
        Refused(fault, bytes switch { 1 => image => image[at] = (byte)value, 4 => U32(at, (uint)value), _ => U64(at, value) });

    [Fact]
    public void Extended_l2_needs_clusters_of_16_KiB() => Refused(Fault.DataLoss, image => { U64(72, 16)(image); U32(20, 13)(image); });

    [Fact]
    public void A_dirty_image_is_read_and_said_to_be_dirty()
    {
        var image = Good();
        U64(72, 1)(image);
        Assert.True(Inspect(image).IsDirty);
    }

    [Theory]
    [InlineData("json:{}", Fault.Unsupported)]
    [InlineData("nbd:localhost:10809", Fault.Unsupported)]
    [InlineData("http://host/x", Fault.Unsupported)]
    [InlineData("a\nb", Fault.DataLoss)]
    [InlineData("a\0b", Fault.DataLoss)]
    public void A_backing_name_that_is_no_file_is_refused(string name, Fault fault) => Refused(fault, image =>
    {
        var at = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(8));
        U32(16, (uint)name.Length)(image);
        System.Text.Encoding.ASCII.GetBytes(name).CopyTo(image, at);
    });

    [Fact]
    public void A_file_cut_at_any_boundary_of_its_header_is_refused()
    {
        var image = Good();
        foreach (var cut in (int[])[0, 1, 3, 4, 7, 8, 20, 71, 72, 103, 104, 105, 111, 112, 119, 120, 135, 140, 512, 65535, 65536, 131072, 196608])
            Assert.Throws<WeaveException>(() => Inspect(image[..cut]));
    }

    [Theory]
    [InlineData("compat=0.10")]
    [InlineData("compat=1.1,cluster_size=512")]
    [InlineData("compat=1.1,cluster_size=2M,extended_l2=on")]
    [InlineData("compat=1.1,compression_type=zstd")]
    [InlineData("compat=1.1,lazy_refcounts=on,refcount_bits=1")]
    public void Images_that_qemu_makes_are_read_with_its_facts(string options)
    {
        QemuImg.Run("create", "-q", "-f", "qcow2", "-o", options, _folder["made"], "64M");
        QemuImg.Run("snapshot", "-c", "one", _folder["made"].ToString());
        var facts = DiskImageInspector.Inspect(_folder["made"], DiskFormat.Qcow2);
        var info = System.Text.Json.JsonDocument.Parse(QemuImg.Run("info", "--output=json", "-f", "qcow2", _folder["made"])).RootElement;
        Assert.Equal(info.GetProperty("virtual-size").GetInt64(), facts.VirtualSize);
        Assert.Equal(info.GetProperty("cluster-size").GetInt32(), facts.ClusterSize);
        Assert.Equal(info.GetProperty("actual-size").GetInt64(), facts.AllocatedBytes);
        Assert.Equal(1, facts.InternalSnapshots);
        Assert.Null(facts.BackingName);
    }

    /// <summary>Whatever bytes the header has: facts, or a fault that says what is wrong. What is accepted, QEMU opens too, unless its backing file is at fault.</summary>
    [Fact]
    public void A_mutated_header_is_read_or_refused_by_name()
    {
        var image = Good();
        Gen.Select(Gen.Int[0, 300], Gen.Byte).Array[1, 6].Sample(changes =>
        {
            var mutated = (byte[])image.Clone();
            foreach (var (at, value) in changes) mutated[at] = value;
            using var folder = new TestFolder();
            File.WriteAllBytes(folder["image"], mutated);
            try
            {
                DiskImageInspector.Inspect(folder["image"], DiskFormat.Qcow2);
            }
            catch (WeaveException error)
            {
                Assert.True(error.Fault is Fault.InvalidRequest or Fault.Unsupported or Fault.DataLoss, error.ToString());
            }
        }, iter: 2000, threads: 1);
    }

    [Fact]
    public void A_raw_disk_that_a_guest_dressed_up_as_qcow2_is_read_as_raw()
    {
        File.WriteAllBytes(_folder["disk"], Good());
        var facts = DiskImageInspector.Inspect(_folder["disk"], DiskFormat.Raw);
        Assert.Equal((new FileInfo(_folder["disk"]).Length, null), (facts.VirtualSize, facts.BackingName));
    }
}
