using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Disks;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>One line of /proc/PID/maps. <paramref name="Path"/> is empty for anonymous memory.</summary>
internal readonly record struct Mapping(long Start, long End, string Access, long Offset, long Inode, string Path)
{
    public bool IsPrivate => Access.EndsWith('p');
}

/// <summary>Pages that follow one another, by number within what was scanned.</summary>
internal readonly record struct PageRange(long First, long Count);

/// <summary>The memory of another process as /proc shows it: what it maps, which pages are its own, their content. Linux.</summary>
internal sealed partial class ProcessMemory : IDisposable
{
    private readonly SafeFileHandle _memory, _pagemap;

    private ProcessMemory(int process, SafeFileHandle memory, SafeFileHandle pagemap) => (Process, _memory, _pagemap) = (process, memory, pagemap);

    public int Process { get; }

    /// <summary>Opens a process's memory for reading; a fault of a file where that is refused or the process has ended.</summary>
    public static ProcessMemory Open(int process)
    {
        SafeFileHandle? memory = null;
        try
        {
            memory = File.OpenHandle(PathOf(process, "mem"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            return new(process, memory, File.OpenHandle(PathOf(process, "pagemap"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            memory?.Dispose();
            throw DiskFaults.From(error, $"read the memory of process {process}");
        }
    }

    /// <summary>What the process maps now, by address.</summary>
    public IReadOnlyList<Mapping> Maps()
    {
        try
        {
            return [.. File.ReadLines(PathOf(Process, "maps")).Select(Parse)];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"read the mappings of process {Process}");
        }
    }

    /// <summary>
    /// Pages from <paramref name="start"/> on that are the process's own: written to, or swapped out, not shared with a file. In a private mapping of a file these are all that can differ
    /// from it; in anonymous memory these are all that can differ from zero. A fault of a file where the process has ended.
    /// </summary>
    public List<PageRange> OwnPages(long start, long length)
    {
        try
        {
            return ScanOwn(start, length) ?? ReadOwn(start, length);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"read the page map of process {Process}");
        }
    }

    /// <summary>Reads memory; an IOException where not all of it is mapped.</summary>
    public void Read(long address, Span<byte> buffer)
    {
        for (var done = 0; done < buffer.Length;)
        {
            var count = RandomAccess.Read(_memory, buffer[done..], address + done);
            if (count == 0) throw new EndOfStreamException($"The memory of process {Process} ended.");
            done += count;
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        _pagemap.Dispose();
    }

    private static string PathOf(int process, string file) => $"/proc/{process.ToString(CultureInfo.InvariantCulture)}/{file}";

    private static Mapping Parse(string line)
    {
        // 7f00-7f10 rw-p 00000000 fe:00 942125      /path with spaces
        var fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        var dash = fields[0].IndexOf('-', StringComparison.Ordinal);
        // The kernel's own pages lie above what a signed number holds; nothing here asks for them.
        static long Hex(ReadOnlySpan<char> text) => unchecked((long)ulong.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
        return new(Hex(fields[0].AsSpan(0, dash)), Hex(fields[0].AsSpan(dash + 1)), fields[1], Hex(fields[2]), long.Parse(fields[4], NumberStyles.None, CultureInfo.InvariantCulture), fields.Length > 5 ? fields[5] : "");
    }

    /// <summary>By the bits of /proc/PID/pagemap, which every kernel has.</summary>
    internal List<PageRange> ReadOwn(long start, long length)
    {
        const ulong present = 1UL << 63, swapped = 1UL << 62, ofFile = 1UL << 61;
        var ranges = new List<PageRange>();
        var buffer = new byte[1 << 20];
        var pages = length / PageSize;
        for (long page = 0; page < pages;)
        {
            var read = RandomAccess.Read(_pagemap, buffer.AsSpan(0, (int)Math.Min(buffer.Length, (pages - page) * 8)), (start / PageSize + page) * 8) / 8;
            if (read == 0) throw new EndOfStreamException($"The page map of process {Process} ended.");
            for (var i = 0; i < read; i++, page++)
            {
                var bits = BitConverter.ToUInt64(buffer, i * 8);
                if ((bits & swapped) != 0 || (bits & present) != 0 && (bits & ofFile) == 0) Append(ranges, page, 1);
            }
        }
        return ranges;
    }

    /// <summary>By the PAGEMAP_SCAN call of Linux 6.7, which skips what is not there; null where the kernel does not know it.</summary>
    internal unsafe List<PageRange>? ScanOwn(long start, long length)
    {
        const int regions = 4096;
        var ranges = new List<PageRange>();
        var found = new Region[regions];
        fixed (Region* vector = found)
        {
            for (var at = (ulong)start; at < (ulong)(start + length);)
            {
                var scan = new Scan
                {
                    Size = (ulong)sizeof(Scan), Start = at, End = (ulong)(start + length), Vector = (ulong)vector, VectorLength = regions,
                    Inverted = OfFile, Mask = OfFile, AnyOf = Present | Swapped, Return = Present | Swapped,
                };
                var count = Control(_pagemap, ScanCall, &scan);
                if (count < 0) return null;
                foreach (var region in found.AsSpan(0, count)) Append(ranges, ((long)region.Start - start) / PageSize, (long)(region.End - region.Start) / PageSize);
                if (scan.WalkEnd <= at) return null;
                at = scan.WalkEnd;
            }
        }
        return ranges;
    }

    private static void Append(List<PageRange> ranges, long first, long count)
    {
        if (ranges.Count > 0 && ranges[^1] is var last && last.First + last.Count == first) ranges[^1] = last with { Count = last.Count + count };
        else ranges.Add(new(first, count));
    }

    // linux/fs.h: PAGEMAP_SCAN is _IOWR('f', 16, struct pm_scan_arg).
    private const nuint ScanCall = 0xc0606610;
    private const ulong OfFile = 1 << 2, Present = 1 << 3, Swapped = 1 << 4;

    [StructLayout(LayoutKind.Sequential)]
    private struct Scan
    {
        public ulong Size, Flags, Start, End, WalkEnd, Vector, VectorLength, MostPages, Inverted, Mask, AnyOf, Return;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Region
    {
        public ulong Start, End, Categories;
    }

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static unsafe partial int Control(SafeFileHandle file, nuint call, Scan* argument);
}
