using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>SIGKILL of the service in the middle of its work on real machines: it goes on or goes back by itself, says so, and leaves nothing over.</summary>
[Collection("lab")]
public sealed class KillTests(LabWorld lab)
{
    [Theory]
    [InlineData("env.adopt/examine/after")]
    [InlineData("env.adopt/record/doing")]
    [InlineData("env.adopt/record/after")]
    public async Task Killed_while_it_adopts(string at)
    {
        await lab.FreshAsync();
        await lab.Service.DisposeAsync();
        await lab.Service.StartAsync(killAt: at);
        await lab.TryWeaveAsync([.. LabWorld.AdoptArguments, "--no-wait"]);
        var operation = await RestartedAsync("env.adopt");
        Assert.Equal(operation.State == "succeeded", (await lab.EnvironmentsAsync()).Contains(LabWorld.Environment));
        if (operation.State != "succeeded") await lab.WeaveAsync(LabWorld.AdoptArguments);
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--disk-only");
        await NothingIsLeftAsync();
    }

    [Theory]
    [InlineData("snapshot/prepare/after")]
    [InlineData("snapshot/capture/doing")]
    [InlineData("snapshot/capture/after")]
    [InlineData("snapshot/record/doing")]
    [InlineData("snapshot/record/after")]
    public async Task Killed_at_a_boundary_of_a_snapshot(string at) => await SnapshotAsync(at, null);

    [Fact]
    public async Task Killed_while_memory_is_written() => await SnapshotAsync(null, () => Task.FromResult(Files("*.part").Concat(Files("*.ram")).Any(f => new FileInfo(f).Length > 1 << 20)));

    private async Task SnapshotAsync(string? at, Func<Task<bool>>? when)
    {
        await lab.AdoptedAsync();
        var before = await LabWorld.OrderAsync(LabWorld.MainWeb);
        if (at is not null)
        {
            await lab.Service.DisposeAsync();
            await lab.Service.StartAsync(killAt: at);
        }
        await lab.TryWeaveAsync("snapshot", LabWorld.Environment, "--label", "cut", "--no-wait");
        if (when is not null) await KillWhenAsync(when);
        var operation = await RestartedAsync("snapshot");
        var taken = (await lab.TimelineAsync()).Snapshots;
        Assert.Equal(operation.State == "succeeded" ? 1 : 0, taken.Count);

        // The originals were not rebooted, run on, and have what they acknowledged.
        var after = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        Assert.Equal(before.Nonces, after.Nonces);
        Assert.Equal(before.Orders, after.Orders);
        Assert.True((await LabWorld.OrderAsync(LabWorld.MainWeb)).Ticks >= before.Ticks);

        // What is there is whole: a weave made from it answers as of its time.
        if (taken.Count == 1)
        {
            await lab.WeaveAsync("create", LabWorld.Environment, "--snapshot", taken[0].Id, "--id", "proof");
            Assert.Equal((before.Nonces, before.Orders), ((await LabWorld.AnswersAsync(await lab.UrlAsync("proof"))) is { } p ? (p.Nonces, p.Orders) : default));
        }
        await NothingIsLeftAsync();
    }

    [Theory]
    [InlineData("weave.create/capture/after")]
    [InlineData("weave.create/layers/doing")]
    [InlineData("weave.create/fence/after")]
    [InlineData("weave.create/start/doing")]
    [InlineData("weave.create/start/after")]
    public async Task Killed_at_a_boundary_of_a_creation(string at) => await CreateAsync(at, null);

    [Fact]
    public async Task Killed_while_copies_start() => await CreateAsync(null, async () => (await DomainsAsync()) > 3);

