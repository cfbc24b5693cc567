using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>Firmware variables: a machine's state that is neither disk nor memory.</summary>
public sealed class StateFileTests
{
    private static async Task<Guid> UuidAsync(World world, string weave) => (await world.WeaveAsync(weave)).Machines.Single(m => m.Name == Web).Uuid;

    private static async Task<string> FileAsync(World world, string weave) => Assert.Single((await world.WeaveAsync(weave)).StateFiles());

    [Theory]
    [InlineData(StartMode.Resume)]
    [InlineData(StartMode.Boot)]
    public async Task A_copy_has_those_of_its_instant_and_writes_its_own(StartMode start)
    {
        await using var world = await WithLabAsync();
        var original = await UuidAsync(world, "main");
        world.Host.WriteNvram(original, "then");
        var snapshot = await world.SnapshotAsync();
        world.Host.WriteNvram(original, "now");
        await world.CreateAsync("past", snapshot: snapshot.Snapshot, start: start);
        var copy = await UuidAsync(world, "past");
        Assert.Equal(("then", "now"), (world.Host.ReadNvram(copy), world.Host.ReadNvram(original)));
        world.Host.WriteNvram(copy, "the copy's");
        Assert.Equal("now", world.Host.ReadNvram(original));

        // They outlive its power cycles, and its own snapshots have them; also one that is taken while it is off.
        await world.PowerAsync("past", WeavePower.PowerOff);
        await world.CreateAsync("second", snapshot: (await world.SnapshotAsync("past")).Snapshot, start: StartMode.Boot);
        Assert.Equal("the copy's", world.Host.ReadNvram(await UuidAsync(world, "second")));
        await world.PowerAsync("past", WeavePower.Start);
        Assert.Equal("the copy's", world.Host.ReadNvram(await UuidAsync(world, "past")));
        await world.CheckAsync();
    }

    [Fact]
    public async Task They_go_with_the_weave_and_the_snapshot_and_the_users_own_stay()
    {
        await using var world = await WithLabAsync();
        var original = await UuidAsync(world, "main");
        var snapshot = await world.SnapshotAsync();
        var kept = Assert.Single((await world.SnapshotsAsync()).Single().StateFiles());
        await world.CreateAsync("past", snapshot: snapshot.Snapshot);
        var own = await FileAsync(world, "past");
        Assert.True(File.Exists(kept) && File.Exists(own));
        await world.DeleteAsync("past");
        Assert.False(File.Exists(own));
        await world.DeleteSnapshotAsync(snapshot.Snapshot);
        Assert.False(File.Exists(kept));
        await world.CreateAsync("late", start: StartMode.None);
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(w => w.ReleaseAsync(Lab, true, Me, default))).State);
        Assert.Equal("factory", world.Host.ReadNvram(original));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_whose_firmware_variables_are_gone_makes_no_weave_not_even_booted()
    {
        await using var world = await WithLabAsync();
        var snapshot = await world.SnapshotAsync();
        var kept = Assert.Single((await world.SnapshotsAsync()).Single().StateFiles());
        File.Delete(kept);
        var error = await world.UndoneAsync(w => w.CreateWeaveAsync(CreationOf("past", snapshot: snapshot.Snapshot, start: StartMode.Boot), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("a file that it needs is gone", error.Message);
        Assert.Contains((await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings, f => f.Text.Contains("firmware or TPM state", StringComparison.Ordinal));
    }
}
