namespace WeaveHypervisor.HyperV.Cim;

/// <summary>Namespaces of a host's classes.</summary>
public static class HostNamespaces
{
    /// <summary>Hyper-V's classes.</summary>
    public const string Virtualization = @"root\virtualization\v2";
    /// <summary>The host's own addresses and their translation.</summary>
    public const string Standard = @"root\StandardCimv2";
    /// <summary>Windows' own facts.</summary>
    public const string Windows = @"root\cimv2";
}
