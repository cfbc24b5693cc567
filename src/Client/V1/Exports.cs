namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `POST …/weaves/{weave}/export` and `POST /snapshots/{id}/export`.</summary>
public sealed record ExportBody
{
    /// <summary>Full path of the folder that is made, on the service's host: not there yet, or empty, outside the pool, and on a way that only root and the service's user can change.</summary>
    public required string Folder { get; init; }
    /// <summary>Vagrant's provider, "libvirt" or "hyperv"; libvirt where it is left out.</summary>
    public string? Provider { get; init; }
}

/// <summary>Body of `POST /imports`.</summary>
public sealed record ImportBody
{
    /// <summary>Full path of an exported folder on the service's host.</summary>
    public required string Folder { get; init; }
    /// <summary>Name of the new environment; that of the exported one where it is left out.</summary>
    public string? Name { get; init; }
}