    private async Task CreateAsync(string? at, Func<Task<bool>>? when)
    {
        await lab.AdoptedAsync();
        var before = await LabWorld.OrderAsync(LabWorld.MainWeb);
        if (at is not null)
        {
            await lab.Service.DisposeAsync();
            await lab.Service.StartAsync(killAt: at);
        }
        await lab.TryWeaveAsync("create", LabWorld.Environment, "--id", "copy", "--no-wait");
        if (when is not null) await KillWhenAsync(when);
        var operation = await RestartedAsync("weave.create");
        Assert.Equal(operation.State == "succeeded", (await lab.WeavesAsync()).Contains("copy"));
        if (operation.State != "succeeded") await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
        var copy = await LabWorld.AnswersAsync(await lab.UrlAsync("copy"));
        Assert.Equal((before.Nonces, before.Orders), (copy.Nonces, copy.Orders));
        Assert.Equal(before.Nonces, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Nonces);
        await NothingIsLeftAsync();
    }

    [Theory]
    [InlineData("weave.delete/mark/after")]
    [InlineData("weave.delete/retire/after")]
    [InlineData("weave.delete/forget/after")]
    [InlineData("weave.delete/collect/doing")]
    public async Task Killed_at_a_boundary_of_a_deletion(string at) => await DeleteAsync(at, null);

    [Fact]
    public async Task Killed_while_copies_end() => await DeleteAsync(null, async () => (await DomainsAsync()) < 6);

    private async Task DeleteAsync(string? at, Func<Task<bool>>? when)
    {
        await lab.AdoptedAsync();
        var before = await LabWorld.OrderAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "copy");
        if (at is not null)
        {
            await lab.Service.DisposeAsync();
            await lab.Service.StartAsync(killAt: at);
        }
        await lab.TryWeaveAsync("delete", $"{LabWorld.Environment}/copy", "--no-wait");
        if (when is not null) await KillWhenAsync(when);
        var operation = await RestartedAsync("weave.delete");
        if (operation.State == "succeeded") Assert.Equal(["main"], await lab.WeavesAsync());
        else await LabWorld.AnswersAsync(await lab.UrlAsync("copy"));
        var after = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        Assert.Equal((before.Nonces, before.Orders), (after.Nonces, after.Orders));
        await NothingIsLeftAsync();
    }

    private async Task KillWhenAsync(Func<Task<bool>> when)
    {
        await Shell.UntilAsync("the middle of the work", when);
        await lab.Service.KillAsync();
    }

    /// <summary>Waits for the death, starts the service again, and waits until the operation has ended, without any further request.</summary>
    private async Task<OperationView> RestartedAsync(string kind)
    {
        await lab.Service.EndedAsync();
        await lab.Service.StartAsync();
        OperationView? operation = null;
        await Shell.UntilAsync($"the {kind} that was cut off has ended", async () =>
        {
            operation = LabWorld.Read<Page<OperationView>>(await lab.WeaveAsync("op", "list", "--json")).Items.First(o => o.Kind == kind);
            return operation.IsEnded();
        }, TimeSpan.FromMinutes(2));
        Assert.Contains(operation!.State, new[] { "succeeded", "undone" });
        Assert.True(operation.Resumptions >= 1, "the operation says that it was taken up again");
        return operation;
    }

    private async Task NothingIsLeftAsync()
    {
        await lab.WeaveAsync("env", "release", LabWorld.Environment, "--force");
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
        Assert.Empty(Files("*"));
        foreach (var machine in new[] { "web", "app", "db" })
        {
            var disks = (await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "domblklist", $"{LabWorld.Prefix}-{machine}")).Succeeded("domblklist").Output;
            Assert.Contains(Path.Combine(LabWorld.LabFolder, machine + ".qcow2"), disks);
            Assert.DoesNotContain(LabWorld.Pool, disks);
        }
    }

    private static IEnumerable<string> Files(string pattern)
    {
        var environments = Path.Combine(LabWorld.Pool, "environments");
        return Directory.Exists(environments) ? Directory.EnumerateFiles(environments, pattern, SearchOption.AllDirectories) : [];
    }

    /// <summary>Machines that run, the originals among them.</summary>
    private static async Task<int> DomainsAsync() => (await HostFootprint.DomainsAsync(LabWorld.Prefix)).Count;
}
