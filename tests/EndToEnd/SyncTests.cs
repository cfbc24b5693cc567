using System.Text.Json;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>Differences and syncs of the data disk of db between real machines that run, through the command alone.</summary>
[Collection("lab")]
public sealed class SyncTests(LabWorld lab, ITestOutputHelper output)
{
    private const string Data = "db/vdb";
    private static readonly HttpClient Http = new(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(60) };

    [Fact]
    public async Task A_volume_is_synced_between_running_machines_under_a_load_of_writes_and_taken_back()
    {
        await lab.AdoptedAsync();
        var began = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        await LabWorld.OrderAsync(LabWorld.MainWeb);
        await lab.WeaveAsync("create", LabWorld.Environment, "--id", "past");
        var pastUrl = await lab.UrlAsync("past");
        var past = await LabWorld.AnswersAsync(pastUrl);
        var pastDb = $"http://{(await lab.ShowAsync("past")).Machines.Single(m => m.Name == "db").Addresses[0].Outer}/";

        using var enough = new CancellationTokenSource();
        var orders = LoadAsync(enough.Token);
        try
        {
            await Shell.UntilAsync("main has some more orders", async () => (await LabWorld.AskAsync(LabWorld.MainWeb)).Orders > past.Orders + 2);
            var diff = (await lab.WeaveJsonAsync<VolumeDiffsView>("diff", LabWorld.Environment, "main", "past", Data, "--now")).Volumes.Single();
            output.WriteLine($"differs by {diff.Difference.LeftBytes}+{diff.Difference.RightBytes}+{diff.Difference.BothBytes} bytes, read {diff.Difference.BytesRead}, {diff.Difference.Method}");
            Assert.True(diff.Difference.LeftBytes + diff.Difference.BothBytes > 0);
            Assert.NotNull(diff.Difference.CommonLayer);

            // Mounted, as the guest's agent says: refused, and nothing has changed.
            var mounted = await lab.TryWeaveAsync("sync", LabWorld.Environment, "main", "past", Data);
            Assert.Equal(4, mounted.Exit);
            Assert.Contains("'/data'", mounted.Error, StringComparison.Ordinal);
            Assert.Equal(past.Orders, (await LabWorld.AskAsync(pastUrl)).Orders);

            await PostAsync(pastDb, "data/leave");
            var before = (await LabWorld.AskAsync(LabWorld.MainWeb)).Orders;
            var synced = await lab.WeaveJsonAsync<OperationView>("sync", LabWorld.Environment, "main", "past", Data);
            var after = (await LabWorld.AskAsync(LabWorld.MainWeb)).Orders;
            output.WriteLine($"synced in {(synced.EndedAt - synced.StartedAt)!.Value.TotalMilliseconds:0} ms: {synced.Result}");
            Assert.Equal(("overlay", false), (synced.Result!.Value.GetProperty("method").GetString(), synced.Result.Value.GetProperty("restarted").GetBoolean()));
            // What the guest reads is the instant, to the byte.
            Assert.Equal(await SumAsync(await BelowAsync("past")), await GetAsync(pastDb, "data/sum"));
            await PostAsync(pastDb, "data/return");
            var now = await LabWorld.AnswersAsync(pastUrl);
            Assert.InRange(now.Orders, before, after);
            // Neither machine was stopped for it.
            Assert.Equal(past.Nonces, now.Nonces);
            Assert.Equal(began.Nonces, (await LabWorld.AskAsync(LabWorld.MainWeb)).Nonces);
            await LabWorld.OrderAsync(pastUrl);
        }
        finally
        {
            await enough.CancelAsync();
            output.WriteLine($"{await orders} orders were placed meanwhile");
        }

        // Mounted again, and with a restart that is no hindrance.
        var stopped = await lab.WeaveJsonAsync<OperationView>("sync", LabWorld.Environment, "main", "past", Data, "--stop");
        output.WriteLine($"with a restart in {(stopped.EndedAt - stopped.StartedAt)!.Value.TotalMilliseconds:0} ms");
        var main = await LabWorld.AskAsync(LabWorld.MainWeb);
        var restarted = await LabWorld.AnswersAsync(pastUrl);
        Assert.Equal(main.Orders, restarted.Orders);
        Assert.NotEqual(past.Machines["db"].Nonce, restarted.Machines["db"].Nonce);
        Assert.Equal(past.Machines["web"], restarted.Machines["web"] with { Ticks = past.Machines["web"].Ticks });

        // Into the original: what differs is copied into a layer on its own disk; and taken back.
        for (var i = 0; i < 3; i++) await LabWorld.OrderAsync(pastUrl);
        output.WriteLine((await lab.TryWeaveAsync("sync", LabWorld.Environment, "past", "main", Data, "--dry-run")).Succeeded("dry run").Output);
        var copied = await lab.WeaveJsonAsync<OperationView>("sync", LabWorld.Environment, "past", "main", Data, "--stop");
        Assert.Equal("copy", copied.Result!.Value.GetProperty("method").GetString());
        output.WriteLine($"into the original in {(copied.EndedAt - copied.StartedAt)!.Value.TotalMilliseconds:0} ms, {copied.Result.Value.GetProperty("bytesCopied")} bytes");
        Assert.Equal(main.Orders + 3, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Orders);
        Assert.Contains(copied.Id, await lab.WeaveAsync("sync", "--list", LabWorld.Environment), StringComparison.Ordinal);
        await lab.WeaveAsync("sync", "--undo", copied.Id, "--stop");
        Assert.Equal(main.Orders, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Orders);
        await lab.WeaveAsync("compact", LabWorld.Environment);
        foreach (var file in Directory.EnumerateFiles(LabWorld.Pool, "*.qcow2", SearchOption.AllDirectories))
            (await Shell.RunAsync("qemu-img", "check", "-q", "-U", "-f", "qcow2", file)).Succeeded($"qemu-img check {file}");

        await lab.WeaveAsync("env", "release", LabWorld.Environment, "--force");
        Assert.Equal(main.Orders, (await LabWorld.AskAsync(LabWorld.MainWeb)).Orders);
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
    }

