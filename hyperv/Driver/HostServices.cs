using System.Collections.Concurrent;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV;

/// <summary>Paths of the host's management services, of which there is one each. They are looked up once: a host does not change them.</summary>
internal sealed class HostServices(ICimClient client)
{
    private string? _build;
    private readonly ConcurrentDictionary<string, CimPath> _known = new(StringComparer.Ordinal);

    /// <summary>Machines.</summary>
    public Task<CimPath> SystemsAsync(CancellationToken stop) => FindAsync(VirtualSystemManagementService.ClassName, stop);
    /// <summary>Checkpoints.</summary>
    public Task<CimPath> SnapshotsAsync(CancellationToken stop) => FindAsync(VirtualSystemSnapshotService.ClassName, stop);
    /// <summary>Disk files.</summary>
    public Task<CimPath> ImagesAsync(CancellationToken stop) => FindAsync(ImageManagementService.ClassName, stop);
    /// <summary>Virtual switches.</summary>
    public Task<CimPath> SwitchesAsync(CancellationToken stop) => FindAsync(VirtualEthernetSwitchManagementService.ClassName, stop);

    /// <summary>The build of Windows that the host runs ("20348"). Monthly updates do not change it.</summary>
    public async Task<string> BuildAsync(CancellationToken stop) => _build ??= (await HyperVFaults.AskAsync(() => client.QueryAsync(HostNamespaces.Windows, Wql.From(Win32OperatingSystem.ClassName).ToString(), stop), "Asking for the build of Windows"))
        .Select(o => o.Get(Win32OperatingSystem.BuildNumber)).FirstOrDefault(b => b is { Length: > 0 }) ?? throw new WeaveException(Fault.Unavailable, "Windows does not say which build it is.");

    /// <summary>Unavailable where the host shows no such service, which is what an account without rights sees.</summary>
    private async Task<CimPath> FindAsync(string className, CancellationToken stop)
    {
        if (_known.TryGetValue(className, out var known)) return known;
        var found = await HyperVFaults.AskAsync(() => client.QueryAsync(HostNamespaces.Virtualization, Wql.From(className).ToString(), stop), $"Looking for {className}");
        if (found.Count == 0) throw new WeaveException(Fault.Unavailable, "Hyper-V shows this account nothing.", "Run the service elevated, as a member of Hyper-V Administrators (S-1-5-32-578) or Administrators.");
        return _known[className] = found[0].Reference;
    }
}
