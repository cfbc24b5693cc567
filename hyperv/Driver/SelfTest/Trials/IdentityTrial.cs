using WeaveHypervisor.HyperV.Capturing;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.SelfTest.Trials;

/// <summary>What a copy has in common with its machine, or can be given.</summary>
internal sealed class IdentityTrial : IHostTrial
{
    private static readonly CimProperty<string>[] Numbers =
        [VirtualSystemSettingData.BIOSGUID, VirtualSystemSettingData.BIOSSerialNumber, VirtualSystemSettingData.ChassisSerialNumber, VirtualSystemSettingData.BaseBoardSerialNumber];

    public string Name => "identity";

    public async Task AskAsync(TrialRun run, CancellationToken stop)
    {
        var things = run.Things;
        var keeps = await run.AskAsync(this, "an import under a new id keeps the BIOS GUID and serial numbers", async () =>
        {
            var (own, _, imported) = await ImportAsync(run, stop);
            var changed = Changed(own, imported);
            return Seen.If(changed.Count == 0, "all four are the machine's", $"changed: {string.Join(", ", changed)}");
        }, stop);
        run.Found = run.Found with { KeepsIdentity = keeps };
        const string puttingBack = "they can be put back on an import";
        if (keeps) run.Skip(this, puttingBack, "they do not change");
        else
            await run.AskAsync(this, puttingBack, async () =>
            {
                var (own, planned, imported) = await ImportAsync(run, stop);
                await things.ChangeAsync(imported, s => Numbers.Aggregate(s, (all, n) => all.With(n, own.Get(n))), stop);
                var changed = Changed(own, await things.SettingsAsync(planned, stop));
                return Seen.If(changed.Count == 0, "all four are the machine's again", $"still changed: {string.Join(", ", changed)}");
            }, stop);
        await run.AskAsync(this, "an import keeps the MAC", async () =>
        {
            var (own, _, imported) = await ImportAsync(run, stop);
            var (mac, other) = (await MacAsync(things, own, stop), await MacAsync(things, imported, stop));
            return Seen.If(mac == other, $"it is {mac}", $"{mac} became {other}");
        }, stop);
        await run.AskAsync(this, "a layer can be given the disk id of its parent", async () =>
        {
            var (parent, layer) = (things.Fresh("disk") + ".vhdx", things.Fresh("layer") + ".vhdx");
            await run.Context.Files.CreateFolderAsync(HostPath.Folder(parent), stop);
            await things.CreateDiskAsync(parent, null, stop);
            await things.CreateDiskAsync(layer, parent, stop);
            var id = (await things.ReadDiskAsync(parent, stop)).Get(VirtualHardDiskSettingData.VirtualDiskId);
            await things.OnImagesAsync(ImageManagementService.SetVirtualHardDiskSettingData(new CimObject(VirtualHardDiskSettingData.ClassName).With(VirtualHardDiskSettingData.Path, layer).With(VirtualHardDiskSettingData.VirtualDiskId, id)), stop);
            var now = (await things.ReadDiskAsync(layer, stop)).Get(VirtualHardDiskSettingData.VirtualDiskId);
            return Seen.If(string.Equals(id, now, StringComparison.OrdinalIgnoreCase), $"it is {id}", $"it is {now}, not {id}");
        }, stop);
    }

    private static async Task<(CimObject Own, CimPath Planned, CimObject Imported)> ImportAsync(TrialRun run, CancellationToken stop)
    {
        var machine = await run.Things.MachineAsync(stop);
        var point = await run.Copies.ExportAsync(machine, run.Things.Fresh("point"), ExportSettings.NoSnapshots, null, stop);
        var (planned, imported) = await run.Copies.ImportAsync(point, stop);
        return (await run.Things.SettingsAsync(machine.System, stop), planned, imported);
    }

    private static IReadOnlyList<string> Changed(CimObject own, CimObject imported) => [.. Numbers.Where(n => own.Get(n) != imported.Get(n)).Select(n => n.Name)];

    private static async Task<string?> MacAsync(TrialThings things, CimObject settings, CancellationToken stop) =>
        (await things.PartsAsync(settings, SyntheticEthernetPortSettingData.ClassName, stop))[0].Get(SyntheticEthernetPortSettingData.Address);
}
