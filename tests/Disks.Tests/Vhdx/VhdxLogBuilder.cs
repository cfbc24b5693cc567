namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>
/// Writes log entries as [MS-VHDX] 2.3.1 says, by itself and not by the product's code: any number of descriptors, entries that go over the ring's end, tails that lie
/// before. Keeps beside it what the file is once the log is replayed.
/// </summary>
internal sealed class VhdxLogBuilder(VhdxBytes file, Guid guid, int position, ulong sequence)
{
    private const int Sector = 4096, Length = VhdxBytes.MiB;
    /// <summary>A change of the file: 4 KiB of bytes, or a length of zeroes.</summary>
    public readonly record struct Change(long Offset, byte[]? Page, long Zeroes);

    /// <summary>Where in the log the next entry begins.</summary>
    public int Position { get; private set; } = position;
    public ulong Sequence { get; private set; } = sequence;
    /// <summary>Where the last entry began.</summary>
    public int Last { get; private set; }
    public int Used { get; private set; }

    /// <summary>Appends an entry; its place.</summary>
    public int Add(IReadOnlyList<Change> changes, int? tail = null, long? flushed = null, long? last = null, Action<byte[]>? spoil = null)
    {
        var descriptorBytes = (64 + changes.Count * 32 + Sector - 1) / Sector * Sector;
        var entry = new byte[descriptorBytes + changes.Count(c => c.Page is not null) * Sector];
        "loge"u8.CopyTo(entry);
        BitConverter.GetBytes(entry.Length).CopyTo(entry, 8);
        BitConverter.GetBytes(tail ?? Position).CopyTo(entry, 12);
        BitConverter.GetBytes(Sequence).CopyTo(entry, 16);
        BitConverter.GetBytes(changes.Count).CopyTo(entry, 24);
        guid.TryWriteBytes(entry.AsSpan(32));
        BitConverter.GetBytes(flushed ?? file.Bytes.Length).CopyTo(entry, 48);
        BitConverter.GetBytes(last ?? file.Bytes.Length).CopyTo(entry, 56);
        var data = descriptorBytes;
        for (var i = 0; i < changes.Count; i++)
        {
            var descriptor = entry.AsSpan(64 + 32 * i, 32);
            BitConverter.TryWriteBytes(descriptor[16..], changes[i].Offset);
            BitConverter.TryWriteBytes(descriptor[24..], Sequence);
            if (changes[i].Page is not { } page)
            {
                "zero"u8.CopyTo(descriptor);
                BitConverter.TryWriteBytes(descriptor[8..], changes[i].Zeroes);
                continue;
            }
            "desc"u8.CopyTo(descriptor);
            page.AsSpan(4092, 4).CopyTo(descriptor[4..]);
            page.AsSpan(0, 8).CopyTo(descriptor[8..]);
            "data"u8.CopyTo(entry.AsSpan(data));
            BitConverter.TryWriteBytes(entry.AsSpan(data + 4), (uint)(Sequence >> 32));
            page.AsSpan(8, 4084).CopyTo(entry.AsSpan(data + 8));
            BitConverter.TryWriteBytes(entry.AsSpan(data + 4092), (uint)Sequence);
            data += Sector;
        }
        BitConverter.GetBytes(VhdxBytes.Crc(entry)).CopyTo(entry, 4);
        spoil?.Invoke(entry);
        for (var at = 0; at < entry.Length; at += Sector) entry.AsSpan(at, Sector).CopyTo(file.Bytes.AsSpan(VhdxBytes.Log + (Position + at) % Length));
        Last = Position;
        Position = (Position + entry.Length) % Length;
        Used += entry.Length;
        Sequence++;
        return Last;
    }

    /// <summary>Makes the headers say that this log counts.</summary>
    public void Activate() => file.Headers(h => file.Guid(h + 48, guid));

    public static void Apply(IEnumerable<Change> changes, byte[] to)
    {
        foreach (var change in changes)
            if (change.Page is { } page) page.CopyTo(to, change.Offset);
            else to.AsSpan((int)change.Offset, (int)change.Zeroes).Clear();
    }
}
