using System.Diagnostics;
using System.Globalization;
using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Chains;

/// <summary>A chain of images that QEMU has made and written, of every shape that it can make, with QEMU's own map and content of it. One process start for each tool and image.</summary>
internal sealed class RandomChain : IDisposable
{
    private readonly string _folder;
    private readonly Random _random;
    private readonly StringBuilder _script = new("set -e\n");

    private RandomChain(Random random, string folder) => (_random, _folder) = (random, folder);

    public string Top { get; private set; } = "";
    public DiskFormat Format { get; private set; }
    public string Description { get; private set; } = "";
    public byte[] Content => File.ReadAllBytes(Path.Combine(_folder, "content"));
    public string Map => File.ReadAllText(Path.Combine(_folder, "map"));

    /// <summary>QEMU has marked an image as corrupt while it wrote it (7.2 does so now and then where a compressed cluster is written over): it is refused, and QEMU's own reading of it is no measure.</summary>
    public bool IsMarkedCorrupt => Directory.GetFiles(_folder, "*.qcow2").Any(f =>
    {
        using var file = File.OpenHandle(f);
        var header = new byte[80];
        RandomAccess.Read(file, header, 0);
        return header[7] == 3 && (header[79] & 2) != 0;
    });

    /// <summary>Thirteen seeds that follow each other have all cluster sizes at their tops.</summary>
    public static RandomChain Make(int seed)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/qemu-io"), "qemu-io is not installed.");
        var chain = new RandomChain(new Random(seed), Directory.CreateTempSubdirectory("weave-chain").FullName);
        chain.Write(seed);
        using var shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", chain._script.ToString()]) { RedirectStandardError = true, WorkingDirectory = chain._folder })!;
        var errors = shell.StandardError.ReadToEnd();
        shell.WaitForExit();
        Assert.True(shell.ExitCode == 0, $"{chain.Description}\n{chain._script}\n{errors}");
        return chain;
    }

    private void Write(int shape)
    {
        var depth = _random.Next(10) switch { < 5 => 1, < 8 => _random.Next(2, 4), _ => _random.Next(4, 11) };
        var size = 512L * (_random.Next(3) == 0 ? _random.Next(1, 4096) : _random.Next(4096, 16384));
        string? below = null;
        for (var i = depth - 1; i >= 0; i--)
        {
            // One in three layers is not as long as its neighbours.
            var length = _random.Next(3) > 0 ? size : Math.Max(512, size + 512L * _random.Next(-4096, 4096));
            below = Layer(i, length, below, shape);
        }
        (Top, Format) = (Path.Combine(_folder, below!), below!.EndsWith(".raw", StringComparison.Ordinal) ? DiskFormat.Raw : DiskFormat.Qcow2);
        var name = Format == DiskFormat.Raw ? "raw" : "qcow2";
        _script.AppendLine(CultureInfo.InvariantCulture, $"qemu-img map --output=json -f {name} {below} > map");
        _script.AppendLine(CultureInfo.InvariantCulture, $"qemu-img convert -f {name} -O raw {below} content");
    }

    private string Layer(int index, long size, string? below, int shape)
    {
        if (below is null && _random.Next(4) == 0)
        {
            // A raw base, which need not end with a whole sector.
            var bytes = size + (_random.Next(3) == 0 ? _random.Next(1, 512) : 0);
            _script.AppendLine(CultureInfo.InvariantCulture, $"truncate -s {bytes} {index}.raw");
            for (var i = _random.Next(6); i > 0; i--)
            {
                var at = _random.NextInt64(bytes);
                _script.AppendLine(CultureInfo.InvariantCulture, $"head -c {_random.Next(1, (int)Math.Min(bytes - at, 65536) + 1)} /dev/urandom | dd of={index}.raw bs=64k seek={at} oflag=seek_bytes conv=notrunc status=none");
            }
            Description += $"{index}.raw {bytes}; ";
            return $"{index}.raw";
        }
        var bits = index == 0 ? 9 + shape % 13 : _random.Next(9, 22);
        // Small clusters make small disks: QEMU writes one L2 table for each.
        if (bits < 12) size = Math.Max(512, size % (2 << 20) / 512 * 512);
        var options = $"cluster_size={1 << bits}";
        var old = _random.Next(5) == 0;
        var extended = !old && bits >= 14 && _random.Next(3) == 0;
        if (old) options += ",compat=0.10";
        else
        {
            if (_random.Next(3) == 0) options += ",compression_type=zstd";
            if (extended) options += ",extended_l2=on";
            if (_random.Next(4) == 0) options += $",refcount_bits={1 << _random.Next(7)}";
            if (_random.Next(6) == 0) options += ",lazy_refcounts=on";
        }
        var preallocation = _random.Next(8) switch { 0 => "metadata", 1 when below is null => "falloc", 2 when below is null && size < 2 << 20 => "full", _ => "off" };
        if (preallocation != "off" && (below is null || extended)) options += $",preallocation={preallocation}";
        var backing = below is null ? "" : $"-b {below} -F {(below.EndsWith(".raw", StringComparison.Ordinal) ? "raw" : "qcow2")} ";
        _script.AppendLine(CultureInfo.InvariantCulture, $"qemu-img create -q -f qcow2 -o {options} {backing}{index}.qcow2 {size}");
        Description += $"{index}.qcow2 {size} {options}; ";
        var commands = Enumerable.Range(0, _random.Next(1, 14)).Select(_ => Command(size, bits, old)).ToList();
        if (!old && _random.Next(6) == 0) _script.AppendLine(CultureInfo.InvariantCulture, $"qemu-img bitmap --add {index}.qcow2 marks");
        Io(index, commands.Take(commands.Count / 2));
        // Small refcounts may not hold one more reference; then there is no snapshot.
        if (_random.Next(6) == 0) _script.AppendLine(CultureInfo.InvariantCulture, $"qemu-img snapshot -c point {index}.qcow2 2> /dev/null || true");
        Io(index, commands.Skip(commands.Count / 2));
        return $"{index}.qcow2";
    }

    /// <summary>QEMU refuses a few of them, such as compressed writes over clusters that are there: then the image is as it was.</summary>
    private void Io(int index, IEnumerable<string> commands)
    {
        var line = string.Join(" ", commands.Select(c => $"-c '{c}'"));
        if (line.Length > 0) _script.AppendLine(CultureInfo.InvariantCulture, $"qemu-io -f qcow2 {line} {index}.qcow2 > io.out 2>&1 || true");
    }

    private string Command(long size, int bits, bool old)
    {
        long cluster = 1L << bits, at, length;
        if (_random.Next(5) == 0)
        {
            // Compressed writes are whole clusters, or end with the disk.
            at = _random.NextInt64((size + cluster - 1) / cluster) * cluster;
            return $"write -c -P {_random.Next(256)} {at} {Math.Min(cluster * _random.Next(1, Math.Max(2, (int)Math.Min(8, (256 << 10) / cluster))), size - at)}";
        }
        var unit = _random.Next(3) == 0 ? cluster : 512;
        if (unit > size) unit = 512;
        at = _random.NextInt64((size + unit - 1) / unit) * unit;
        length = Math.Min(size - at, unit * _random.Next(1, unit == 512 ? 128 : Math.Max(2, (int)Math.Min(16, (512 << 10) / unit))));
        return _random.Next(8) switch
        {
            0 => $"write -z {at} {length}",
            1 => $"write -z -u {at} {length}",
            2 when !old => $"discard {at} {length}",
            _ => $"write -P {_random.Next(256)} {at} {length}",
        };
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
