using System.Diagnostics;
using System.IO.Pipes;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using LibvirtSharp;
using Microsoft.Extensions.Logging;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Copies;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Starting;

/// <summary>
/// Starts copies as transient domains, all in parallel: with a private map of the memory image and its device state where the machine allows that, with a whole
/// migration stream otherwise, from disk where there is no memory. libvirt's own restore refuses another UUID; this way needs no knowledge of its save format.
/// </summary>
internal sealed class CopyStarter(DriverContext context, StateKeeper states, FenceKeeper fences)
{
    private const string Stream = "weave-state";
    private readonly ILogger _log = context.Loggers.CreateLogger<CopyStarter>();
    private readonly CopyCreation _creation = new(context.Loggers.CreateLogger<CopyCreation>());

    public async Task<IReadOnlyList<StartedMachine>> RunAsync(InstantiateRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        var made = new List<CopyMachine>();
        var done = 0;
        try
        {
            var fence = await fences.ReadRecordAsync(request.Tag, stop);
            return await WhenAllEnded(request.Machines.Select(async copy =>
            {
                var started = await StartAsync(request, fence, copy, made, stop);
                progress?.Report(new($"{copy.Machine.Name} {started.Method}", Interlocked.Increment(ref done), request.Machines.Count));
                return started;
            }));
        }
        catch (Exception error)
        {
            foreach (var copy in made) await EndAsync(copy);
            if (error is LibvirtException e) throw LibvirtFaults.Translate(e, $"start the machines of '{request.Environment}/{request.Weave}'");
            if (error is QemuRefusal refusal) throw refusal.ToFault($"Could not start the machines of '{request.Environment}/{request.Weave}'");
            throw;
        }
    }

    /// <summary>Like Task.WhenAll, but an error is thrown only when no start is under way any more, so that all that was made can be ended.</summary>
    private static async Task<IReadOnlyList<StartedMachine>> WhenAllEnded(IEnumerable<Task<StartedMachine>> starts)
    {
        var tasks = starts.ToList();
        await Task.WhenAll(tasks);
        return [.. tasks.Select(t => t.Result)];
    }

    private async Task<StartedMachine> StartAsync(InstantiateRequest request, FenceRecord? fence, CopyMachine copy, List<CopyMachine> made, CancellationToken stop)
    {
        if (copy.RunState == RunState.Off) return new(copy.Machine.Name, RunState.Off, "off", null, default, default, default);
        if (await context.Host.FindDomainAsync(copy.Machine, stop) is { } there)
            using (there)
            {
                if (await IsWholeAsync(there, stop)) return new(copy.Machine.Name, StateOf(await there.GetStateAsync(stop)), "kept", null, default, default, default);
                // An earlier start died between making the machine and loading its memory: begin again.
                await there.DestroyAsync(cancellationToken: stop);
            }
        var (memory, reason) = Method(copy);
        var clock = Stopwatch.StartNew();
        if (copy.Memory is { } image) context.Paths.RequireOurs(image.FlatPath);
        var xml = CopyDefinition.Write(request, copy, context.Options, memory, index => fences.NetworkName(request.Tag, index), FenceKeeper.PlugsOf(fence, copy.Machine.Name));
        lock (made) made.Add(copy);
        states.Prepare(copy);
        var connection = await context.Host.OpenAsync(stop);
        using var domain = await _creation.CreateAsync(connection, xml, stop);
        await FenceKeeper.SpareGatewayMacsAsync(fence, copy.Blueprint, domain, stop);
        var create = clock.Elapsed;
        if (memory == CopyMemory.Shared) await LoadAsync(domain, copy, stop);
        else if (memory == CopyMemory.Whole) await LoadWholeAsync(domain, copy, stop);
        var load = clock.Elapsed - create;
        var paused = request.LeavePaused || copy.RunState == RunState.Paused;
        if (!paused) await domain.ResumeAsync(stop);
        return new(copy.Machine.Name, paused ? RunState.Paused : RunState.Running, memory switch { CopyMemory.Shared => "shared", CopyMemory.Whole => "whole", _ => "boot" }, reason,
            create, load, clock.Elapsed - create - load);
    }

    private static (CopyMemory, string? Reason) Method(CopyMachine copy)
    {
        if (copy.Memory is null) return (CopyMemory.None, null);
        return SharingRefusal(DomainText.Parse(copy.Blueprint.Definition), copy.Memory) is { } refusal ? (CopyMemory.Whole, refusal) : (CopyMemory.Shared, null);
    }

