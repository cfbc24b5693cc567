using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>Hyper-V's names of kinds of virtual hardware (ResourceSubType) and of machines (VirtualSystemSubType).</summary>
internal static class HardwareKinds
{
    public const string HardDisk = "Microsoft:Hyper-V:Virtual Hard Disk", DiskDrive = "Microsoft:Hyper-V:Synthetic Disk Drive", PhysicalDisk = "Microsoft:Hyper-V:Physical Disk Drive",
        Ide = "Microsoft:Hyper-V:Emulated IDE Controller", Scsi = "Microsoft:Hyper-V:Synthetic SCSI Controller", Adapter = "Microsoft:Hyper-V:Synthetic Ethernet Port", Connection = "Microsoft:Hyper-V:Ethernet Connection";

    public const string FirstGeneration = "Microsoft:Hyper-V:SubType:1", SecondGeneration = "Microsoft:Hyper-V:SubType:2";

    /// <summary>The settings that new hardware of a kind begins with, as the host has them; null where it has none. Errors are <see cref="CimException"/>s.</summary>
    public static async Task<CimObject?> TemplateAsync(ICimClient client, string className, string kind, CancellationToken stop) =>
        (await client.QueryAsync(HostNamespaces.Virtualization, Wql.From(className).Where(ResourceAllocationSettingData.ResourceSubType, kind).WhereEnds(ResourceAllocationSettingData.InstanceID, @"\Default").ToString(), stop)).FirstOrDefault();
}
