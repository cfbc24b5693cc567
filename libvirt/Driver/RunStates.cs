using LibvirtSharp;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>libvirt's domain states in our terms.</summary>
internal static class RunStates
{
    /// <summary>A machine that is shutting down still runs; one that the guest suspended (S3) counts as paused; a crashed one is off.</summary>
    public static RunState From(DomainState state) => state switch
    {
        DomainState.Running or DomainState.Blocked or DomainState.Shutdown => RunState.Running,
        DomainState.Paused or DomainState.Pmsuspended => RunState.Paused,
        _ => RunState.Off,
    };
}
