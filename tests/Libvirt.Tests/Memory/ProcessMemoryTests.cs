using System.IO.MemoryMappedFiles;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Memory;

/// <summary>Which pages of a private map are the process's own: looked at in this process.</summary>
public sealed unsafe class ProcessMemoryTests : IDisposable
{
    private const int Length = 512 * 4096;
    private readonly string _file = Path.Combine(Directory.CreateTempSubdirectory("weave-map").FullName, "a flat.ram");
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _ram;
    private readonly ProcessMemory _memory = ProcessMemory.Open(Environment.ProcessId);

    public ProcessMemoryTests()
    {
        var content = new byte[Length];
        new Random(1).NextBytes(content);
        content.AsSpan(100 * 4096, 100 * 4096).Clear();
        File.WriteAllBytes(_file, content);
        _map = MemoryMappedFile.CreateFromFile(_file, FileMode.Open, null, 0, MemoryMappedFileAccess.CopyOnWrite);
        _view = _map.CreateViewAccessor(0, Length, MemoryMappedFileAccess.CopyOnWrite);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _ram);
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
        _memory.Dispose();
        Directory.Delete(Path.GetDirectoryName(_file)!, recursive: true);
    }

    private MemoryImage Image => new() { FlatPath = _file, DeviceStatePath = "", RamBytes = Length, StoredBytes = 0, MainBlock = "pc.ram" };

    [Fact]
    public void Pages_that_were_written_to_are_its_own_and_read_ones_are_not_by_either_way_of_asking()
    {
        long sum = 0;
        for (var page = 0; page < 300; page++) sum += _ram[page * 4096];
        Assert.True(sum > 0);
        foreach (var page in new[] { 0, 7, 8, 9, 150, 511 }) _ram[page * 4096 + 5]++;
        List<PageRange> expected = [new(0, 1), new(7, 3), new(150, 1), new(511, 1)];
        Assert.Equal(expected, _memory.ReadOwn((long)_ram, Length));
        if (_memory.ScanOwn((long)_ram, Length) is { } scanned) Assert.Equal(expected, scanned);
        Assert.Equal(expected, _memory.OwnPages((long)_ram, Length));
    }

    [Fact]
    public void Copied_pages_are_those_of_the_process_and_with_the_file_they_are_all_of_its_memory()
    {
        var random = new Random(2);
        for (var i = 0; i < 60; i++) random.NextBytes(new Span<byte>(_ram + random.Next(512) * 4096, 4096));
        new Span<byte>(_ram + 20 * 4096, 4096).Clear();
        var own = _memory.OwnPages((long)_ram, Length);
        using var copied = new CopiedPages(_file + ".pages");
        copied.Reserve(4096);
        copied.Copy(_memory, (long)_ram, own);
        Assert.Equal(own.Sum(r => r.Count), copied.Count);
        var all = File.ReadAllBytes(_file);
        foreach (var page in copied.Pages()) page.Data.Span.CopyTo(all.AsSpan((int)page.Address));
        Assert.True(all.AsSpan().SequenceEqual(new Span<byte>(_ram, Length)));
    }

    [Fact]
    public void A_private_map_of_the_whole_image_is_found_and_nothing_else_is_taken_for_it()
    {
        Assert.Equal((long)_ram, PrivatePath.MappedAt(_memory.Maps(), Image));
        Assert.Null(PrivatePath.MappedAt(_memory.Maps(), Image with { RamBytes = Length * 2 }));
        var shared = _memory.Maps().Select(m => m.Path == _file ? m with { Access = "rw-s" } : m).ToList();
        Assert.Null(PrivatePath.MappedAt(shared, Image));
        Assert.Null(PrivatePath.MappedAt([.. _memory.Maps().Where(m => m.Path != _file)], Image));
        // Another file in its place.
        File.Move(_file, _file + ".away");
        File.WriteAllBytes(_file, new byte[Length]);
        Assert.Null(PrivatePath.MappedAt([.. _memory.Maps().Select(m => m.Path == _file + ".away" ? m with { Path = _file } : m)], Image));
    }
}
