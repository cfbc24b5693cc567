using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Service.Hosting;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.Service.Tests.Api;
using WeaveHypervisor.State;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Tests;

/// <summary>
/// The whole service in this process, on a free port of 127.0.0.1, with a simulated host that runs the user's machines web and db. The host and the state folder
/// outlive <see cref="StopAsync"/>; both go with <see cref="DisposeAsync"/>.
/// </summary>
internal sealed class TestService : IAsyncDisposable
{
    private static readonly string[] Machines = ["web", "db"];
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("weave-service-test");
    private readonly List<IDisposable> _clients = [];
    private StateFolder? _held;
    private WebApplication? _app;

    private readonly TestService? _beside;

    private TestService(TimeProvider? clock, TestService? beside)
    {
        Clock = clock ?? TimeProvider.System;
        _beside = beside;
        if (beside is not null)
        {
            Host = beside.Host;
            return;
        }
        Host = new(Path.Combine(_folder.FullName, "host"), Clock);
        var octet = 10;
        foreach (var machine in Machines) Host.AddUserMachine(machine, $"10.20.30.{octet++}");
    }

    public static TimeSpan Patience { get; } = TimeSpan.FromMinutes(2);
    public TimeProvider Clock { get; }
    public SimulatedHost Host { get; }
    public string StatePath => Path.Combine(_folder.FullName, "state");
    /// <summary>What goes wrong in calls of the driver; a new plan takes effect with the next start.</summary>
    public FaultPlan Faults { get; set; } = new();
    public Action<WeaveOptions> Configure { get; set; } = _ => { };
    public Uri Address { get; private set; } = null!;
    public string AdminToken { get; set; } = "";
    public IServiceProvider Services => _app!.Services;

    /// <param name="beside">A service that runs on the same simulated host.</param>
    public static async Task<TestService> StartAsync(TimeProvider? clock = null, Action<WeaveOptions>? configure = null, TestService? beside = null)
    {
        var service = new TestService(clock, beside);
        if (configure is not null) service.Configure = configure;
        await service.StartAgainAsync();
        return service;
    }

    public async Task StartAgainAsync()
    {
        var options = new WeaveOptions { Listen = "http://127.0.0.1:0", StatePath = StatePath, Driver = "simulator" };
        Configure(options);
        options.Validate();
        _held = new(options.StatePath);
        _app = Composition.Build(options, _held, services =>
        {
            services.AddSingleton(Clock).AddSingleton(_ => Host).AddSingleton<IHypervisorDriver>(_ => new FaultyDriver(new SimulatedHypervisor(Host), Faults));
            // Hangfire keeps the logger of the service that started last, also when that has ended.
            services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance);
        });
        await Composition.PrepareAsync(_app, _held, CancellationToken.None);
        await _app.StartAsync();
        // The first look at the host is over then: on a clock that stands still, work would wait for its lease for ever.
        await Services.GetRequiredService<StartUp>().Compared.WaitAsync(Patience);
        Address = new(_app.Urls.Single());
        var token = Path.Combine(StatePath, "admin.token");
        // Services that share a database share its tokens; the first one has made it.
        AdminToken = File.Exists(token) ? File.ReadAllText(token).Trim() : (AdminToken.Length > 0 ? AdminToken : _beside?.AdminToken ?? "");
    }

    public async Task StopAsync()
    {
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }
        _held?.Dispose();
        (_app, _held) = (null, null);
    }

    /// <summary>The typed client with the admin's token, or another.</summary>
    public WeaveClient Client(string? token = null) => Kept(new WeaveClient(Address, token ?? AdminToken, Handler()));

    /// <summary>Plain HTTP that follows no redirect; null: with no token.</summary>
    public HttpClient Http(string? token)
    {
        var http = Kept(new HttpClient(Handler()) { BaseAddress = Address, Timeout = Patience });
        if (token is not null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return http;
    }

    /// <summary>The network, and the requirement that every answer is as the OpenAPI document says.</summary>
    private Documented Handler() => Kept(new Documented(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, UseCookies = false }, () => Document.Value));

    /// <summary>The OpenAPI document; the same for every service of this build.</summary>
    private static readonly Lazy<JsonNode> Document = new(() => JsonNode.Parse(File.ReadAllText(OpenApiTests.Golden))!);

    /// <summary>Makes a token through the interface and answers its secret.</summary>
    public async Task<string> TokenAsync(string name, AccessRole role, params string[] environments) =>
        (await Client().CreateTokenAsync(new() { Name = name, Role = role.ToString().ToLowerInvariant(), Environments = environments.Length > 0 ? environments : null }, default)).Secret!;

    /// <summary>Waits for the end of an operation; fails the test where it did not succeed.</summary>
    public async Task<OperationView> EndAsync(OperationView operation)
    {
        var end = await LastAsync(operation);
        Assert.True(end.State == "succeeded", $"{end.Kind} {end.Subject} {end.State}: {end.Error?.Detail}");
        return end;
    }

    /// <summary>Waits for the end of an operation, whatever it is.</summary>
    public async Task<OperationView> LastAsync(OperationView operation)
    {
        using var limit = new CancellationTokenSource(Patience);
        await foreach (var view in Client().WatchAsync(operation.Id, limit.Token)) operation = view;
        return operation;
    }

    public async Task AdoptAsync(string environment = "lab", params string[] machines) =>
        await EndAsync(await Client().AdoptAsync(new() { Name = environment, Machines = [.. (machines.Length > 0 ? machines : Machines).Select(m => new AdoptMachine { Domain = m })] }, default));

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients) client.Dispose();
        await StopAsync();
        if (_beside is null) Host.Dispose();
        _folder.Delete(recursive: true);
    }

    private T Kept<T>(T client) where T : IDisposable
    {
        _clients.Add(client);
        return client;
    }
}

internal static class HttpExtensions
{
    public static Task<HttpResponseMessage> PostJsonAsync(this HttpClient http, string path, string body, string? key = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        if (key is not null) request.Headers.Add("Idempotency-Key", key);
        return http.SendAsync(request);
    }

    public static async Task<OperationView> OperationAsync(this HttpResponseMessage answer) =>
        JsonSerializer.Deserialize(await answer.Content.ReadAsStringAsync(), V1Json.Default.OperationView)!;

    /// <summary>The problem that answers with that status; fails the test where the answer is anything else.</summary>
    public static async Task<Problem> ProblemAsync(this HttpResponseMessage answer, int status)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(status == (int)answer.StatusCode, $"{(int)answer.StatusCode} instead of {status}: {text}");
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        var problem = JsonSerializer.Deserialize(text, V1Json.Default.Problem)!;
        Assert.Equal(status, problem.Status);
        Assert.False(string.IsNullOrEmpty(problem.Detail));
        Assert.Equal($"urn:weavehypervisor:fault:{problem.Fault}", problem.Type);
        return problem;
    }
}
