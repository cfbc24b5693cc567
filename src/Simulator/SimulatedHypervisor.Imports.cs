using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <content>What comes in: the lines of an image are what the disk of the new machine holds.</content>
public sealed partial class SimulatedHypervisor
{
    private const long DiskBytes = 1 << 20;

    public string PlaceImport(EnvironmentId environment, MachineRef machine, VolumeName volume) => Path.Combine(host.Root, "imports", environment.Text, $"{machine.Name}-{volume}-{machine.Uuid:N}.qcow2");

    public Task PrepareImportAsync(string path, CancellationToken stop) => Do(stop, () => DurableFile.CreateDirectory(Path.GetDirectoryName(path)!, FolderMode));

    public async Task AcceptImportAsync(string path, long virtualSize, CancellationToken stop)
    {
        if (host.At is { } act) await act($"import:accept:{Path.GetFileName(path)}", stop);
        await Do(stop, () =>
        {
            // All disks of this host have one size.
            if (virtualSize != DiskBytes) throw new WeaveException(Fault.DataLoss, $"The image {Ids.QuotePath(path)} is of {DiskBytes} bytes, not of {virtualSize}.", "Export anew.");
            var lines = host.ContentOf(path);
            lines.Clear();
            lines.AddRange(File.ReadAllText(path).Split('\n', StringSplitOptions.RemoveEmptyEntries));
        });
    }

    public Task<IReadOnlyList<NetworkName>> CheckImportAsync(ImportRequest request, CancellationToken stop) => Do<IReadOnlyList<NetworkName>>(stop, () =>
    {
        var problems = request.Networks.Where(n => host.Networks.GetValueOrDefault(n.Name) is { } there && (there.Gateway, there.PrefixLength) != (n.Gateway, n.PrefixLength)).Select(n => $"network {n.Name} has other addresses here")
            .Concat(Others(request).Where(o => request.Machines.Any(m => m.Machine.HypervisorName == o.Ref.HypervisorName)).Select(o => $"there is a machine {Ids.Quote(o.Ref.HypervisorName)} already"))
            .Concat(Others(request).Where(o => o.Tag is null && o.Nics.Any(n => request.Machines.Any(m => m.Shape.Nics.Any(w => w.Mac == n.Mac && w.Network == n.Network)))).Select(o => $"{Ids.Quote(o.Ref.HypervisorName)} has a MAC of an imported machine")).ToList();
        if (problems.Count > 0) throw new WeaveException(Fault.Unsupported, $"'{request.Environment}' cannot be imported here: {string.Join("; ", problems)}.", "Import on another host, or under another name.");
        return [.. request.Networks.Where(n => !host.Networks.ContainsKey(n.Name)).Select(n => n.Name)];
    });

    private IEnumerable<SimulatedMachine> Others(ImportRequest request) => host.Machines.Values.Where(o => request.Machines.All(m => m.Machine.Uuid != o.Ref.Uuid));

    public async Task DefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop)
    {
        Begin(stop);
        host.Locked(() =>
        {
            foreach (var network in request.Networks.Where(n => made.Contains(n.Name))) host.Networks[network.Name] = network;
        });
        if (host.At is { } act) await act("import:networks", stop);
        host.Locked(() =>
        {
            foreach (var wanted in request.Machines.Where(m => !host.Machines.ContainsKey(m.Machine.Uuid)))
            {
                var machine = new SimulatedMachine
                {
                    Ref = wanted.Machine, RunState = RunState.Off, MemoryBytes = wanted.MemoryBytes, Nics = [.. wanted.Shape.Nics.Select(n => new NicBlueprint(n.Mac, n.Network, n.Addresses))],
                };
                foreach (var (disk, path) in wanted.Shape.Disks.Zip(wanted.Disks)) machine.Disks[disk.Volume.Text] = new(path, DiskFormat.Raw, DiskBytes);
                host.Machines[wanted.Machine.Uuid] = machine;
            }
        });
    }

    public Task UndefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop) => Do(stop, () =>
    {
        foreach (var machine in request.Machines)
        {
            host.Machines.Remove(machine.Machine.Uuid);
            foreach (var path in machine.Disks) Forget(path);
        }
        foreach (var network in made) host.Networks.Remove(network);
        var folder = Path.Combine(host.Root, "imports", request.Environment.Text);
        if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
    });
}
