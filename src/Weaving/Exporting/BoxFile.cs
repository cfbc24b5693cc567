using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Exporting;

/// <summary>
/// Vagrant's boxes: tar archives with metadata.json and images. They are compressed only where the images are not (Vagrant unpacks by bsdtar, which takes either).
/// </summary>
internal static class BoxFile
{
    public const string Metadata = "metadata.json";
    private const int Chunk = 1 << 20;

    /// <summary>Writes a box, durably, 0600. A file of that path is replaced; after an error there is none.</summary>
    /// <param name="entries">Name in the box, and path of the file.</param>
    /// <param name="compressed">By gzip.</param>
    /// <param name="at">Time of all entries, so that the same content is the same box.</param>
    public static async Task<(long Bytes, string Sha256)> WriteAsync(string path, string metadata, IReadOnlyList<(string Name, string Path)> entries, bool compressed, DateTimeOffset at, IProgress<long>? progress, CancellationToken stop)
    {
        using var hash = SHA256.Create();
        var bytes = await DurableFile.WriteAsync(path, async file =>
        {
            await using var hashed = new CryptoStream(new Told(file, progress), hash, CryptoStreamMode.Write);
            await using (var tar = new TarWriter(compressed ? new GZipStream(hashed, CompressionLevel.Fastest, leaveOpen: true) : hashed, TarEntryFormat.Pax, leaveOpen: !compressed))
            {
                await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, Metadata) { ModificationTime = at, DataStream = new MemoryStream(Encoding.UTF8.GetBytes(metadata)) }, stop);
                foreach (var (name, from) in entries)
                {
                    await using var image = new FileStream(from, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, BufferSize = Chunk });
                    await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, name) { ModificationTime = at, DataStream = image }, stop);
                }
            }
            await hashed.FlushFinalBlockAsync(stop);
            return file.Length;
        });
        return (bytes, Convert.ToHexStringLower(hash.Hash!));
    }

    /// <summary>
    /// Unpacks the named entries of a box, each into its path (0600, durable), and nothing else: no other entry, no name of the archive's own choice. Refused (<see cref="Fault.DataLoss"/>): an entry
    /// that is missing, is no plain file, or is not of the length and digest that were promised.
    /// </summary>
    public static async Task ReadAsync(string path, IReadOnlyDictionary<string, (string Path, long Bytes, string Sha256)> wanted, IProgress<long>? progress, CancellationToken stop)
    {
        var left = wanted.Keys.ToHashSet(StringComparer.Ordinal);
        try
        {
            await using var box = new FileStream(path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, BufferSize = Chunk });
            await using var tar = new TarReader(box);
            long done = 0;
            while (left.Count > 0 && await tar.GetNextEntryAsync(copyData: false, stop) is { } entry)
            {
                if (!left.Contains(entry.Name)) continue;
                var (to, bytes, sha256) = wanted[entry.Name];
                if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile) || entry.Length != bytes) throw Damaged(path, $"'{entry.Name}' is no file of {bytes} bytes");
                left.Remove(entry.Name);
                await UnpackAsync(entry, to, sha256, path, progress is null ? null : new Offset(progress, done), stop);
                done += bytes;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException or FormatException)
        {
            throw e is InvalidDataException or FormatException or EndOfStreamException ? Damaged(path, e.Message) : DiskFaults.From(e, $"read {Ids.QuotePath(path)}");
        }
        if (left.Count > 0) throw Damaged(path, $"'{left.First()}' is missing in it");
    }

    private static async Task UnpackAsync(TarEntry entry, string to, string sha256, string box, IProgress<long>? progress, CancellationToken stop)
    {
        var part = DurableFile.PartOf(to);
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            await using (var file = DurableFile.OpenPart(to))
            {
                var buffer = new byte[Chunk];
                long done = 0;
                for (int read; entry.DataStream is { } data && (read = await data.ReadAsync(buffer, stop)) > 0;)
                {
                    hash.AppendData(buffer.AsSpan(0, read));
                    await file.WriteAsync(buffer.AsMemory(0, read), stop);
                    done += read;
                    progress?.Report(done);
                }
                file.Flush(flushToDisk: true);
            }
            if (Convert.ToHexStringLower(hash.GetHashAndReset()) != sha256) throw Damaged(box, $"'{entry.Name}' has another checksum than it should");
            DurableFile.Commit(to);
        }
        catch
        {
            DurableFile.TryDelete(part);
            throw;
        }
    }

    private static WeaveException Damaged(string path, string why) => new(Fault.DataLoss, $"The box {Ids.QuotePath(path)} is damaged: {why}.", "Copy the folder again, or export anew.");

    /// <summary>SHA-256 of a file, in lower-case hexadecimal digits.</summary>
    public static async Task<(long Bytes, string Sha256)> HashAsync(string path, IProgress<long>? progress, CancellationToken stop)
    {
        try
        {
            await using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, BufferSize = 0 });
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var buffer = new byte[Chunk];
            long bytes = 0;
            for (int read; (read = await file.ReadAsync(buffer, stop)) > 0;)
            {
                hash.AppendData(buffer.AsSpan(0, read));
                bytes += read;
                progress?.Report(bytes);
            }
            return (bytes, Convert.ToHexStringLower(hash.GetHashAndReset()));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(e, $"read {Ids.QuotePath(path)}");
        }
    }

    private sealed class Offset(IProgress<long> to, long from) : IProgress<long>
    {
        public void Report(long value) => to.Report(from + value);
    }

    /// <summary>Tells how far a file is written. Does not own it.</summary>
    private sealed class Told(FileStream below, IProgress<long>? progress) : Stream
    {
        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override void Flush() => below.Flush();
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count)
        {
            below.Write(buffer, offset, count);
            progress?.Report(below.Position);
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await below.WriteAsync(buffer, cancellationToken);
            progress?.Report(below.Position);
        }
    }
}
