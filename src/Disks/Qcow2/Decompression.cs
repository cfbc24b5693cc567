using System.Buffers;
using System.IO.Compression;
using ZstdSharp;
using ZstdSharp.Unsafe;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>
/// Decompresses clusters: raw deflate, or zstd frames (docs/interop/qcow2.rst, "Additional fields": compression_type). Never writes more than one cluster, whatever
/// the stream would go on to make, and never takes more memory than that and a window.
/// </summary>
internal static class Decompression
{
    /// <summary>8 MiB, the largest window that zstd recommends decoders to take (RFC 8878, section 3.1.1.1.2); QEMU's frames need one cluster, at most 2 MiB.</summary>
    private const int MaxZstdWindowLog = 23;

    /// <summary>Fills the cluster; DataLoss where the stream is damaged or ends early. What comes behind a full cluster is not looked at, as in QEMU.</summary>
    public static void Run(ReadOnlyMemory<byte> compressed, byte[] cluster, CompressedCluster at, long guestOffset, Qcow2Geometry geometry)
    {
        string? reason = null;
        int done;
        try
        {
            done = geometry.Header.CompressionType == 1 ? Zstd(compressed.Span, cluster) : Deflate(compressed, cluster);
        }
        catch (Exception error) when (error is InvalidDataException or ZstdException)
        {
            (done, reason) = (0, error.Message);
        }
        if (done < cluster.Length)
            throw geometry.Damaged($"the compressed cluster of guest offset {guestOffset}", $"({at.Length} bytes at {at.Offset}) {(reason is null ? $"ends after {done} of {cluster.Length} bytes" : $"is not decompressed: {reason.TrimEnd('.')}")}");
    }

    private static int Deflate(ReadOnlyMemory<byte> compressed, byte[] cluster)
    {
        using var source = new MemoryStream(compressed.ToArray(), writable: false);
        using var inflater = new DeflateStream(source, CompressionMode.Decompress);
        return inflater.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false);
    }

    private static int Zstd(ReadOnlySpan<byte> compressed, Span<byte> cluster)
    {
        using var decompressor = new Decompressor();
        decompressor.SetParameter(ZSTD_dParameter.ZSTD_d_windowLogMax, MaxZstdWindowLog);
        var done = 0;
        // A cluster may be several frames. Each turn takes or makes something, or is the last.
        while (done < cluster.Length)
        {
            var status = decompressor.UnwrapStream(compressed, cluster[done..], out var taken, out var made);
            compressed = compressed[taken..];
            done += made;
            if (status == OperationStatus.InvalidData || taken == 0 && made == 0) break;
        }
        return done;
    }
}
