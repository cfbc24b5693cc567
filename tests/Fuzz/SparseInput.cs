using System.Buffers.Binary;

namespace WeaveHypervisor.Fuzz;

/// <summary>
/// A disk image as a short input: images are mostly zeroes, and a mutation should meet what is not. The first four bytes are the file's length in units of 512, then come pieces:
/// the place in units of 512 (four bytes), a length (two bytes), the bytes. Whatever does not fit is cut off.
/// </summary>
internal static class SparseInput
{
    private const int Unit = 512, MaxPiece = ushort.MaxValue;
    /// <summary>Files are holes for the most part, but what is replayed or copied must not fill a machine's memory.</summary>
    public const long MaxLength = 64 << 20;

    public static byte[] Encode(ReadOnlySpan<byte> file)
    {
        var bytes = new List<byte>(BitConverter.GetBytes((uint)((file.Length + Unit - 1) / Unit)));
        for (var at = 0; at < file.Length;)
        {
            var piece = Trim(file[at..Math.Min(at + Unit, file.Length)]);
            if (piece.Length == 0)
            {
                at += Unit;
                continue;
            }
            // A full unit goes on with the next.
            var start = at;
            var end = at + piece.Length;
            while (end == at + Unit && end - start + Unit <= MaxPiece && end < file.Length && Trim(file[end..Math.Min(end + Unit, file.Length)]) is { Length: > 0 } next)
            {
                at += Unit;
                end = at + next.Length;
            }
            at += Unit;
            bytes.AddRange(BitConverter.GetBytes((uint)(start / Unit)));
            bytes.AddRange(BitConverter.GetBytes((ushort)(end - start)));
            bytes.AddRange(file[start..end]);
        }
        return [.. bytes];
    }

    /// <summary>Makes the file anew.</summary>
    public static void Decode(ReadOnlySpan<byte> input, string path, Action<Microsoft.Win32.SafeHandles.SafeFileHandle>? then = null)
    {
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite);
        if (input.Length < 4) return;
        RandomAccess.SetLength(file, Math.Min(MaxLength, (long)BinaryPrimitives.ReadUInt32LittleEndian(input) * Unit));
        for (input = input[4..]; input.Length > 6;)
        {
            var at = (long)BinaryPrimitives.ReadUInt32LittleEndian(input) * Unit;
            var length = Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(input[4..]), input.Length - 6);
            if (length > 0 && at + length <= MaxLength) RandomAccess.Write(file, input.Slice(6, length), at);
            input = input[(6 + length)..];
        }
        then?.Invoke(file);
    }

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> bytes) => bytes[..(bytes.LastIndexOfAnyExcept((byte)0) + 1)];
}
