using System.Diagnostics;

namespace WeaveHypervisor.EndToEnd;

/// <summary>A lab that the real Vagrant has made goes through time, leaves as a folder, and comes up of it beside the original. `WEAVE_TESTS=full` also halts and starts the original, brings up all of the export, and imports it.</summary>
[Collection("lab")]
public sealed class VagrantTests(ITestOutputHelper output)
{
    private static bool Full => Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full";
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    private void Say(string what) => output.WriteLine($"{_clock.Elapsed.TotalSeconds,6:0.0} s {what}");

    [Fact]
    public async Task A_Vagrant_lab_has_a_past_that_runs_beside_it_and_that_Vagrant_brings_up_elsewhere_from_a_folder()
    {
        await using var lab = await VagrantLab.StartAsync();
        Say("box, pool, service");
        // One after the other: it is quicker, as while libvirt's DHCP server looks whether one address is free, it answers nobody else.
        await VagrantLab.VagrantAsync(VagrantLab.Lab, "up", "--no-parallel");
        Say("vagrant up");
        await VagrantLab.MarkAsync("PAST");
        // An export has what is on the disks, and guests write when they like.
        await VagrantLab.InsideAsync(VagrantLab.Lab, "web", "sync");
        var then = await VagrantLab.AskAsync($"{VagrantLab.Subnet}.12");
        await lab.WeaveAsync("env", "adopt", VagrantLab.Environment, "--vagrant", VagrantLab.Lab);
        await lab.WeaveAsync("snapshot", VagrantLab.Environment, "--label", "past");
        var snapshot = await lab.NewestSnapshotAsync();
        await VagrantLab.MarkAsync("PRESENT");
        await lab.WeaveAsync("create", VagrantLab.Environment, "--at", snapshot.At.ToString("O"), "--id", "past");
        var past = await VagrantLab.AskAsync(await lab.RouteAsync("past", "db"));
        var now = await VagrantLab.AskAsync(await lab.RouteAsync("main", "db"));
        Say("adopted, snapshot, weave from the past");

        // One memory, two data volumes; the weave's is what the original had.
        Assert.Equal(("db", then.Nonce, then.Data), (past.Host, past.Nonce, past.Data));
        Assert.Equal(("db", then.Nonce), (now.Host, now.Nonce));
        Assert.NotEqual(then.Data, now.Data);
        Assert.Equal(("web", ""), await WebAsync(lab));
        await VagrantSeesItsOwnMachinesAsync(now);
        if (Full) await HaltAndUpAsync(lab);
        Say("Vagrant's own commands");

        var folder = VagrantLab.Exports + "/past";
        await lab.WeaveAsync("export", snapshot.Id, "--vagrant", folder);
        await VagrantLab.VagrantAsync(folder, ["up", "--no-parallel", .. Full ? (string[])[] : ["db"]]);
        Say("vagrant up of the export");
        Assert.Equal(then.Data, await VagrantLab.DataInsideAsync(folder));
        Assert.Equal($"db {VagrantLab.Subnet}.12/24", await VagrantLab.InsideAsync(folder, "db", "echo $(hostname) $(cat /etc/lab/eth1)"));
        if (Full) Assert.Equal($"web {VagrantLab.Subnet}.11/24", await VagrantLab.InsideAsync(folder, "web", "echo $(hostname) $(cat /etc/lab/eth1)"));
        // The original and the weave still are what they were.
        Assert.Equal(past, await VagrantLab.AskAsync(await lab.RouteAsync("past", "db")));
        Assert.Equal(now.Data, (await VagrantLab.AskAsync($"{VagrantLab.Subnet}.12")).Data);
        await VagrantLab.VagrantAsync(folder, "destroy", "-f");
        Say("export is gone again");

        await ReleaseAndDestroyAsync(lab);
        Say("released, destroyed");
        if (Full) await ImportAsync(lab, folder, then.Data);
        Assert.Empty((await HostFootprint.TakeAsync(VagrantLab.OurPool)).NewSince(lab.Empty));
    }

