using System.Runtime.InteropServices;
using WeaveHypervisor.Cli;

// The service's own process takes signals itself once it has replaced this one.
using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
{
    context.Cancel = true;
    stop.Cancel();
});
return await CommandLine.RunAsync(CliHost.FromProcess(), args, stop.Token);
