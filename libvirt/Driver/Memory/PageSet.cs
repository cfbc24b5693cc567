using System.Numerics;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>A set of page numbers below a bound; takes memory only near those that are in it.</summary>
internal sealed class PageSet(long pages)
{
    private const int PagesPerChunk = 1 << 15;                         // 128 MiB of RAM, 4 KiB of bits
    private readonly ulong[]?[] _chunks = new ulong[]?[(pages + PagesPerChunk - 1) / PagesPerChunk];

    public long Count { get; private set; }

    public bool Contains(long page) => _chunks[page / PagesPerChunk] is { } chunk && (chunk[page % PagesPerChunk / 64] & Bit(page)) != 0;

    /// <summary>Puts a page in or takes it out; answers whether it was in before.</summary>
    public bool Set(long page, bool isIn)
    {
        ref var chunk = ref _chunks[page / PagesPerChunk];
        if (chunk is null)
        {
            if (!isIn) return false;
            chunk = new ulong[PagesPerChunk / 64];
        }
        ref var bits = ref chunk[page % PagesPerChunk / 64];
        var before = (bits & Bit(page)) != 0;
        if (before == isIn) return before;
        bits ^= Bit(page);
        Count += isIn ? 1 : -1;
        return before;
    }

    /// <summary>All pages in it, ascending.</summary>
    public IEnumerable<long> All()
    {
        for (var c = 0; c < _chunks.Length; c++)
        {
            if (_chunks[c] is not { } chunk) continue;
            for (var w = 0; w < chunk.Length; w++)
                for (var bits = chunk[w]; bits != 0; bits &= bits - 1)
                    yield return (long)c * PagesPerChunk + w * 64L + BitOperations.TrailingZeroCount(bits);
        }
    }

    private static ulong Bit(long page) => 1UL << (int)(page % 64);
}
