using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Disks.Raw;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Fuzz.Targets;

/// <summary>Any file opened as raw.</summary>
internal sealed class RawTarget : IFuzzTarget
{
    public static void Run(ReadOnlySpan<byte> input)
    {
        var path = Scratch.Mine["raw"];
        SparseInput.Decode(input, path);
        Looks.Run(async stop =>
        {
            await using var image = RawImage.Open(path);
            await Looks.AllAsync(image, stop);
        });
    }
}

/// <summary>Any file opened as qcow2, by itself and as the top of a chain whose names lead to files that are there: itself and a raw one.</summary>
internal sealed class Qcow2Target : IFuzzTarget
{
    public static void Run(ReadOnlySpan<byte> input)
    {
        var path = Scratch.Mine["qcow2"];
        SparseInput.Decode(input, path);
        Looks.Run(async stop =>
        {
            await using var image = Qcow2Image.Open(path, new ChainCaches());
            await Looks.AllAsync(image, stop);
        });
        if (!File.Exists(Scratch.Mine["raw"])) File.WriteAllBytes(Scratch.Mine["raw"], new byte[65536]);
        Looks.Run(async stop =>
        {
            await using var chain = await DiskChain.OpenAsync(path, DiskFormat.Qcow2, new FolderLocator(path), stop);
            await chain.ReadAsync(0, new byte[Math.Min(65536, chain.Capacity)], stop);
        });
    }
}

/// <summary>
/// Any file opened as VHDX. Where the first byte is odd the checksums are made right first, without which nearly every mutant would end there. What a check finds sound
/// must be readable as a whole, and can be written to.
/// </summary>
internal sealed class VhdxTarget : IFuzzTarget
{
    public static void Run(ReadOnlySpan<byte> input)
    {
        if (input.Length == 0) return;
        var path = Scratch.Mine["vhdx"];
        var isHealed = (input[0] & 1) != 0;
        // Writing is most of the work, and says less: one input in four, told by the bytes alone.
        var isWritten = input.Length % 4 == 0;
        SparseInput.Decode(input[1..], path, file =>
        {
            if (isHealed) VhdxHealer.Heal(file);
        });
        Looks.Run(async stop =>
        {
            bool isSound;
            await using (var image = await VhdxImage.OpenAsync(path, stop))
            {
                await Looks.AllAsync(image, stop);
                if (image.Metadata.Geometry.BatEntries > 10_000) return;
                isSound = (await image.CheckAsync(null, stop)).Errors == 0;
                if (isSound && image.Metadata.Geometry.Blocks < 1000) await SoundAsync(image, stop);
            }
            if (isSound && isWritten) await WriteAsync(path, stop);
        });
    }

    private static async Task SoundAsync(VhdxImage image, CancellationToken stop)
    {
        try
        {
            await foreach (var _ in image.MapAsync(0, image.Capacity, stop)) { }
        }
        catch (WeaveException error)
        {
            throw new InvalidOperationException($"A check finds no damage, and a reader does: {error.Message}", error);
        }
    }

    private static async Task WriteAsync(string path, CancellationToken stop)
    {
        var sector = 0;
        byte[] bytes;
        await using (var live = await VhdxLiveDisk.OpenAsync(path, stop))
        {
            sector = live.SectorBytes;
            bytes = new byte[sector];
            bytes.AsSpan().Fill(0xa5);
            await live.WriteAsync(0, bytes, stop);
            await live.WriteAsync(live.Capacity - sector, bytes, stop);
        }
        await using var image = await VhdxImage.OpenAsync(path, stop);
        var read = new byte[sector];
        foreach (var at in (long[])[0, image.Capacity - sector])
        {
            await image.ReadAsync(at, read, stop);
            Looks.Require(read.AsSpan().SequenceEqual(bytes), "what was written is read");
        }
        Looks.Require((await image.CheckAsync(null, stop)).Errors == 0, "writing does no damage");
    }
}
