using System.Text;
using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// What a differencing disk says of its parent ([MS-VHDX] 2.6.2.6): where it may be, and the <see cref="VhdxHeader.DataWriteGuid"/> that it must have.
/// </summary>
/// <param name="Linkage">parent_linkage.</param>
/// <param name="Linkage2">parent_linkage2: the parent may have this one instead, which is how a merge in progress stays readable; null where there is none.</param>
internal sealed record VhdxParentLocator(Guid Linkage, Guid? Linkage2 = null, string? RelativePath = null, string? VolumePath = null, string? AbsolutePath = null)
{
    private const int HeaderBytes = 20, EntryBytes = 12;
    private const string LinkageKey = "parent_linkage", Linkage2Key = "parent_linkage2", RelativeKey = "relative_path", VolumeKey = "volume_path", AbsoluteKey = "absolute_win32_path";
    /// <summary>2.6.2.6.1: the only kind of locator that there is.</summary>
    private static readonly Guid Kind = new("b04aefb7-d19e-4a81-b789-25b8e9445913");

    /// <summary>In the order in which they are to be tried (2.6.2.6.3), as they are written but for the relative one, whose separators are those of this world.</summary>
    public IReadOnlyList<string> Names => [.. new[] { RelativePath?.Replace('\\', '/'), VolumePath, AbsolutePath }.OfType<string>()];

    public static VhdxParentLocator Parse(ReadOnlySpan<byte> item, string path)
    {
        if (item.Length < HeaderBytes) throw Damaged(path, $"its parent locator has {item.Length} bytes");
        if (GuidAt(item, 0) is var kind && kind != Kind) throw Unsupported(path, $"its parent is located in a way that is not known ({kind})");
        var count = U16(item, 18);
        if (item.Length < HeaderBytes + count * EntryBytes) throw Damaged(path, $"its parent locator of {item.Length} bytes claims {count} entries");
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < count; i++)
        {
            var entry = item.Slice(HeaderBytes + i * EntryBytes, EntryBytes);
            var key = Text(item, U32(entry, 0), U16(entry, 8), i, path);
            if (!found.TryAdd(key, Text(item, U32(entry, 4), U16(entry, 10), i, path))) throw Damaged(path, $"its parent locator has an entry twice (number {i})");
        }
        return new(Linkage(LinkageKey) ?? throw Damaged(path, "its parent locator does not say which parent it was made on"), Linkage(Linkage2Key),
            found.GetValueOrDefault(RelativeKey), found.GetValueOrDefault(VolumeKey), found.GetValueOrDefault(AbsoluteKey));

        Guid? Linkage(string key) => !found.TryGetValue(key, out var text) ? null
            : Guid.TryParse(text, out var id) ? id : throw Damaged(path, $"the {key} of its parent locator is no GUID");
    }

    private static string Text(ReadOnlySpan<byte> item, uint offset, ushort length, int entry, string path)
    {
        if (length == 0 || length % 2 != 0 || offset > item.Length || length > item.Length - offset) throw Damaged(path, $"entry {entry} of its parent locator points outside of it");
        return Encoding.Unicode.GetString(item.Slice((int)offset, length));
    }

    public byte[] ToBytes()
    {
        var entries = new List<(string Key, string Value)> { (LinkageKey, Linkage.ToString("B")) };
        if (Linkage2 is { } second) entries.Add((Linkage2Key, second.ToString("B")));
        if (RelativePath is not null) entries.Add((RelativeKey, RelativePath));
        if (VolumePath is not null) entries.Add((VolumeKey, VolumePath));
        if (AbsolutePath is not null) entries.Add((AbsoluteKey, AbsolutePath));
        var at = HeaderBytes + entries.Count * EntryBytes;
        var bytes = new byte[at + entries.Sum(e => (e.Key.Length + e.Value.Length) * 2)];
        Put(bytes, 0, Kind);
        Put(bytes, 18, (ushort)entries.Count);
        for (var i = 0; i < entries.Count; i++)
        {
            var entry = bytes.AsSpan(HeaderBytes + i * EntryBytes, EntryBytes);
            Put(entry, 0, (uint)at);
            Put(entry, 8, checked((ushort)Encoding.Unicode.GetBytes(entries[i].Key, bytes.AsSpan(at))));
            at += entries[i].Key.Length * 2;
            Put(entry, 4, (uint)at);
            Put(entry, 10, checked((ushort)Encoding.Unicode.GetBytes(entries[i].Value, bytes.AsSpan(at))));
            at += entries[i].Value.Length * 2;
        }
        return bytes;
    }
}
