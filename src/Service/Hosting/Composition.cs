using Hangfire;
using Hangfire.AspNetCore;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV;
using WeaveHypervisor.Libvirt;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Api;

using WeaveHypervisor.Service.Dashboard;
using WeaveHypervisor.Service.Housekeeping;
using WeaveHypervisor.Service.Jobs;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.State;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>Puts the service together.</summary>
internal static class Composition
{
    /// <summary>The file of settings: /etc/weave/weave.json, on Windows %ProgramData%\WeaveHypervisor\weave.json.</summary>
    public static string SettingsFile => OperatingSystem.IsWindows() ? Path.Combine(WeaveOptions.ProgramData, "weave.json") : "/etc/weave/weave.json";

    /// <summary>Settings from <see cref="SettingsFile"/>, then WEAVE_… variables (WEAVE_Listen, WEAVE_Libvirt__Prefix), then the command line (--Weave:Listen=…).</summary>
    public static WeaveOptions ReadOptions(string[] args)
    {
        var builder = new ConfigurationBuilder().AddJsonFile(SettingsFile, optional: true);
        builder.AddInMemoryCollection(new ConfigurationBuilder().AddEnvironmentVariables("WEAVE_").Build().AsEnumerable()
            .Select(p => KeyValuePair.Create(p.Key.StartsWith("Weave:", StringComparison.OrdinalIgnoreCase) ? p.Key : "Weave:" + p.Key, p.Value)));
        var options = builder.AddCommandLine(args).Build().GetSection("Weave").Get<WeaveOptions>() ?? new();
        options.Validate();
        return options;
    }

    /// <param name="replace">Registers parts in place of the usual ones; the last registration counts.</param>
    public static WebApplication Build(WeaveOptions options, StateFolder folder, Action<IServiceCollection>? replace = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Configuration.Sources.Clear();
        builder.Configuration.AddInMemoryCollection();
        builder.Logging.ClearProviders().AddConsole(c => c.LogToStandardErrorThreshold = LogLevel.Trace).AddFilter("Microsoft.AspNetCore", LogLevel.Warning).AddFilter("Hangfire", LogLevel.Warning)
            .AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error)
            // That a start failed is said by what ends the program, once and with what to do about it.
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.Critical);
        builder.WebHost.UseUrls(options.Listen).ConfigureKestrel(k => { k.Limits.MaxRequestBodySize = 1 << 20; k.AddServerHeader = false; });
        var services = builder.Services;
        services.AddSystemd().AddWindowsService();
        services.AddSingleton(TimeProvider.System).AddSingleton(options);
        services.AddWeaveState(StateOf(options, folder.Database));
        services.AddSingleton(p => CreateDriver(options, p.GetRequiredService<ILoggerFactory>(), p.GetService<SimulatedHost>, p.GetService<HyperVHost>));
        if (options.Driver == DriverNames.Simulator) services.AddSingleton(_ => NewSimulatedHost(options)).AddSingleton<IProber, SimulatedProber>();
        if (DriverNames.IsHyperV(options.Driver)) services.AddSingleton(_ => HyperVHost.Open(options));
        if (options.Driver == DriverNames.HyperVSimulator) services.AddSingleton<IProber, ImaginaryProber>();
        var shared = options.Storage.Postgres is { Length: > 0 };
        var process = $"{Environment.MachineName}:{folder.Root}";
        services.AddWeaving(options.Weaving, new(process, SeveralHosts: shared));
        services.AddSingleton<ProgressBoard>().AddSingleton<OperationDesk>().AddSingleton<JobsOnTheWay>().AddSingleton<IOperationQueue, HangfireOperationQueue>();
        services.AddSingleton(p => new OperationRunner(p.GetRequiredService<IJournal>(), p.GetRequiredService<StepCatalogue>(), p.GetRequiredService<TimeProvider>(), p.GetRequiredService<ProgressBoard>(),
            process, new RunnerOptions { Host = shared ? HostId.Parse(options.Weaving.Host) : null }, p.GetRequiredService<ILogger<OperationRunner>>()));
        // Storage and activator of this service's own: Hangfire's static ones belong to the process.
        services.AddSingleton(_ => JobStorages.Make(options.Storage.Postgres)).AddSingleton<JobActivator>(p => new AspNetCoreJobActivator(p.GetRequiredService<IServiceScopeFactory>()));
        services.AddSingleton<Hangfire.Common.IJobFilterProvider, JobFilters>();
        services.AddHangfire(h => h.UseSimpleAssemblyNameTypeSerializer().UseRecommendedSerializerSettings());
        services.AddHangfireServer(h => (h.WorkerCount, h.Queues) = (16, [HangfireOperationQueue.QueueOf(options.Weaving.Host)]));
        services.AddHangfireServer(h => (h.WorkerCount, h.Queues, h.SchedulePollingInterval) = (1, [PolicyJob.Queue], TimeSpan.FromSeconds(1)));
        services.AddDashboard().AddDescription();
        services.AddSingleton<StartUp>().AddHostedService(p => p.GetRequiredService<StartUp>());
        services.AddSingleton<TakingOver>().AddHostedService(p => p.GetRequiredService<TakingOver>());
        services.AddSingleton(options.Housekeeping).AddSingleton<PolicyJob>().AddHostedService<PolicySchedule>().AddHostedService<LostWakeUps>().AddHostedService<ExpiredWeaves>().AddHostedService<DriftLook>().AddHostedService<FrozenLook>();
        replace?.Invoke(services);
        var app = builder.Build();
        app.UseMiddleware<Problems>();
        app.UseRouting();
        app.UseMiddleware<DashboardGate>();
        app.UseMiddleware<Gate>();
        app.MapGet("/healthz", () => Results.Text("ok"));
        app.MapGet("/readyz", (StartUp start) => start.IsReady ? Results.Text("ready") : Results.Text("starting", statusCode: 503));
        app.MapApi(options.Driver);
        if (options.Driver == DriverNames.HyperVSimulator) app.MapImaginaryHost();
        app.MapDashboard();
        return app;
    }

    /// <summary>Before the first request: the tables of this version, and the first token.</summary>
    public static async Task PrepareAsync(WebApplication app, StateFolder folder, CancellationToken stop)
    {
        var database = app.Services.GetRequiredService<WeaveDatabase>();
        var options = app.Services.GetRequiredService<WeaveOptions>();
        await database.MigrateAsync(stop);
        await database.ClaimHostAsync(options.Weaving.Host, MachineIdentity(), options.Storage.ReplaceHost, stop);
        // The jobs' own tables are made by one process at a time, too.
        await using (await database.Locks.TakeAsync("tables of jobs", stop)) app.Services.GetRequiredService<JobStorage>();
        await folder.MakeAdminTokenAsync(app.Services.GetRequiredService<ITokenStore>(), app.Services.GetRequiredService<TimeProvider>(), stop);
    }

    /// <summary>PostgreSQL where it is set, otherwise SQLite in the state folder.</summary>
    public static StateOptions StateOf(WeaveOptions options, string sqlitePath) => options.Storage.Postgres is { Length: > 0 } postgres ? new() { PostgresConnection = postgres } : new() { SqlitePath = sqlitePath };

    /// <summary>What tells this machine from every other (machine-id(5), on Windows the MachineGuid of its installation); its name where it has no such thing.</summary>
    private static string MachineIdentity() => OperatingSystem.IsWindows() ? Microsoft.Win32.Registry.GetValue(@"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Cryptography", "MachineGuid", null) as string ?? Environment.MachineName
        : File.Exists("/etc/machine-id") && File.ReadAllText("/etc/machine-id").Trim() is { Length: > 0 } id ? id : Environment.MachineName;

    /// <param name="simulated">The simulated host, where there is one already; <paramref name="hyperv"/> likewise.</param>
    public static IHypervisorDriver CreateDriver(WeaveOptions options, ILoggerFactory loggers, Func<SimulatedHost?>? simulated = null, Func<HyperVHost?>? hyperv = null)
    {
        if (options.Driver == DriverNames.Simulator) return new SimulatedHypervisor(simulated?.Invoke() ?? NewSimulatedHost(options));
        if (!DriverNames.IsHyperV(options.Driver)) return new LibvirtDriver(options.Libvirt, TimeProvider.System, loggers);
        var host = hyperv?.Invoke() ?? HyperVHost.Open(options);
        return new HyperVDriver(host.SettingsOf(options), host.Client, host.Files, TimeProvider.System, loggers);
    }

    private static SimulatedHost NewSimulatedHost(WeaveOptions options) => new(Path.Combine(options.StatePath, "simulator"), TimeProvider.System);
}

