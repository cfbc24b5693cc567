using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>What all domains of the host hold at one moment: who writes to which file, who has managed-save images or checkpoints.</summary>
internal sealed class HostPicture
{
    private readonly Dictionary<string, List<(Guid Uuid, string Name)>> _writers = [];

    public HashSet<Guid> Saved { get; } = [];
    public HashSet<Guid> Checkpointed { get; } = [];

    /// <summary>Domains, running or only defined, that have the file as a writable disk.</summary>
    /// <param name="identity">As of <see cref="FileFacts.Identity"/>.</param>
    public IReadOnlyList<(Guid Uuid, string Name)> WritersOf(string identity) => _writers.GetValueOrDefault(identity) ?? [];

    public static async Task<HostPicture> TakeAsync(LibvirtConnection connection, CancellationToken stop)
    {
        var picture = new HostPicture();
        await MarkAsync(connection, ListDomainsFlags.Managedsave, picture.Saved, stop).ConfigureAwait(false);
        await MarkAsync(connection, ListDomainsFlags.HasCheckpoint, picture.Checkpointed, stop).ConfigureAwait(false);
        foreach (var domain in await connection.ListDomainsAsync(0, stop).ConfigureAwait(false))
        {
            using (domain)
            {
                foreach (var flags in new[] { DomainXmlFlags.None, DomainXmlFlags.Inactive })
                {
                    string xml;
                    try
                    {
                        xml = await domain.GetXmlAsync(flags, stop).ConfigureAwait(false);
                    }
                    catch (LibvirtException error) when (error.Code == VirErrorCode.NoDomain)
                    {
                        continue;       // it ended meanwhile
                    }
                    foreach (var (_, path) in MachineReading.WritablePaths(DomainText.Parse(xml))) picture.Add(path, domain);
                }
            }
        }
        return picture;
    }

    private void Add(string path, LibvirtDomain domain)
    {
        try
        {
            var identity = FileFacts.Read(path).Identity;
            if (!_writers.TryGetValue(identity, out var writers)) _writers[identity] = writers = [];
            writers.Add((domain.Uuid, domain.Name));
        }
        catch (WeaveException)
        {
            // A file that is not there is nobody's.
        }
    }

    private static async Task MarkAsync(LibvirtConnection connection, ListDomainsFlags flags, HashSet<Guid> into, CancellationToken stop)
    {
        foreach (var domain in await connection.ListDomainsAsync(flags, stop).ConfigureAwait(false))
            using (domain) into.Add(domain.Uuid);
    }
}
