using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using LibvirtSharp;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>A RAM block of a running machine beside its main one, and where it lies in QEMU's memory.</summary>
internal sealed record PlacedBlock(string Name, long Length, long Address);

/// <summary>
/// The RAM blocks of a running machine, by what QEMU's monitor says of them. Firmware and option ROMs (`pc.bios`, `….rom`, `/rom@…`) are as they were when the machine was loaded: the guest cannot write
/// them, and QEMU itself only when they are read at the next reset. All others (`vga.vram` above all) must be found: by their place in the guest's address space, and the host address of that.
/// </summary>
internal static partial class RamBlocks
{
    /// <summary>The blocks whose content may have changed, but for the main one; or why they cannot be read.</summary>
    public static async Task<(IReadOnlyList<PlacedBlock> Blocks, string? Reason)> FindAsync(LibvirtDomain domain, ProcessMemory memory, CancellationToken stop)
    {
        var blocks = Read((await Monitor.ExecuteAsync(domain, "x-query-ramblock", null, stop)).GetProperty("human-readable-text").GetString() ?? "");
        if (blocks is null || blocks.All(b => b.Name != MigrationStreamSplitter.SharedBlock)) return ([], "QEMU's list of RAM blocks is not understood");
        var open = blocks.Where(b => b.Name != MigrationStreamSplitter.SharedBlock && !IsFirmware(b.Name)).ToList();
        if (open.Count == 0) return ([], null);
        var tree = await HumanAsync(domain, "info mtree -f", stop);
        var maps = memory.Maps();
        var placed = new List<PlacedBlock>();
        foreach (var block in open)
        {
            var region = block.Name[(block.Name.LastIndexOf('/') + 1)..];
            var places = Places(tree, region, block.Length);
            if (open.Count(b => b.Name == block.Name || b.Name.EndsWith("/" + region, StringComparison.Ordinal)) > 1 || places.Count == 0) return ([], $"its memory {Ids.Quote(block.Name)} is not to be found in its address space");
            if (Host().Match(await HumanAsync(domain, $"gpa2hva 0x{places[0]:x}", stop)) is not { Success: true } host || host.Groups["name"].Value != region) return ([], $"QEMU does not say where its memory {Ids.Quote(block.Name)} is");
            var address = long.Parse(host.Groups["at"].ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
            if (!IsAnonymous(maps, address, block.Length)) return ([], $"its memory {Ids.Quote(block.Name)} is not where QEMU says");
            placed.Add(new(block.Name, block.Length, address));
        }
        return (placed, null);
    }

    /// <summary>Names and lengths in the table of `x-query-ramblock`; null where a line of it is not understood.</summary>
    internal static IReadOnlyList<RamBlock>? Read(string table)
    {
        var blocks = new List<RamBlock>();
        foreach (var line in table.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Skip(1))
        {
            if (Line().Match(line) is not { Success: true } match) return null;
            // libvirt makes a memory object of its own for every machine; where a copy does not use it, it has no name, and is no part of the machine.
            if (match.Groups["name"].Success) blocks.Add(new(match.Groups["name"].Value, long.Parse(match.Groups["used"].ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)));
        }
        return blocks;
    }

    /// <summary>Guest addresses at which the whole of a memory region of that name and length is mapped, in the text of `info mtree -f`.</summary>
    internal static IReadOnlyList<long> Places(string tree, string region, long length) => [.. tree.Split('\n').Select(l => Range().Match(l.TrimEnd())).Where(m => m.Success && m.Groups["name"].Value == region)
        .Select(m => (Start: Hex(m.Groups["start"]), End: Hex(m.Groups["end"]))).Where(r => r.End - r.Start + 1 == length).Select(r => r.Start).Distinct()];

    private static bool IsFirmware(string name) => name is "pc.bios" or "pc.rom" || name.EndsWith(".rom", StringComparison.Ordinal) || name.StartsWith("/rom@", StringComparison.Ordinal);

    private static bool IsAnonymous(IReadOnlyList<Mapping> maps, long address, long length)
    {
        var at = address;
        foreach (var map in maps)
        {
            if (map.End <= at || map.Start > at) continue;
            if (!map.IsPrivate || map.Path.Length > 0 || !map.Access.StartsWith("rw", StringComparison.Ordinal)) return false;
            if ((at = map.End) >= address + length) return true;
        }
        return false;
    }

    private static async Task<string> HumanAsync(LibvirtDomain domain, string line, CancellationToken stop) =>
        (await Monitor.ExecuteAsync(domain, "human-monitor-command", new JsonObject { ["command-line"] = line }, stop)).GetString()?.Replace("\r", "", StringComparison.Ordinal) ?? "";

    private static long Hex(Group group) => unchecked((long)ulong.Parse(group.ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));

    // "0000:00:02.0/vga.vram    4 KiB  0x0000000020080000 0x0000000001000000 0x0000000001000000"; later versions add columns.
    [GeneratedRegex(@"^((?<name>\S+)\s+)?\d+ \S+\s+0x[0-9a-f]+\s+0x(?<used>[0-9a-f]+)\s+0x[0-9a-f]+(\s|$)", RegexOptions.CultureInvariant)]
    private static partial Regex Line();

    // "  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram"; a part of a region has " @" and an offset, and an accelerator's name may follow.
    [GeneratedRegex(@"^\s+(?<start>[0-9a-f]{16})-(?<end>[0-9a-f]{16}) \(prio -?\d+, \S+\): (?<name>[^@]+?)( KVM| HVF| NVMM)?$", RegexOptions.CultureInvariant)]
    private static partial Regex Range();

    // "Host virtual address for 0xfd000000 (vga.vram) is 0x7fce50800000"
    [GeneratedRegex(@"^Host virtual address for 0x[0-9a-f]+ \((?<name>.+)\) is 0x(?<at>[0-9a-f]+)\s*$", RegexOptions.CultureInvariant)]
    private static partial Regex Host();
}
