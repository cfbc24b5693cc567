using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Volumes;

namespace WeaveHypervisor.Weaving.Tests.Worlds;

/// <content>Bytes of volumes, and their exchange.</content>
internal sealed partial class World
{
    internal const int Block = 4096;

    /// <summary>Has the guest fill one block of 4 KiB of a volume.</summary>
    public async Task WriteAsync(string weave, VolumeId volume, int block, char with)
    {
        var (machine, target) = await DeviceAsync(weave, volume);
        Host.WriteBytes(machine.Uuid, target, (long)block * Block, Enumerable.Repeat((byte)with, Block).ToArray());
    }

    /// <summary>What a weave's volume reads now, by the store's word of what it stands on.</summary>
    public async Task<byte[]> ReadAsync(string weave, VolumeId volume)
    {
        var (machine, _) = await DeviceAsync(weave, volume);
        var head = machine.Heads.First(h => h.Volume == volume.Volume).Layer;
        return Host.ReadBytes((await Store.ListLayersAsync(Lab, default)).Single(l => l.Id == head).Path);
    }

    /// <summary>What one block of 4 KiB is filled with; '?' where not with one thing.</summary>
    public async Task<char> BlockAsync(string weave, VolumeId volume, int block) =>
        (await ReadAsync(weave, volume)).AsSpan(block * Block, Block) is var bytes && bytes.ContainsAnyExcept(bytes[0]) ? '?' : (char)bytes[0];

    public Task<SyncResult> SyncAsync(string source, string destination, VolumeId volume, SyncStrategy strategy = SyncStrategy.Mirror, OnConflict onConflict = OnConflict.Fail, bool dryRun = false, bool stop = false) =>
        SucceedAsync(w => w.SyncVolumeAsync(new(Lab, WeaveId.Parse(source), WeaveId.Parse(destination), volume, strategy, onConflict, dryRun, stop), Me, default), WeavingJson.Default.SyncResult);

    private async Task<(WeaveMachine Machine, string Target)> DeviceAsync(string weave, VolumeId volume)
    {
        var found = await WeaveAsync(weave);
        return (found.Machines.First(m => m.Name == volume.Machine), found.Blueprint.Machine(volume.Machine).Target(volume.Volume));
    }
}
