using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Power;

/// <summary>
/// Volumes that come to and leave machines: in the running machine, and in its stored definition where it has one. The two are changed one after the other, each only where it is not as wanted
/// yet: a call that died between them can be made again.
/// </summary>
internal sealed class VolumePlugger(DriverContext context)
{
    /// <summary>QEMU takes a second request only after the guest did not answer the first for 5 s (QEMU 6.2 and later; before that at any time).</summary>
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(5);

    public async Task AttachAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop)
    {
        using var domain = await context.Host.GetDomainAsync(machine, stop);
        await context.Host.CallAsync($"attach '{volume.Target}' to '{machine.HypervisorName}'", async _ =>
        {
            var device = DeviceOf(volume);
            if (await domain.IsActiveAsync(stop) && IsMissing(machine, volume, await domain.GetXmlAsync(cancellationToken: stop)))
                await domain.AttachDeviceAsync(device, DomainDeviceModifyFlags.Live, stop);
            if (await domain.IsPersistentAsync(stop) && IsMissing(machine, volume, await domain.GetXmlAsync(DomainXmlFlags.Inactive | DomainXmlFlags.Secure, stop)))
                await domain.AttachDeviceAsync(device, DomainDeviceModifyFlags.Config, stop);
        }, stop);
    }

    public async Task DetachAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop)
    {
        using var domain = await context.Host.GetDomainAsync(machine, stop);
        await context.Host.CallAsync($"detach '{target}' from '{machine.HypervisorName}'", async _ =>
        {
            if (await domain.IsActiveAsync(stop)) await UnplugAsync(machine, domain, target, patience, stop);
            if (await domain.IsPersistentAsync(stop) && Find(await domain.GetXmlAsync(DomainXmlFlags.Inactive | DomainXmlFlags.Secure, stop), target) is { } stored)
                await domain.DetachDeviceAsync(stored.ToString(SaveOptions.DisableFormatting), DomainDeviceModifyFlags.Config, stop);
        }, stop);
    }

    private async Task UnplugAsync(MachineRef machine, LibvirtDomain domain, string target, TimeSpan patience, CancellationToken stop)
    {
        var end = context.Clock.GetUtcNow() + patience;
        var again = DateTimeOffset.MinValue;
        while (Find(await domain.GetXmlAsync(cancellationToken: stop), target) is { } disk)
        {
            var now = context.Clock.GetUtcNow();
            if (now >= end) throw new WeaveException(Fault.Busy, $"The guest of '{machine.HypervisorName}' did not let go of '{target}' within {patience.TotalSeconds:0} s; it is still attached.", "Unmount it in the guest, then try again.");
            if (now >= again)
            {
                try
                {
                    await domain.DetachDeviceAsync(disk.ToString(SaveOptions.DisableFormatting), DomainDeviceModifyFlags.Live, stop);
                }
                catch (LibvirtException e) when (again > DateTimeOffset.MinValue && e.Code is not (VirErrorCode.Rpc or VirErrorCode.NoDomain))
                {
                    // The first request is under way still (QEMU refuses a second), or the device went in this moment: the next look tells.
                }
                again = now + AskAgain;
            }
            else await Task.Delay(TimeSpan.FromMilliseconds(50), context.Clock, stop);
        }
    }

    /// <summary>False where that very file is there already; Conflict where another one is.</summary>
    private static bool IsMissing(MachineRef machine, AttachedVolume volume, string definition)
    {
        if (Find(definition, volume.Target) is not { } there) return true;
        if ((string?)there.Element("source")?.Attribute("file") == volume.Layer.Path) return false;
        throw new WeaveException(Fault.Conflict, $"Machine '{machine.HypervisorName}' has another disk at '{volume.Target}'.", "Choose another target.");
    }

    /// <summary>The device as the blueprint has it, on the volume's file; without one a plain virtio disk.</summary>
    internal static string DeviceOf(AttachedVolume volume)
    {
        XElement disk;
        if (volume.Blueprint is { } blueprint)
        {
            var document = DomainText.Parse(blueprint.Definition);
            DiskCut.Point(document, new Dictionary<string, LayerRef> { [volume.Target] = volume.Layer });
            disk = DiskCut.Find(document, volume.Target) ?? throw new WeaveException(Fault.DataLoss, $"The stored definition of '{blueprint.Name}' has no disk '{volume.Target}'.", "Use another snapshot.");
            disk.SetAttributeValue("type", "file");
            // What belongs to the run of a machine, not to its definition. An alias of the user's own ("ua-") is one.
            disk.Elements("backingStore").Remove();
            disk.Elements("mirror").Remove();
            disk.Element("source")!.SetAttributeValue("index", null);
            disk.Elements("alias").Where(a => ((string?)a.Attribute("name"))?.StartsWith("ua-", StringComparison.Ordinal) != true).Remove();
        }
        else
            disk = new XElement("disk", new XAttribute("type", "file"), new XAttribute("device", "disk"),
                new XElement("driver", new XAttribute("name", "qemu"), new XAttribute("type", Qcow2OverlayWriter.NameOf(volume.Layer.Format))),
                new XElement("source", new XAttribute("file", volume.Layer.Path)),
                new XElement("target", new XAttribute("dev", volume.Target), new XAttribute("bus", "virtio")));
        return disk.ToString(SaveOptions.DisableFormatting);
    }

    private static XElement? Find(string definition, string target) => DiskCut.Find(DomainText.Parse(definition), target);
}
