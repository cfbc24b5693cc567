using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Owned;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>Finds machines, copies, planned machines and checkpoints, and reads what they are made of. Touches nothing. Errors are <see cref="Model.WeaveException"/>s.</summary>
internal sealed class MachineReader(ICimClient client, HyperVOptions options)
{
    private const string Realized = "Microsoft:Hyper-V:System:Realized", Planned = "Microsoft:Hyper-V:System:Planned";

    /// <summary>
    /// The machine of a reference: one of a user's by Hyper-V's id, or a copy of ours by its mark. Null where there is none, or where its name or UUID is another.
    /// </summary>
    public async Task<HostMachine?> FindAsync(MachineRef machine, CancellationToken stop)
    {
        if (await FindAsync(machine.Uuid, stop) is { Mark: not { Kind: MarkKind.Copy } } users) return users;
        return (await WhereAsync(Wql.From(VirtualSystemSettingData.ClassName).Where(VirtualSystemSettingData.VirtualSystemType, Realized).Where(VirtualSystemSettingData.ElementName, machine.HypervisorName), stop))
            .FirstOrDefault(m => OwnedMark.Is(m.Mark, MarkKind.Copy, options) && m.Uuid == machine.Uuid);
    }

    /// <summary>The machine with this id of Hyper-V's; null where there is none.</summary>
    public async Task<HostMachine?> FindAsync(Guid id, CancellationToken stop) =>
        (await WhereAsync(Wql.From(VirtualSystemSettingData.ClassName).Where(VirtualSystemSettingData.VirtualSystemIdentifier, Name(id)).Where(VirtualSystemSettingData.VirtualSystemType, Realized), stop)).FirstOrDefault();

    /// <summary>All machines of the host, in no order. Names need not be unique.</summary>
    public Task<IReadOnlyList<HostMachine>> ListAsync(CancellationToken stop) => WhereAsync(Wql.From(VirtualSystemSettingData.ClassName).Where(VirtualSystemSettingData.VirtualSystemType, Realized), stop);

    /// <summary>All machines that are being imported, also those of imports that died.</summary>
    public Task<IReadOnlyList<HostMachine>> ListPlannedAsync(CancellationToken stop) => WhereAsync(Wql.From(VirtualSystemSettingData.ClassName).Where(VirtualSystemSettingData.VirtualSystemType, Planned), stop);

    /// <summary>What a machine, or a checkpoint, is made of.</summary>
    /// <param name="settings">Its Msvm_VirtualSystemSettingData.</param>
    public async Task<MachineParts> ReadAsync(CimObject settings, CancellationToken stop) =>
        new(await HyperVFaults.AskAsync(() => client.AssociatorsAsync(settings.Reference, VirtualSystemSettingDataComponent.ClassName, null, null, null, stop), $"Reading the settings of '{settings.Get(VirtualSystemSettingData.ElementName)}'"));

    /// <summary>The settings of a machine's checkpoints, oldest first.</summary>
    public async Task<IReadOnlyList<CimObject>> CheckpointsAsync(HostMachine machine, CancellationToken stop) =>
        [.. (await HyperVFaults.AskAsync(() => client.AssociatorsAsync(machine.System, SnapshotOfVirtualSystem.ClassName, VirtualSystemSettingData.ClassName, null, null, stop), $"Reading the checkpoints of '{machine.Name}'"))
            .OrderBy(c => c.Find(VirtualSystemSettingData.CreationTime)?.ToString(), StringComparer.Ordinal)];

    /// <summary>An id as Hyper-V writes it in names.</summary>
    public static string Name(Guid id) => id.ToString("D").ToUpperInvariant();

    private Task<IReadOnlyList<HostMachine>> WhereAsync(Wql query, CancellationToken stop) => HyperVFaults.AskAsync<IReadOnlyList<HostMachine>>(async () =>
    {
        var found = new List<HostMachine>();
        foreach (var settings in await client.QueryAsync(HostNamespaces.Virtualization, query.ToString(), stop))
        {
            if (!Guid.TryParse(settings.Get(VirtualSystemSettingData.VirtualSystemIdentifier), out var id)) continue;
            // A machine that is removed meanwhile is not there.
            var planned = settings.Get(VirtualSystemSettingData.VirtualSystemType) == Planned;
            var system = (await client.QueryAsync(HostNamespaces.Virtualization, Wql.From(planned ? PlannedComputerSystem.ClassName : ComputerSystem.ClassName).Where(ComputerSystem.Name, Name(id)).ToString(), stop)).FirstOrDefault();
            if (system is not null) found.Add(new(id, system.Reference, settings, system.Find(ComputerSystem.EnabledState) ?? MachineStates.Off, planned));
        }
        return found;
    }, "Looking for machines");
}
