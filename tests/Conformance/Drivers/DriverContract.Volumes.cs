using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using Xunit;

namespace WeaveHypervisor.Conformance.Drivers;

/// <content>Layers that are written with content, and volumes that leave and come back.</content>
public abstract partial class DriverContract
{
    /// <summary>Of whole clusters, so that nothing has to be read from below.</summary>
    private static LayerContent Content(byte fill, params DiskRange[] ranges) => new(ranges.ToAsyncEnumerable(), (_, into, _) =>
    {
        into.Span.Fill(fill);
        return ValueTask.CompletedTask;
    }, (_, _, _) => throw new InvalidOperationException("nothing is asked for outside of the ranges"), ranges.Sum(r => r.Length));

    private static LayerRef NewLayer(DriverStage stage, LayerRef parent)
    {
        var id = LayerId.New(TimeProvider.System);
        return new(id, stage.Driver.PlaceLayer(stage.Environment, stage.MainTag, id), stage.Driver.Capabilities.LayerFormat, parent.VirtualSize);
    }

    [Fact]
    public Task A_layer_with_content_is_made_once_and_only_inside_the_drivers_tree() => WithAsync(1, async (_, stage) =>
    {
        var (capture, _) = await stage.CaptureAsync(memory: false);
        var frozen = capture.Machines[0].Volumes[0].Head;
        var layer = NewLayer(stage, frozen);
        await stage.Driver.WriteLayerAsync(layer, frozen, Content(7, new DiskRange(0, 65536), new DiskRange(3 * 65536, 65536)), null, Stop);
        var bytes = (await stage.Driver.MeasureFilesAsync([layer.Path], Stop))[layer.Path];
        Assert.InRange(bytes, 2 * 65536, 1 << 20);
        // There already: nothing is read for it again.
        await stage.Driver.WriteLayerAsync(layer, frozen, Content(9, new DiskRange(0, 65536)) with { Read = (_, _, _) => throw new InvalidOperationException("it is there") }, null, Stop);
        Assert.Equal(bytes, (await stage.Driver.MeasureFilesAsync([layer.Path], Stop))[layer.Path]);
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.WriteLayerAsync(layer with { Path = Path.Combine(Path.GetTempPath(), "stray.qcow2") }, frozen, Content(1), null, Stop)));
        await stage.Driver.DeleteFilesAsync([layer.Path], Stop);
        var failing = NewLayer(stage, frozen);
        await Assert.ThrowsAsync<WeaveException>(() => stage.Driver.WriteLayerAsync(failing, frozen, Content(7, new DiskRange(0, 65536)) with { Read = (_, _, _) => throw new WeaveException(Fault.DataLoss, "unreadable") }, null, Stop));
        Assert.Equal([failing.Path], await stage.Driver.FindMissingAsync([failing.Path], Stop));
    });

    [Fact]
    public Task A_volume_of_a_machine_that_is_off_goes_and_comes_back_as_the_same_device() => WithAsync(1, async (bench, stage) =>
    {
        await bench.OrderAsync(stage.AddressOf(0), "one", Stop);
        var (capture, _) = await stage.CaptureAsync(memory: false);
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.PowerOff, TimeSpan.FromSeconds(30), Stop);
        var (target, head) = (capture.Machines[0].Volumes[0].Target, stage.Head(0));
        var volume = stage.Machines[0].Volumes[0].Volume;
        var blueprint = stage.Examined.Blueprint.Machine(stage[0].Name);
        for (var twice = 0; twice < 2; twice++) await stage.Driver.DetachVolumeAsync(stage[0], target, TimeSpan.FromSeconds(5), Stop);
        Assert.DoesNotContain(target, (await stage.Driver.InspectAsync(stage[0], Stop))!.VolumePaths.Keys);
        for (var twice = 0; twice < 2; twice++) await stage.Driver.AttachVolumeAsync(stage[0], new(volume, target, head) { Blueprint = blueprint }, Stop);
        Assert.Equal(head.Path, (await stage.Driver.InspectAsync(stage[0], Stop))!.VolumePaths[target]);
        var other = NewLayer(stage, head);
        await stage.Driver.CreateOverlayAsync(other, capture.Machines[0].Volumes[0].Head, Stop);
        Assert.Equal(Fault.Conflict, await FaultOf(() => stage.Driver.AttachVolumeAsync(stage[0], new(volume, target, other) { Blueprint = blueprint }, Stop)));
        await stage.Driver.DeleteFilesAsync([other.Path], Stop);
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.Start, TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(["one"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
        // Its definition, as it is now, has what it had.
        var again = await stage.Driver.ExamineAsync([new(stage[0].Name, stage[0].HypervisorName)], Stop);
        Assert.Equal(blueprint.Volumes, again.Blueprint.Machine(stage[0].Name).Volumes);
        await stage.ReturnAllAsync();
    });

    [Fact]
    public Task Nobody_can_say_of_a_machine_that_is_not_there_what_it_has_mounted() => WithAsync(1, async (_, stage) =>
    {
        var mounts = await stage.Driver.FindMountsAsync(new(stage[0].Name, "no-such-machine", Guid.NewGuid()), "vda", Patience, Stop);
        Assert.Equal(AgentCondition.Off, mounts.Agent.State);
        Assert.Empty(mounts.Places);
    });
}
