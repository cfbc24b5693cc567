using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator.Cim;

/// <summary>
/// The pools of a host and the template of each kind of resource: pool, its capabilities, and their default, minimum and maximum settings. They appear in plain enumerations of the settings' classes, as on a host.
/// </summary>
internal static class Templates
{
    private static readonly (string SubType, ushort Type, string Class, string Id)[] Kinds =
    [
        (ResourceNames.HardDisk, 31, StorageAllocationSettingData.ClassName, "70BB60D2-A9D3-46AA-B654-3DE53004B4F8"),
        (ResourceNames.Dvd, 31, StorageAllocationSettingData.ClassName, "70BB60D2-A9D3-46AA-B654-3DE53004B4F9"),
        (ResourceNames.DiskDrive, 17, ResourceAllocationSettingData.ClassName, "3A2AD6D3-0F7F-4B4D-A4F4-DD5B0F1C5E6F"),
        (ResourceNames.DvdDrive, 16, ResourceAllocationSettingData.ClassName, "118C3BE5-0D31-4804-85F0-5C6074ABEA8F"),
        (ResourceNames.Ide, 5, ResourceAllocationSettingData.ClassName, "83F8638B-8DCA-4152-9EDA-2CA8B33039B4"),
        (ResourceNames.Scsi, 6, ResourceAllocationSettingData.ClassName, "BF4C3B11-26F0-4D1A-A8D5-7DB0E1B8E8F4"),
        (ResourceNames.SyntheticNic, 10, SyntheticEthernetPortSettingData.ClassName, "1E3F0E4B-5D5C-4F0B-9F5D-2B2E0F6D2A9C"),
        (ResourceNames.EmulatedNic, 10, EmulatedEthernetPortSettingData.ClassName, "1E3F0E4B-5D5C-4F0B-9F5D-2B2E0F6D2A9D"),
        (ResourceNames.Connection, 33, EthernetPortAllocationSettingData.ClassName, "72027ECE-E44A-446E-AF2B-8D8C4B8A2279"),
        (ResourceNames.Memory, 4, MemorySettingData.ClassName, "4764334D-E001-4176-82EE-5594EC9B530E"),
        (ResourceNames.Processor, 3, ProcessorSettingData.ClassName, "B637F346-6A0E-4DEC-AF52-BD70CB80A21D"),
    ];

    private static readonly (string Name, ushort Role)[] Roles = [("Default", 0), ("Minimum", 1), ("Maximum", 2)];

    public static IEnumerable<CimObject> Objects()
    {
        foreach (var (subType, type, className, id) in Kinds)
        {
            yield return new CimObject(ResourcePool.ClassName).With(ResourcePool.InstanceID, "Microsoft:" + id).With(ResourcePool.ResourceSubType, subType).With(ResourcePool.ResourceType, type).With(ResourcePool.Primordial, true).With(ResourcePool.PoolID, "");
            yield return new CimObject(AllocationCapabilities.ClassName).With(AllocationCapabilities.InstanceID, "Microsoft:" + id).With(AllocationCapabilities.ResourceSubType, subType).With(AllocationCapabilities.ResourceType, type);
            foreach (var (role, _) in Roles) yield return Settings(className, Template(id, role), subType, type);
        }
    }

    public static IEnumerable<Link> Links(SimulatedHost host)
    {
        foreach (var (_, _, className, id) in Kinds)
        {
            var capabilities = host.PathOf(AllocationCapabilities.ClassName, HostNamespaces.Virtualization, ("InstanceID", "Microsoft:" + id));
            yield return new(ElementCapabilities.ClassName, "ManagedElement", host.PathOf(ResourcePool.ClassName, HostNamespaces.Virtualization, ("InstanceID", "Microsoft:" + id)), "Capabilities", capabilities);
            foreach (var (role, _) in Roles)
                yield return new(SettingsDefineCapabilities.ClassName, "GroupComponent", capabilities, "PartComponent", host.PathOf(className, HostNamespaces.Virtualization, ("InstanceID", Template(id, role))));
        }
    }

    /// <summary>The settings that a new resource of a kind begins with.</summary>
    public static CimObject Settings(string className, string instanceId, string subType, ushort type) => new CimObject(className)
        .With(ResourceAllocationSettingData.InstanceID, instanceId).With(ResourceAllocationSettingData.ResourceSubType, subType).With(ResourceAllocationSettingData.ResourceType, type)
        .With(ResourceAllocationSettingData.AutomaticAllocation, true).With(ResourceAllocationSettingData.AutomaticDeallocation, true).With(ResourceAllocationSettingData.PoolID, "");

    private static string Template(string id, string role) => $@"Microsoft:Definition\{id}\{role}";
}
