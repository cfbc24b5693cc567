using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using WeaveHypervisor.Model;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Service.Hosting;
using WeaveHypervisor.State;

namespace WeaveHypervisor.Service;

/// <summary>`serve` (default) runs the service; `doctor` looks at the host (`--hyperv`: tries out what a Hyper-V host can do) and `disk` at disk images without one. Exit codes: 0 done, 1 failed, 2 usage, 4 refused, 5 unavailable.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        var command = args is [{ } first, ..] && !first.StartsWith('-') ? first : "serve";
        if (command == "disk") return await DiskAsync(args[1..]);
        try
        {
            var options = Composition.ReadOptions([.. args.Where(a => a.StartsWith("--Weave:", StringComparison.OrdinalIgnoreCase))]);
            switch (command)
            {
                case "serve": return await ServeAsync(options);
                case "doctor": return args.Contains("--hyperv") ? await HyperVDoctorAsync(options, args.Contains("--json")) : await DoctorAsync(options, args.Contains("--json"));
                default:
                    await Console.Error.WriteLineAsync($"There is no command {Ids.Quote(command)}. Use serve, doctor or disk.");
                    return 2;
            }
        }
        catch (WeaveException e)
        {
            await Console.Error.WriteLineAsync(e.NextStep is null ? e.Message : $"{e.Message}\n{e.NextStep}");
            return Api.FaultTable.ExitCode(e.Fault);
        }
    }

    private static async Task<int> ServeAsync(WeaveOptions options)
    {
        using var folder = new StateFolder(options.StatePath);
        await using var app = Composition.Build(options, folder);
        await Composition.PrepareAsync(app, folder, CancellationToken.None);
        try
        {
            await app.RunAsync();
        }
        catch (IOException e) when (e.InnerException is AddressInUseException)
        {
            throw new WeaveException(Fault.Unavailable, $"Somebody else listens where the service should: {options.Listen}.", "Look who with `ss -ltnp`; or set Weave:Listen (WEAVE_Listen) to another address, and WEAVE_URL for the command.", e);
        }
        return 0;
    }

    private static async Task<int> DiskAsync(string[] words)
    {
        using var stop = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            stop.Cancel();
        });
        return await Disks.DiskCommand.RunAsync(words, Disks.DiskConsole.FromProcess(), stop.Token);
    }

    private static async Task<int> HyperVDoctorAsync(WeaveOptions options, bool json)
    {
        using var stop = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            // What the self-test has made is removed before it ends.
            context.Cancel = true;
            stop.Cancel();
        });
        await using var host = HyperVHost.Open(options, aside: true);
        return await HyperVDoctor.RunAsync(host, host.SettingsOf(options), json, Console.Out, Console.Error, stop.Token);
    }

    private static async Task<int> DoctorAsync(WeaveOptions options, bool json)
    {
        using var loggers = LoggerFactory.Create(b => b.AddConsole(c => c.LogToStandardErrorThreshold = LogLevel.Trace).SetMinimumLevel(LogLevel.Warning));
        await using var hyperv = DriverNames.IsHyperV(options.Driver) ? HyperVHost.Open(options, aside: true) : null;
        var driver = Composition.CreateDriver(options, loggers, hyperv: () => hyperv);
        using var database = new WeaveDatabase(Composition.StateOf(options, StateFolder.DatabaseIn(options.StatePath)), TimeProvider.System);
        var facts = await Storage.AddToAsync(await driver.InspectHostAsync(CancellationToken.None), database, CancellationToken.None);
        if (json) Console.WriteLine(System.Text.Json.JsonSerializer.Serialize(Api.Mapping.Map.View(facts), Client.V1.V1Json.Default.DoctorView));
        else
            foreach (var f in facts.Findings) Console.WriteLine($"{Api.Mapping.Map.Word(f.Level)}\t{f.Subject}\t{f.Text}{(f.NextStep is null ? "" : "\t" + f.NextStep)}");
        return facts.Findings.Any(f => f.Level == FindingLevel.Error) ? 1 : 0;
    }
}