/// <summary>Before the service is ready all unfinished work is taken up; then the host is compared with the store, however long that takes.</summary>
internal sealed partial class StartUp(OperationDesk desk, TakingOver takingOver, WeaveOptions options, IWeaver weaver, TimeProvider clock, ILogger<StartUp> log) : BackgroundService
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(1);
    private readonly TaskCompletionSource _compared = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public bool IsReady { get; private set; }
    /// <summary>Ends when the first comparison has, however it ended.</summary>
    public Task Compared => _compared.Task;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await TakeUpAsync(stoppingToken);
        }
        catch (Exception) when (stoppingToken.IsCancellationRequested)
        {
            // Whatever ends it then. The host takes an end by cancellation for a failure where it never came to run.
        }
        finally
        {
            _compared.TrySetResult();
        }
    }

    private async Task TakeUpAsync(CancellationToken stop)
    {
        // Jobs in PostgreSQL outlive the process; those in memory are made again.
        Resumed(log, options.Storage.Postgres is { Length: > 0 } ? await takingOver.TakeAsync(stop) : await desk.ResumeAllAsync(stop));
        IsReady = true;
        try
        {
            // Environments whose work was taken up are compared when that has ended: what a reboot took from their weaves must not wait for somebody to notice.
            for (var wait = TimeSpan.FromSeconds(1); ; wait = wait * 2 < LongestWait ? wait * 2 : LongestWait)
            {
                var report = await Task.Run(() => weaver.ReconcileAsync(new(RepairMode.Restore), stop), stop);
                Reconciled(log, report.Findings.Count, string.Join("; ", report.Repaired));
                _compared.TrySetResult();
                if (report.Busy.Count == 0) break;
                await Task.Delay(wait, clock, stop);
            }
        }
        catch (Exception e) when (!stop.IsCancellationRequested)
        {
            NotReconciled(log, e);
        }
    }

    [LoggerMessage(LogLevel.Information, "Unfinished work of {Count} environments is taken up again.")]
    private static partial void Resumed(ILogger log, int count);
    [LoggerMessage(LogLevel.Information, "Host compared with the store: {Findings} findings. {Repaired}")]
    private static partial void Reconciled(ILogger log, int findings, string repaired);
    [LoggerMessage(LogLevel.Warning, "The host could not be compared with the store; POST /api/v1/reconcile tries again.")]
    private static partial void NotReconciled(ILogger log, Exception e);
}
