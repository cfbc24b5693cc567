using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Hosting;

namespace WeaveHypervisor.Service.Tests.Hosting;

/// <summary>The service with the Hyper-V driver, as far as it can be had anywhere: on an imaginary host, in real time.</summary>
public sealed class HyperVTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("weave-hyperv-test");
    private WeaveOptions Options(string driver) => new() { Driver = driver, Listen = "http://127.0.0.1:0", StatePath = Path.Combine(_folder.FullName, "state") };

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Drivers_of_another_system_are_refused_with_what_to_use_instead()
    {
        var refusal = Assert.Throws<WeaveException>(Options(OperatingSystem.IsWindows() ? DriverNames.Libvirt : DriverNames.HyperV).Validate);
        Assert.Equal(Fault.Unsupported, refusal.Fault);
        Assert.Contains("hyperv", refusal.NextStep, StringComparison.Ordinal);
        foreach (var anywhere in new[] { DriverNames.Simulator, DriverNames.HyperVSimulator }) Options(anywhere).Validate();
    }

    [Fact]
    public void A_wrong_setting_of_the_driver_is_named() =>
        Assert.Contains("Root", Assert.Throws<WeaveException>(() => Composition.ReadOptions(["--Weave:Driver=hyperv-simulator", "--Weave:HyperV:Root=/weave"])).Message, StringComparison.Ordinal);

    [Fact]
    public async Task The_self_test_runs_on_an_imaginary_host_and_nowhere_else_than_on_Windows()
    {
        if (!OperatingSystem.IsWindows())
        {
            var refusal = Assert.Throws<WeaveException>(() => HyperVHost.Open(Options(DriverNames.Libvirt)));
            Assert.Equal((Fault.Unsupported, true), (refusal.Fault, refusal.NextStep!.Contains("Hyper-V host", StringComparison.Ordinal)));
        }
        var options = Options(DriverNames.HyperVSimulator);
        await using var host = HyperVHost.Open(options, aside: true);
        using var output = new StringWriter();
        using var progress = new StringWriter();
        Assert.Equal(0, await HyperVDoctor.RunAsync(host, host.SettingsOf(options), json: true, output, progress, TestContext.Current.CancellationToken));
        var record = JsonDocument.Parse(output.ToString()).RootElement;
        Assert.Equal(["Live", "Files", "Saved", "Flat"], record.GetProperty("resumes").EnumerateArray().Select(r => r.GetString()!));
        Assert.Equal(host.Imaginary!.Host.Options.Build, record.GetProperty("build").GetString());
        Assert.Contains("imaginary", progress.ToString(), StringComparison.Ordinal);
        Assert.Equal(record.GetProperty("answers").GetArrayLength() + 1, progress.ToString().Trim().Split('\n').Length);
        Assert.Equal(["demo-web", "demo-app", "demo-db"], host.Imaginary.Host.MachineNames().Select(m => m.Name));
        Assert.False(Directory.Exists(Path.Combine(options.StatePath, "hyperv-simulator")));
    }

    [Fact]
    public async Task Machines_of_an_imaginary_host_are_adopted_and_weaves_of_them_resume_beside_them()
    {
        var options = Options(DriverNames.HyperVSimulator);
        using var held = new StateFolder(options.StatePath);
        await using var app = Composition.Build(options, held, s => s.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance));
        await Composition.PrepareAsync(app, held, CancellationToken.None);
        await app.StartAsync(TestContext.Current.CancellationToken);
        var token = File.ReadAllText(Path.Combine(options.StatePath, "admin.token")).Trim();
        using var handler = new SocketsHttpHandler { UseProxy = false };
        using var client = new WeaveClient(new(app.Urls.Single()), token, handler);
        using var http = new HttpClient(handler, disposeHandler: false) { BaseAddress = new(app.Urls.Single()) };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        async Task EndAsync(Task<OperationView> begun)
        {
            var operation = await begun;
            using var limit = new CancellationTokenSource(TestService.Patience);
            await foreach (var view in client.WatchAsync(operation.Id, limit.Token)) operation = view;
            Assert.True(operation.State == "succeeded", $"{operation.Kind} {operation.State}: {operation.Error?.Detail}");
        }
        async Task<ImaginaryGuest> AskAsync(int port) => (await http.GetFromJsonAsync<ImaginaryGuest>($"/imaginary/ports/{port}", JsonSerializerOptions.Web, TestContext.Current.CancellationToken))!;
        async Task RouteAsync(string weave, int port) => await EndAsync(client.PublishRouteAsync("demo", weave, new() { Machine = "db", TargetPort = 80, Listen = $"0.0.0.0:{port}" }, default));
        async Task OrderAsync(int port) => (await http.PostAsync($"/imaginary/ports/{port}/orders", null, TestContext.Current.CancellationToken)).EnsureSuccessStatusCode();

        await EndAsync(client.AdoptAsync(new() { Name = "demo", Machines = [new() { Name = "web", Domain = "demo-web" }, new() { Name = "app", Domain = "demo-app" }, new() { Name = "db", Domain = "demo-db" }] }, default));
        await RouteAsync("main", 28080);
        await OrderAsync(28080);
        await EndAsync(client.SnapshotAsync("demo", new() { Label = "one" }, default));
        var snapshot = (await client.TimelineAsync("demo", null, null, default)).Snapshots.Single(s => s.Label == "one");
        await OrderAsync(28080);
        await EndAsync(client.CreateWeaveAsync("demo", new() { WeaveId = "past", SnapshotId = snapshot.Id }, default));
        // A second moment of machines whose disks stand on checkpoints of ours by now.
        await EndAsync(client.CreateWeaveAsync("demo", new() { WeaveId = "now" }, default));
        await RouteAsync("past", 28081);
        await RouteAsync("now", 28082);
        await OrderAsync(28081);
        await OrderAsync(28081);
        var (original, past, now) = (await AskAsync(28080), await AskAsync(28081), await AskAsync(28082));
        Assert.Equal((2u, 3u, 2u), (original.Orders, past.Orders, now.Orders));
        Assert.Equal((original.Boot, original.Boot), (past.Boot, now.Boot));
        Assert.False(original.Corrupt || past.Corrupt || now.Corrupt);
        Assert.NotEqual(original.Machine, past.Machine);
        Assert.True(past.Ticks <= original.Ticks);
        await EndAsync(client.ActivateAsync("demo", "past", new() { Probe = new() { Machine = "web", Port = 80 } }, default));
        // Rules would not be enforced here, and that there are none can be said.
        var refused = await Assert.ThrowsAsync<ApiException>(() => client.SetRulesAsync("demo", "past", new() { Groups = [], Access = new() { Sources = ["10.0.0.0/8"] } }, default));
        Assert.Equal(("unsupported", true), (refused.Fault, refused.Message.Contains("Hyper-V", StringComparison.Ordinal)));
        await EndAsync(client.SetRulesAsync("demo", "past", new() { Groups = [] }, default));
        await app.StopAsync(CancellationToken.None);
    }
}
