using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using Xunit;

namespace WeaveHypervisor.Conformance.Drivers;

/// <summary>What <see cref="IMachineExports"/> and <see cref="IMachineImports"/> promise, for drivers that have these abilities. Derive, give a bench and a look into images, and the suite is inherited.</summary>
public abstract class TransferContract : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-transfer-").FullName;

    protected abstract DriverBench NewBench();

    /// <summary>True where an order that a guest has written is in the content of an image that stands alone.</summary>
    protected abstract Task<bool> HoldsAsync(string image, DiskFormat format, string order, CancellationToken stop);

    protected static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    protected async Task WithAsync(int machines, Func<DriverBench, DriverStage, Task> test)
    {
        await using var bench = NewBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(machines);
        await test(bench, stage);
    }

    protected static IMachineExports Exports(DriverStage stage) => stage.Driver.Facet<IMachineExports>()!;
    protected static IMachineImports Imports(DriverStage stage) => stage.Driver.Facet<IMachineImports>()!;

    [Theory]
    [InlineData(DiskFormat.Qcow2)]
    [InlineData(DiskFormat.Vhdx)]
    public Task An_image_holds_what_was_written_until_the_instant_while_the_machine_runs_on(DiskFormat format) => WithAsync(1, async (bench, stage) =>
    {
        await bench.OrderAsync(stage.AddressOf(0), "of-the-past", Stop);
        var frozen = (await stage.CaptureAsync(memory: false)).Request.Machines[0].Volumes[0].Head;
        await bench.OrderAsync(stage.AddressOf(0), "of-the-present", Stop);
        var most = await Exports(stage).MeasureImageAsync(frozen, format, Stop);
        var image = Path.Combine(_folder, "disk1.img");
        await File.WriteAllTextAsync(image, "what was there is replaced", Stop);
        await Exports(stage).WriteImageAsync(frozen, format, image, null, Stop);

        Assert.True(await HoldsAsync(image, format, "of-the-past", Stop));
        Assert.False(await HoldsAsync(image, format, "of-the-present", Stop));
        Assert.InRange(new FileInfo(image).Length, 1, most);
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(image));
        Assert.Equal([image], Directory.EnumerateFiles(_folder));
        Assert.Equal(["of-the-past", "of-the-present"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
        Assert.True((await Exports(stage).InspectFolderAsync(_folder, Stop)).FreeBytes > 0);
    });

    [Fact]
    public Task Of_an_image_that_cannot_be_written_nothing_is_left() => WithAsync(1, async (_, stage) =>
    {
        var frozen = (await stage.CaptureAsync(memory: false)).Request.Machines[0].Volumes[0].Head;
        var image = Path.Combine(_folder, "disk1.img");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Exports(stage).WriteImageAsync(frozen, DiskFormat.Qcow2, image, null, new(canceled: true)));
        await Assert.ThrowsAsync<WeaveException>(() => Exports(stage).WriteImageAsync(frozen with { Path = frozen.Path + ".gone" }, DiskFormat.Vhdx, image, null, Stop));
        var inside = stage.Driver.PlaceLayer(stage.Environment, stage.MainTag, LayerId.New(TimeProvider.System));
        Assert.Equal(Fault.InvalidRequest, (await Assert.ThrowsAsync<WeaveException>(() => Exports(stage).WriteImageAsync(frozen, DiskFormat.Qcow2, inside, null, Stop))).Fault);
        Assert.False(File.Exists(inside));
        Assert.Equal(Fault.InvalidRequest, (await Assert.ThrowsAsync<WeaveException>(() => Exports(stage).WriteImageAsync(frozen, DiskFormat.Raw, image, null, Stop))).Fault);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    });

    [Fact]
    public Task A_machine_is_described_by_its_disks_and_interfaces() => WithAsync(2, (_, stage) =>
    {
        foreach (var machine in stage.Examined.Blueprint.Machines)
        {
            var shape = Exports(stage).Describe(machine);
            Assert.Equal(machine.Volumes.Select(v => v.Name), shape.Disks.Select(d => d.Volume));
            Assert.Equal(machine.Nics.Select(n => (n.Mac, n.Network, string.Join(' ', n.Addresses))), shape.Nics.Select(n => (n.Mac, n.Network, string.Join(' ', n.Addresses))));
            Assert.Equal((FirmwareKind.Bios, null), (shape.Firmware, shape.VagrantFolder));
            Assert.DoesNotContain(shape.Nics, n => n.IsManagement);
        }
        return Task.CompletedTask;
    });

    [Fact]
    public async Task Firmware_that_keeps_variables_is_told_not_to_be_carried()
    {
        await using var bench = NewBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync([await bench.GiveMachineWithStateAsync(Stop)]);
        var shape = Exports(stage).Describe(Assert.Single(stage.Examined.Blueprint.Machines));
        Assert.Equal(FirmwareKind.Uefi, shape.Firmware);
        Assert.Contains(shape.NotCarried, n => n.Contains("variables", StringComparison.Ordinal));
    }

    [Fact]
    public Task A_machine_of_an_image_is_the_users_and_is_taken_back_whole() => WithAsync(1, async (bench, stage) =>
    {
        await bench.OrderAsync(stage.AddressOf(0), "carried", Stop);
        var frozen = (await stage.CaptureAsync(memory: false)).Request.Machines[0].Volumes[0].Head;
        var (imports, request) = (Imports(stage), RequestOf(bench, stage, closed: true));
        var machine = Assert.Single(request.Machines);
        var owned = (await stage.Driver.ListOwnedAsync(Stop)).Things;

        await imports.PrepareImportAsync(machine.Disks[0], Stop);
        await Exports(stage).WriteImageAsync(frozen, DiskFormat.Qcow2, Path.Combine(_folder, "disk1.img"), null, Stop);
        File.Copy(Path.Combine(_folder, "disk1.img"), machine.Disks[0]);
        Assert.Equal(Fault.DataLoss, (await Assert.ThrowsAsync<WeaveException>(() => imports.AcceptImportAsync(machine.Disks[0], frozen.VirtualSize + 512, Stop))).Fault);
        for (var twice = 0; twice < 2; twice++) await imports.AcceptImportAsync(machine.Disks[0], frozen.VirtualSize, Stop);
        var made = await imports.CheckImportAsync(request, Stop);
        Assert.Equal(request.Networks.Select(n => n.Name), made);
        for (var twice = 0; twice < 2; twice++) await imports.DefineAsync(request, made, Stop);

        var examined = await stage.Driver.ExamineAsync([new(machine.Machine.Name, machine.Machine.HypervisorName)], Stop);
        Assert.Empty(examined.Refusals);
        var (found, blueprint) = (Assert.Single(examined.Machines), Assert.Single(examined.Blueprint.Machines));
        Assert.Equal((machine.Machine, RunState.Off, machine.Disks[0]), (found.Machine, found.RunState, Assert.Single(found.Volumes).Path));
        Assert.Equal((machine.MemoryBytes, machine.Shape.Nics[0].Mac, request.Networks[0].Name), (blueprint.MemoryBytes, blueprint.Nics[0].Mac, blueprint.Nics[0].Network));
        Assert.True(await HoldsAsync(machine.Disks[0], DiskFormat.Qcow2, "carried", Stop));
        // Nothing says that it is ours, and there is no second one to be made.
        Assert.Equal(owned.Where(t => t.Kind != OwnedKind.File), (await stage.Driver.ListOwnedAsync(Stop)).Things.Where(t => t.Kind != OwnedKind.File));
        Assert.Empty(await imports.CheckImportAsync(request, Stop));
        await stage.Driver.ChangePowerAsync([machine.Machine], PowerChange.Start, TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(RunState.Running, (await stage.Driver.InspectAsync(machine.Machine, Stop))!.RunState);

        for (var twice = 0; twice < 2; twice++) await imports.UndefineAsync(request, made, Stop);
        Assert.Null(await stage.Driver.InspectAsync(machine.Machine, Stop));
        Assert.False(File.Exists(machine.Disks[0]));
        Assert.Equal(made, await imports.CheckImportAsync(request, Stop));
        Assert.Equal(["carried"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
    });

    [Fact]
    public Task What_is_in_the_way_of_an_import_is_told_together_and_stays_as_it_is() => WithAsync(1, async (bench, stage) =>
    {
        var nonce = (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce;
        // Its name, its MAC on its network, and its network with other addresses.
        var request = RequestOf(bench, stage, closed: false);
        var there = stage.Examined.Blueprint;
        var taken = request with
        {
            Machines = [request.Machines[0] with { Machine = request.Machines[0].Machine with { HypervisorName = stage[0].HypervisorName }, Shape = Exports(stage).Describe(there.Machines[0]) }],
            Networks = [there.Networks[0] with { Gateway = "10.255.254.1" }],
        };
        var error = await Assert.ThrowsAsync<WeaveException>(() => Imports(stage).CheckImportAsync(taken, Stop));
        Assert.Equal(Fault.Unsupported, error.Fault);
        Assert.False(string.IsNullOrEmpty(error.NextStep));
        Assert.Contains(there.Networks[0].Name.Text, error.Message, StringComparison.Ordinal);
        Assert.Contains("MAC", error.Message, StringComparison.Ordinal);
        Assert.Contains("already", error.Message.Replace("a machine of that name", "already", StringComparison.Ordinal), StringComparison.Ordinal);
        // A network that is there with the same addresses is used as it is.
        Assert.Empty(await Imports(stage).CheckImportAsync(request, Stop));
        Assert.Equal(nonce, (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce);
        Assert.Equal(RunState.Running, (await stage.Driver.InspectAsync(stage[0], Stop))!.RunState);
    });

    /// <summary>One machine like the first, with a name, UUID and MAC of its own, on a closed network of its own or on the one that is there.</summary>
    protected static ImportRequest RequestOf(DriverBench bench, DriverStage stage, bool closed)
    {
        var blueprint = stage.Examined.Blueprint.Machines[0];
        var environment = EnvironmentId.Parse("i" + Guid.NewGuid().ToString("N")[..8]);
        var network = closed ? new NetworkBlueprint { Name = NetworkName.Parse($"{bench.CopyPrefix}-{environment}") } : stage.Examined.Blueprint.Networks[0];
        var machine = new MachineRef(blueprint.Name, $"{bench.CopyPrefix}-{environment}-{blueprint.Name}", Guid.NewGuid());
        var shape = Exports(stage).Describe(blueprint);
        return new()
        {
            Environment = environment, Networks = [network],
            Machines =
            [
                new(machine, blueprint.MemoryBytes, blueprint.VirtualCpus, shape with { Nics = [shape.Nics[0] with { Mac = "52:54:00:fe:dc:ba", Network = network.Name }] },
                    [.. shape.Disks.Select(d => Imports(stage).PlaceImport(environment, machine, d.Volume))]),
            ],
        };
    }
}