    /// <summary>Why the RAM of a machine cannot be a private map of one flat file; null where it can. libvirt-mechanics: one RAM block, no NUMA cells, no hugepages.</summary>
    internal static string? SharingRefusal(XDocument definition, MemoryImage image)
    {
        var domain = definition.Root!;
        if (domain.Element("cpu")?.Element("numa") is not null) return "the machine has NUMA cells";
        if (domain.Element("memoryBacking") is { } backing)
        {
            if (backing.Element("hugepages") is not null) return "the machine has hugepages";
            if (backing.Element("source") is not null || backing.Element("access") is not null) return "the machine's memory has a backend of its own";
        }
        if (domain.Element("maxMemory") is not null || domain.Element("devices")?.Element("memory") is not null) return "the machine has memory slots";
        // QEMU punches what a balloon takes out of the file behind a mapping, also behind a private one: a base must never be under a balloon that may grow.
        if (domain.Element("devices")?.Elements("memballoon").FirstOrDefault(b => (string?)b.Attribute("model") is not "none") is { } balloon)
        {
            if ((string?)balloon.Attribute("freePageReporting") == "on") return "its balloon gives free pages back, which QEMU would take out of the image that copies share";
            if (Kibibytes(domain.Element("currentMemory")) is { } current && current < Kibibytes(domain.Element("memory"))) return "its balloon is inflated, and might take more out of the image that copies share";
        }
        return File.Exists(image.FlatPath) ? null : "the flat memory file is missing";
    }

    /// <summary>An amount of memory in a definition that libvirt wrote; null where there is none.</summary>
    private static long? Kibibytes(XElement? amount) => amount is not null && (string?)amount.Attribute("unit") is null or "KiB" && long.TryParse(amount?.Value, out var value) ? value : null;

    private async Task LoadAsync(LibvirtDomain domain, CopyMachine copy, CancellationToken stop)
    {
        using var state = new FileStream(copy.Memory!.DeviceStatePath, FileMode.Open, FileAccess.Read, FileShare.Read, 0);
        await Monitor.PassFileAsync(domain, Stream, (int)state.SafeFileHandle.DangerousGetHandle(), stop);
        await Monitor.ExecuteAsync(domain, "migrate-incoming", new JsonObject { ["uri"] = "fd:" + Stream }, stop);
        await LoadedAsync(domain, copy, stop);
    }

    private async Task LoadWholeAsync(LibvirtDomain domain, CopyMachine copy, CancellationToken stop)
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out, HandleInheritability.None, 1 << 20);
        await Monitor.PassFileAsync(domain, Stream, (int)pipe.ClientSafePipeHandle.DangerousGetHandle(), stop);
        pipe.DisposeLocalCopyOfClientHandle();
        await Monitor.ExecuteAsync(domain, "migrate-incoming", new JsonObject { ["uri"] = "fd:" + Stream }, stop);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var writing = Task.Run(async () =>
        {
            await WholeStreamWriter.WriteAsync(copy.Memory!.FlatPath, copy.Memory.DeviceStatePath, copy.Memory.MainBlock, pipe, null, both.Token);
            pipe.Dispose();
        }, CancellationToken.None);
        try
        {
            await LoadedAsync(domain, copy, stop);
            await writing;
        }
        catch
        {
            await both.CancelAsync();
            pipe.Dispose();
            await writing.ContinueWith(static _ => { }, TaskScheduler.Default);
            throw;
        }
    }

    /// <summary>Waits until QEMU has loaded the state: every millisecond at first, because the ordinary case takes some 20 ms.</summary>
    private async Task LoadedAsync(LibvirtDomain domain, CopyMachine copy, CancellationToken stop)
    {
        for (var tries = 0; ; tries++)
        {
            var now = await Monitor.MigrationAsync(domain, stop);
            if (now.Status == "completed") return;
            if (now.Status is "failed" or "cancelled") throw new WeaveException(Fault.DataLoss, $"QEMU could not load the memory of '{copy.Machine.Name}': {now.Error ?? now.Status}.",
                "Start the weave from its disks with `--boot`, and look into the machine's log under /var/log/libvirt/qemu.");
            await Task.Delay(TimeSpan.FromMilliseconds(tries < 100 ? 1 : 20), context.Clock, stop);
        }
    }

    /// <summary>False for a machine that still waits for its memory.</summary>
    private static async Task<bool> IsWholeAsync(LibvirtDomain domain, CancellationToken stop)
    {
        if (!await domain.IsActiveAsync(stop)) return false;
        var status = (await Monitor.ExecuteAsync(domain, "query-status", null, stop)).GetProperty("status").GetString();
        return status is not ("inmigrate" or "prelaunch");
    }

    private static RunState StateOf(DomainStateAndReason state) => state.State switch
    {
        DomainState.Running or DomainState.Blocked => RunState.Running,
        DomainState.Paused or DomainState.Pmsuspended => RunState.Paused,
        _ => RunState.Off,
    };

    private async Task EndAsync(CopyMachine copy)
    {
        try
        {
            if (await context.Host.FindDomainAsync(copy.Machine, CancellationToken.None) is not { } domain) return;
            using (domain) await domain.DestroyAsync();
        }
        catch (Exception error) when (error is LibvirtException or WeaveException)
        {
            _log.LogError(error, "The copy {Machine} could not be ended after a failed start", copy.Machine.HypervisorName);
        }
    }
}
