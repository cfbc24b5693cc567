using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Volumes;

namespace WeaveHypervisor.Weaving.Tests.Volumes;

public sealed class VhdxVolumeTests : IDisposable
{
    private const long Size = 8 << 20;
    private readonly string _folder = Directory.CreateTempSubdirectory("wvvhdx").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string PathOf(string name) => Path.Combine(_folder, name + ".vhdx");

    private async Task<Layer> WriteAsync(string name, string? parent, byte fill, long offset, Layer? below)
    {
        await VhdxWriter.WriteAsync(PathOf(name), new(Size, parent is null ? null : PathOf(parent), 2 << 20), new[] { new DiskRange(offset, 4096) }.ToAsyncEnumerable(), (_, into, _) =>
        {
            into.Span.Fill(fill);
            return default;
        }, null, null, Stop);
        return new()
        {
            Id = LayerId.New(TimeProvider.System), Environment = EnvironmentId.Parse("shop"), Machine = MachineName.Parse("web"), Volume = VolumeName.Parse("scsi0-0"), Parent = below?.Id, Path = PathOf(name), Format = DiskFormat.Vhdx,
            VirtualSize = Size, State = LayerState.Frozen, Adopted = below is null, CreatedAt = DateTimeOffset.UnixEpoch,
        };
    }

    [Fact]
    public async Task Siblings_on_a_users_file_that_stands_on_another_differ_by_what_each_has_written()
    {
        await WriteAsync("users-base", null, 1, 0, null);
        var adopted = await WriteAsync("adopted", "users-base", 2, 4096, null);
        var left = await WriteAsync("left", "adopted", 3, 65536, adopted);
        var right = await WriteAsync("right", "adopted", 4, 131072, adopted);
        var reader = new VolumeReader(new[] { adopted, left, right }.ToDictionary(l => l.Id));
        var found = new List<(long, long)>();
        var totals = await reader.CompareAsync(left, right, VolumeReader.Step, r => found.Add((r.Offset, r.Length)), null, Stop);
        Assert.Equal([(65536, 4096), (131072, 4096)], found);
        Assert.Equal(adopted.Id, totals.CommonLayer);
    }
}