    [Fact]
    public async Task A_folder_whose_machines_are_none_of_this_hosts_libvirt_is_refused_with_the_reason()
    {
        await using var lab = await VagrantLab.StartAsync();
        async Task Refused(string word, string name, string vagrantfile, string? provider = null)
        {
            var folder = Directory.CreateDirectory(Path.Combine(VagrantLab.Folder, name)).FullName;
            await File.WriteAllTextAsync(folder + "/Vagrantfile", vagrantfile);
            if (provider is not null)
            {
                var machine = Directory.CreateDirectory($"{folder}/.vagrant/machines/web/{provider}").FullName;
                await File.WriteAllTextAsync(machine + "/id", Guid.NewGuid().ToString("D"));
            }
            var answer = await lab.TryWeaveAsync("env", "adopt", name, "--vagrant", folder);
            Assert.NotEqual(0, answer.Exit);
            Assert.Contains(word, answer.Error, StringComparison.Ordinal);
        }
        var text = await File.ReadAllTextAsync(VagrantLab.Lab + "/Vagrantfile");
        await Refused("No machine", "new", text);
        await Refused("virtualbox", "box", text, "virtualbox");
        await Refused("are of Vagrant's provider hyperv", "hyper", text, "hyperv");
        await Refused("not on the system's libvirt", "far", text + "\nVagrant.configure('2') { |c| c.vm.provider(:libvirt) { |l| l.uri = 'qemu+ssh://elsewhere/system' } }\n", "libvirt");
        // Of this provider, but libvirt knows no such domain.
        await Refused("'gone' cannot be adopted", "gone", text, "libvirt");
        Assert.DoesNotContain("vlab", await lab.WeaveAsync("env", "list"), StringComparison.Ordinal);
    }

    private static async Task<(string Host, string Data)> WebAsync(VagrantLab lab)
    {
        var answer = await VagrantLab.AskAsync(await lab.RouteAsync("past", "web"));
        return (answer.Host, answer.Data);
    }

    private static async Task VagrantSeesItsOwnMachinesAsync(TinyAnswer now)
    {
        var status = await VagrantLab.StatusAsync(VagrantLab.Lab);
        Assert.Equal(("running", "running"), (status["web"], status["db"]));
        Assert.Equal($"db {now.Data}", await VagrantLab.InsideAsync(VagrantLab.Lab, "db", "echo $(hostname) $(md5sum < /dev/vdb | cut -c1-32)"));
    }

    private static async Task HaltAndUpAsync(VagrantLab lab)
    {
        var before = await VagrantLab.AskAsync(await lab.RouteAsync("main", "db"));
        await VagrantLab.VagrantAsync(VagrantLab.Lab, "halt");
        Assert.All(await VagrantLab.StatusAsync(VagrantLab.Lab), m => Assert.Equal("shutoff", m.Value));
        await VagrantLab.VagrantAsync(VagrantLab.Lab, "up", "--no-parallel");
        var after = await VagrantLab.AskAsync(await lab.RouteAsync("main", "db"));
        Assert.Equal(before.Data, after.Data);
        Assert.NotEqual(before.Nonce, after.Nonce);
        // The history goes on over it.
        await lab.WeaveAsync("snapshot", VagrantLab.Environment, "--label", "after");
        Assert.Equal("after", (await lab.NewestSnapshotAsync()).Label);
    }

    private static async Task ReleaseAndDestroyAsync(VagrantLab lab)
    {
        await lab.WeaveAsync("env", "release", VagrantLab.Environment, "--force");
        // The machines have the files that Vagrant made for them, and run.
        Assert.StartsWith("PRESENT", await VagrantLab.InsideAsync(VagrantLab.Lab, "db", "head -c 512 /dev/vdb"), StringComparison.Ordinal);
        await VagrantLab.VagrantAsync(VagrantLab.Lab, "destroy", "-f");
        // Vagrant keeps the images of boxes, always.
        Assert.DoesNotContain(await VagrantLab.LeftAsync(), l => !l.Contains("_vagrant_box_image_", StringComparison.Ordinal));
    }

    private static async Task ImportAsync(VagrantLab lab, string folder, string data)
    {
        await lab.WeaveAsync("import", folder, "--name", VagrantLab.Imported);
        await lab.WeaveAsync("start", VagrantLab.Imported + "/main");
        var answer = await VagrantLab.AskAsync($"{VagrantLab.Subnet}.12");
        Assert.Equal(("db", data), (answer.Host, answer.Data));
        await lab.WeaveAsync("stop", VagrantLab.Imported + "/main", "--power-off");
        await lab.WeaveAsync("env", "release", VagrantLab.Imported, "--force");
        // They are the user's, and stay.
        Assert.Equal([$"domain {VagrantLab.Imported}-db", $"domain {VagrantLab.Imported}-web"], (await VagrantLab.LeftAsync()).Where(l => l.StartsWith("domain ", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        await VagrantLab.RemoveMachinesAsync();
        Directory.Delete(VagrantLab.OurPool + "/imports", recursive: true);
    }
}