    /// <summary>Places orders one after the other, each of which is synced to disk in the guest; how many.</summary>
    private static async Task<int> LoadAsync(CancellationToken stop)
    {
        for (var n = 0; ; n++)
        {
            if (stop.IsCancellationRequested) return n;
            await LabWorld.OrderAsync(LabWorld.MainWeb);
        }
    }

    /// <summary>The file that the head of a weave's data disk stands on.</summary>
    private async Task<string> BelowAsync(string weave)
    {
        var head = (await lab.ShowAsync(weave)).Machines.Single(m => m.Name == "db").Volumes.Single(v => v.Name == Data).Layer;
        var path = Directory.EnumerateFiles(LabWorld.Pool, head + ".qcow2", SearchOption.AllDirectories).Single();
        var info = (await Shell.RunAsync("qemu-img", "info", "-U", "--output=json", path)).Succeeded("qemu-img info").Output;
        return JsonDocument.Parse(info).RootElement.GetProperty("full-backing-filename").GetString()!;
    }

    private static async Task<string> SumAsync(string layer)
    {
        var raw = Path.GetTempFileName();
        try
        {
            (await Shell.RunAsync("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", layer, raw)).Succeeded("qemu-img convert");
            await using var file = File.OpenRead(raw);
#pragma warning disable CA5351 // What busybox has, and nobody to be kept from forging it.
            return Convert.ToHexStringLower(await System.Security.Cryptography.MD5.HashDataAsync(file));
#pragma warning restore CA5351
        }
        finally
        {
            File.Delete(raw);
        }
    }

    private static async Task PostAsync(string url, string path)
    {
        using var answer = await Http.PostAsync(new Uri(url + path), null);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
    }

    private static async Task<string> GetAsync(string url, string path) => JsonDocument.Parse(await Http.GetStringAsync(new Uri(url + path))).RootElement.GetProperty("sum").GetString()!;
}
