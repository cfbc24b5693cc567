using LibvirtSharp;
using Microsoft.Extensions.Logging;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>File systems frozen and thawed by a machine's guest agent.</summary>
internal sealed class GuestFreeze(DriverContext context)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly ILogger _log = context.Loggers.CreateLogger<GuestFreeze>();

    public async Task FreezeAsync(CaptureMember member, CancellationToken stop)
    {
        try
        {
            await member.Domain!.FreezeFileSystemsAsync(stop).WaitAsync(Patience, stop);
            member.Frozen = true;
        }
        catch (Exception error) when (error is LibvirtException or TimeoutException)
        {
            member.Reason = $"file systems were not frozen: {(error is TimeoutException ? $"the guest agent did not answer within {Patience.TotalSeconds:0} s" : error.Message)}";
        }
    }

    public async Task ThawAsync(CaptureMember member)
    {
        try
        {
            await member.Domain!.ThawFileSystemsAsync().WaitAsync(Patience);
        }
        catch (Exception error) when (error is LibvirtException or TimeoutException)
        {
            _log.LogError(error, "The file systems of {Machine} could not be thawed by the guest agent", member.Name);
            member.Reason = $"the guest agent did not thaw: {error.Message}";
        }
    }
}
