using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.SelfTest;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.SelfTest;

/// <summary>What the imaginary host says at the named pipe of a serial port: what its guest model counts, and only where the counting sector is really what runs.</summary>
public sealed class SerialPortTests : IDisposable
{
    private const string Pipe = @"\\.\pipe\one";
    private readonly Stand _stand = new(gateway: false);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => _stand.Dispose();

    private async Task<MachineRef> MachineAsync(string name, byte[] sector, int generation = 1, bool running = true)
    {
        var machine = await _stand.MachineAsync(name, running: false, generation: generation);
        var parts = await _stand.PartsAsync(machine);
        _stand.Host.WriteIntoFile(parts.Disks[0].File, 0, sector);
        if (parts.Find(SerialPortSettingData.ClassName) is { } port) await _stand.Drive(new VirtualHardware(_stand.Context).ModifyAsync(MachineEditor.Of(port).With(SerialPortSettingData.Connection, [Pipe]), Stop));
        if (running) await _stand.PowerAsync(machine.Uuid, 2);
        return machine;
    }

    private async Task<CounterLine?> HearAsync() => CountingSector.Last(await _stand.Drive(_stand.Host.Files.ListenAsync(Pipe, 2 * CountingSector.LineBytes, TimeSpan.FromSeconds(5), Stop)));

    [Fact]
    public async Task A_saved_guest_goes_on_counting_and_one_that_was_reset_is_another()
    {
        var machine = await MachineAsync("one", CountingSector.Bytes);
        var before = (await HearAsync())!.Value;
        await _stand.PowerAsync(machine.Uuid, 6);
        Assert.Null(await HearAsync());
        await _stand.PowerAsync(machine.Uuid, 2);
        var after = (await HearAsync())!.Value;
        Assert.True(after.GoesOnFrom(before));
        await _stand.PowerAsync(machine.Uuid, 11);
        Assert.NotEqual(before.Boot, (await HearAsync())!.Value.Boot);
    }

    [Theory]
    [InlineData(1, 0, true)]
    [InlineData(1, 100, false)]
    [InlineData(1, 511, false)]
    [InlineData(2, 0, false)]
    public async Task Only_the_sector_itself_is_heard_and_only_of_the_first_generation(int generation, int damaged, bool heard)
    {
        byte[] sector = [.. CountingSector.Bytes];
        if (damaged > 0) sector[damaged] ^= 1;
        await MachineAsync("one", sector, generation);
        Assert.Equal(heard, await HearAsync() is not null);
    }

    [Fact]
    public async Task A_pipe_has_one_owner()
    {
        await MachineAsync("one", CountingSector.Bytes);
        var other = await MachineAsync("other", CountingSector.Bytes, running: false);
        Assert.Equal(HostErrorKind.AccessDenied, (await Assert.ThrowsAsync<HostException>(() => _stand.PowerAsync(other.Uuid, 2))).Kind);
    }
}
