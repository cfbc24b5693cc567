using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Power;

/// <summary>Volumes that come to and leave machines: in the running machine, and in its stored definition where it has one.</summary>
internal sealed class VolumePlugger(DriverContext context)
{
    public async Task AttachAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop)
    {
        using var domain = await context.Host.GetDomainAsync(machine, stop);
        await context.Host.CallAsync($"attach '{volume.Target}' to '{machine.HypervisorName}'", async _ =>
        {
            var paths = DiskCut.Paths(DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop)));
            if (paths.TryGetValue(volume.Target, out var there))
            {
                if (there == volume.Layer.Path) return;
                throw new WeaveException(Fault.Conflict, $"Machine '{machine.HypervisorName}' has another disk at '{volume.Target}'.", "Choose another target.");
            }
            var disk = new XElement("disk", new XAttribute("type", "file"), new XAttribute("device", "disk"),
                new XElement("driver", new XAttribute("name", "qemu"), new XAttribute("type", Qcow2OverlayWriter.NameOf(volume.Layer.Format))),
                new XElement("source", new XAttribute("file", volume.Layer.Path)),
                new XElement("target", new XAttribute("dev", volume.Target), new XAttribute("bus", "virtio")));
            await domain.AttachDeviceAsync(disk.ToString(SaveOptions.DisableFormatting), await WhereAsync(domain, stop), stop);
        }, stop);
    }

    public async Task DetachAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop)
    {
        using var domain = await context.Host.GetDomainAsync(machine, stop);
        await context.Host.CallAsync($"detach '{target}' from '{machine.HypervisorName}'", async _ =>
        {
            var end = context.Clock.GetUtcNow() + patience;
            var again = DateTimeOffset.MinValue;
            while (await FindAsync(domain, target, stop) is { } disk)
            {
                var now = context.Clock.GetUtcNow();
                if (now >= end) throw new WeaveException(Fault.Busy, $"The guest of '{machine.HypervisorName}' did not let go of '{target}' within {patience.TotalSeconds:0} s; it is still attached.", "Unmount it in the guest, then try again.");
                if (now >= again)
                {
                    await domain.DetachDeviceAsync(disk.ToString(SaveOptions.DisableFormatting), await WhereAsync(domain, stop), stop);
                    again = now + TimeSpan.FromSeconds(5);
                }
                else await Task.Delay(TimeSpan.FromMilliseconds(50), context.Clock, stop);
            }
        }, stop);
    }

    private static async Task<XElement?> FindAsync(LibvirtDomain domain, string target, CancellationToken stop) => DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop))
        .Root?.Element("devices")?.Elements("disk").FirstOrDefault(d => (string?)d.Element("target")?.Attribute("dev") == target);

    private static async Task<DomainDeviceModifyFlags> WhereAsync(LibvirtDomain domain, CancellationToken stop) =>
        (await domain.IsActiveAsync(stop) ? DomainDeviceModifyFlags.Live : 0) | (await domain.IsPersistentAsync(stop) ? DomainDeviceModifyFlags.Config : 0);
}
