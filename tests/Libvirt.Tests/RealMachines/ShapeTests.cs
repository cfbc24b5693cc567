using WeaveHypervisor.Conformance;
using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.RealMachines;

/// <summary>Machines as administrators have them, with real guests.</summary>
public sealed class ShapeTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_copy_has_the_firmware_variables_and_the_TPM_of_its_instant_resumed_or_booted()
    {
        await using var bench = new ShapeBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync([await bench.GiveFirmwareMachineAsync(Stop)]);
        Assert.Equal([StateKind.Nvram, StateKind.Tpm], stage.Examined.Blueprint.Machines[0].States);
        var original = stage.AddressOf(0);
        Assert.Equal("written", await ShapeBench.ShapeAsync(original, "/variables/then", Stop, post: true));
        Assert.Equal("", await ShapeBench.ShapeAsync(original, "/tpm", Stop, post: true));
        var (register, key) = (await ShapeBench.ShapeAsync(original, "/tpm/register", Stop), await ShapeBench.ShapeAsync(original, "/tpm/key", Stop));
        Assert.Matches("^[0-9a-f]{64}$", register);
        Assert.Matches("^[0-9a-f]{100,}$", key);
        var nonce = (await bench.AskAsync(original, true, Stop))!.Nonce;

        var (capture, result) = await stage.CaptureAsync(memory: true);
        Assert.Equal([StateKind.Nvram, StateKind.Tpm], result.Machines[0].States.Select(s => s.Kind));
        await ShapeBench.ShapeAsync(original, "/variables/zlater", Stop, post: true);
        await ShapeBench.ShapeAsync(original, "/tpm", Stop, post: true);

        var (_, facts, resumed) = await stage.PrepareCopyAsync(capture, result);
        Assert.Equal("shared", Assert.Single(await stage.Driver.InstantiateAsync(resumed, null, Stop)).Method);
        var copy = facts.Addresses[0].Outer;
        Assert.Equal(nonce, (await bench.AskAsync(copy, true, Stop))!.Nonce);
        Assert.Equal("then", (await ShapeBench.ShapeAsync(copy, "/variables", Stop)).Trim());
        Assert.Equal((register, key), (await ShapeBench.ShapeAsync(copy, "/tpm/register", Stop), await ShapeBench.ShapeAsync(copy, "/tpm/key", Stop)));
        // What the copy writes is its own.
        Assert.Equal("written", await ShapeBench.ShapeAsync(copy, "/variables/copy", Stop, post: true));
        await RetireAsync(stage, resumed);

        (_, facts, var booted) = await stage.PrepareCopyAsync(capture, result, memory: false);
        Assert.Equal("boot", Assert.Single(await stage.Driver.InstantiateAsync(booted, null, Stop)).Method);
        copy = facts.Addresses[0].Outer;
        Assert.NotEqual(nonce, (await bench.AskAsync(copy, true, Stop))!.Nonce);
        Assert.Equal("then", (await ShapeBench.ShapeAsync(copy, "/variables", Stop)).Trim());
        Assert.Equal(key, await ShapeBench.ShapeAsync(copy, "/tpm/key", Stop));
        Assert.NotEqual(register, await ShapeBench.ShapeAsync(copy, "/tpm/register", Stop));
        await RetireAsync(stage, booted);

        Assert.Equal("then zlater", (await ShapeBench.ShapeAsync(original, "/variables", Stop)).Trim());
        Assert.Equal(key, await ShapeBench.ShapeAsync(original, "/tpm/key", Stop));
        await stage.ReturnAllAsync();
    }

    /// <summary>The TPM's folder outlives the copy's process, for its next start, and goes with the copy's own file.</summary>
    private static async Task RetireAsync(DriverStage stage, InstantiateRequest request)
    {
        var folder = Path.Combine(new LibvirtDriverOptions().TpmFolder, request.Machines[0].Machine.Uuid.ToString());
        await stage.Driver.RetireAsync(request.Machines[0].Machine, Stop);
        Assert.True(Directory.Exists(folder));
        for (var twice = 0; twice < 2; twice++) await stage.Driver.DeleteFilesAsync([.. request.Machines[0].States.Select(s => s.Path)], Stop);
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public async Task Machines_on_two_networks_running_paused_and_off_have_copies_of_the_same_shape()
    {
        await using var bench = new ShapeBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(await bench.GiveMixedMachinesAsync(Stop));
        Assert.Equal([RunState.Running, RunState.Paused, RunState.Off], stage.Machines.Select(m => m.RunState));
        // The bridge is the host's: its address there stands for a gateway, and the guests' addresses are what the host has seen.
        var lan = stage.Examined.Blueprint.Networks.Single(n => n.Name.Text == bench.Bridge);
        Assert.Equal((2, bench.LanAddress(1), 24), (stage.Examined.Blueprint.Networks.Count, lan.Gateway, lan.PrefixLength));
        Assert.Equal([bench.LanAddress(21)], stage.Examined.Blueprint.Machines[0].Nics[1].Addresses);
        Assert.Equal([bench.LanAddress(21)], (await stage.Driver.InspectAsync(stage[0], Stop))!.Addresses[stage.Examined.Blueprint.Machines[0].Nics[1].Mac]);
        var nonce = (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce;

        var (capture, result) = await stage.CaptureAsync(memory: true);
        Assert.Equal([(RunState.Running, true), (RunState.Paused, true), (RunState.Off, false)], result.Machines.Select(m => (m.RunState, m.Memory is not null)));
        Assert.Equal(RunState.Paused, (await stage.Driver.InspectAsync(stage[1], Stop))!.RunState);

        var (_, facts, request) = await stage.PrepareCopyAsync(capture, result);
        request = request with { Machines = [.. request.Machines.Select(m => m with { RunState = result.Machines.Single(r => r.Name == m.Machine.Name).RunState })] };
        await stage.Driver.InstantiateAsync(request, null, Stop);
        var states = new List<RunState?>();
        foreach (var machine in request.Machines) states.Add((await stage.Driver.InspectAsync(machine.Machine, Stop))?.RunState);
        Assert.Equal([RunState.Running, RunState.Paused, null], states);

        // Both of its addresses lead to the running one, each through a network of the fence.
        string Outer(string inner) => facts.Addresses.Single(a => a.Inner == inner).Outer;
        Assert.Equal(nonce, (await bench.AskAsync(Outer(stage.AddressOf(0)), true, Stop))!.Nonce);
        Assert.Equal(nonce, (await bench.AskAsync(Outer(bench.LanAddress(21)), true, Stop))!.Nonce);
        var definition = (await ShapeBench.DefinitionAsync(request.Machines[0].Machine.HypervisorName, Stop)).Element("devices")!;
        Assert.Equal(2, definition.Elements("interface").Select(i => (string)i.Element("source")!.Attribute("network")!).Distinct().Count(n => n.StartsWith(bench.CopyPrefix + "-", StringComparison.Ordinal)));
        Assert.EndsWith("/tools.iso", (string)definition.Elements("disk").Single(d => (string?)d.Attribute("device") == "cdrom").Element("source")!.Attribute("file")!);

        // The paused one wakes up where it was, and the two hear each other over the copy of the bridge: not the originals, of which one still sleeps.
        Assert.Equal("", await ShapeBench.HeardAsync(Outer(stage.AddressOf(0)), bench.LanAddress(22), 82, Stop));
        await stage.Driver.ChangePowerAsync([request.Machines[1].Machine], PowerChange.Resume, TimeSpan.FromSeconds(30), Stop);
        var sleeper = (await bench.AskAsync(Outer(bench.LanAddress(22)), true, Stop))!.Nonce;
        Assert.Equal(sleeper, await ShapeBench.HeardAsync(Outer(stage.AddressOf(0)), bench.LanAddress(22), 82, Stop));
        Assert.Equal("", await ShapeBench.HeardAsync(stage.AddressOf(0), bench.LanAddress(22), 82, Stop));

        await stage.Driver.ChangePowerAsync([stage[1]], PowerChange.Resume, TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(sleeper, (await bench.AskAsync(bench.LanAddress(22), true, Stop))!.Nonce);
        // The copies stand on the adopted files.
        foreach (var machine in request.Machines) await stage.Driver.RetireAsync(machine.Machine, Stop);
        await stage.ReturnAllAsync();
    }

    [Fact]
    public async Task Machines_on_Open_vSwitch_in_a_VLAN_of_it_and_on_macvtap_have_copies_that_hear_each_other_there()
    {
        await using var bench = new SwitchBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(await bench.GiveSwitchedMachinesAsync(Stop));
        var networks = stage.Examined.Blueprint.Networks.ToDictionary(n => n.Name.Text, n => n.Gateway);
        Assert.Equal((4, bench.LanAddress(1), null, bench.CardAddress(1)), (networks.Count, networks[bench.Switch], networks[bench.Switch + "-vlan7"], networks[bench.Card]));
        Assert.Equal([bench.LanAddress(22), null, bench.CardAddress(22)], stage.Examined.Blueprint.Machines[1].Nics.Select(n => n.Addresses.SingleOrDefault()));
        var (near, far) = ((await bench.AskAsync(bench.LanAddress(21), true, Stop))!.Nonce, (await bench.AskAsync(bench.LanAddress(22), true, Stop))!.Nonce);
        string[] others = [bench.LanAddress(22), bench.TaggedAddress(22), bench.CardAddress(22)];
        foreach (var other in others) Assert.Equal(far, await ShapeBench.HeardAsync(stage.AddressOf(0), other, 82, Stop));

        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (_, facts, request) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(request, null, Stop);
        // From the host a copy answers where the host has an address on its wire.
        string Outer(string inner) => facts.Addresses.Single(a => a.Inner == inner).Outer;
        foreach (var (inner, nonce) in new[] { (stage.AddressOf(0), near), (bench.LanAddress(21), near), (bench.CardAddress(21), near), (bench.LanAddress(22), far), (bench.CardAddress(22), far) })
            Assert.Equal(nonce, (await bench.AskAsync(Outer(inner), true, Stop))!.Nonce);
        Assert.DoesNotContain(facts.Addresses, a => a.Inner == bench.TaggedAddress(21));

        // The copies hear each other on all three wires, and not the originals, of which one ends now.
        await bench.KillAsync(stage[1], Stop);
        foreach (var other in others)
        {
            Assert.Equal(far, await ShapeBench.HeardAsync(Outer(stage.AddressOf(0)), other, 82, Stop));
            Assert.Equal("", await ShapeBench.HeardAsync(stage.AddressOf(0), other, 82, Stop));
        }
        foreach (var machine in request.Machines) await stage.Driver.RetireAsync(machine.Machine, Stop);
        await stage.ReturnAllAsync();
    }
}
