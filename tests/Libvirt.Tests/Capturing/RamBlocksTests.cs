using WeaveHypervisor.Libvirt.Capturing;

namespace WeaveHypervisor.Libvirt.Tests.Capturing;

/// <summary>What QEMU's monitor says of memory, as QEMU 7.2 and later versions write it.</summary>
public sealed class RamBlocksTests
{
    private const string Table = """
                      Block Name    PSize              Offset               Used              Total
                                    4 KiB  0x0000000000000000 0x0000000020000000 0x0000000020000000
                       weave-ram    4 KiB  0x0000000020000000 0x0000000020000000 0x0000000020000000
           0000:00:02.0/vga.vram    4 KiB  0x0000000020080000 0x0000000001000000 0x0000000001000000
            /rom@etc/acpi/tables    4 KiB  0x00000000210c0000 0x0000000000020000 0x0000000000200000

        """;

    private const string Tree = """
        FlatView #0
         AS "cpu-smm-0", root: memory
         Root memory region: memory
          0000000000000000-00000000000bffff (prio 0, ram): weave-ram
          00000000000c0000-00000000000c9fff (prio 0, rom): weave-ram @00000000000c0000
          00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram
        FlatView #1
          00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram KVM
          00000000fe000000-00000000fe0fffff (prio 1, ram): qxl.vram
          00000000feb00000-00000000feb003ff (prio 1, i/o): edid
        """;

    [Fact]
    public void The_table_of_blocks_is_read_also_with_more_columns()
    {
        Assert.Equal([("weave-ram", 512L << 20), ("0000:00:02.0/vga.vram", 16L << 20), ("/rom@etc/acpi/tables", 128L << 10)], RamBlocks.Read(Table)!.Select(b => (b.Name, b.Length)));
        Assert.Equal("pc.ram", Assert.Single(RamBlocks.Read("Block Name PSize Offset Used Total HVA RO\n  pc.ram    4 KiB  0x0 0x4000 0x4000 0x7f0000000000 rw\n")!).Name);
        Assert.Null(RamBlocks.Read("Block Name\n pc.ram of another kind\n"));
    }

    [Fact]
    public void A_region_is_where_the_whole_of_it_is_mapped()
    {
        Assert.Equal([0xfd000000L], RamBlocks.Places(Tree, "vga.vram", 16 << 20));
        Assert.Empty(RamBlocks.Places(Tree, "vga.vram", 32 << 20));
        Assert.Empty(RamBlocks.Places(Tree, "weave-ram", 512 << 20));
    }
}
