using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Jobs;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator.Cim;

/// <summary>What a method answers: done with these out parameters, or a job.</summary>
internal sealed record MethodReply(SimulatedJob? Job, IReadOnlyList<(string Name, object? Value)> Outs)
{
    public static MethodReply Done(params IReadOnlyList<(string Name, object? Value)> outs) => new(null, outs);
    public static MethodReply Of(SimulatedJob job, params IReadOnlyList<(string Name, object? Value)> outs) => new(job, outs);
}

/// <summary>The methods of a simulated host. A method that the schema has and this table has not answers 32770, not supported.</summary>
internal sealed class MethodTable
{
    private readonly SimulatedHost _host;
    private readonly Dictionary<(string Class, string Method), Func<MethodCall, MethodReply>> _methods;

    public MethodTable(SimulatedHost host)
    {
        _host = host;
        const string vms = VirtualSystemManagementService.ClassName, sns = VirtualSystemSnapshotService.ClassName, ims = ImageManagementService.ClassName, sws = VirtualEthernetSwitchManagementService.ClassName, rps = VirtualSystemReferencePointService.ClassName;
        _methods = new()
        {
            [(ComputerSystem.ClassName, "RequestStateChange")] = host.RequestStateChange,
            [(ShutdownComponent.ClassName, "InitiateShutdown")] = host.InitiateShutdown,
            [(vms, "DefineSystem")] = host.DefineSystem,
            [(vms, "DestroySystem")] = host.DestroySystem,
            [(vms, "ModifySystemSettings")] = host.ModifySystemSettings,
            [(vms, "AddResourceSettings")] = host.AddResourceSettings,
            [(vms, "ModifyResourceSettings")] = host.ModifyResourceSettings,
            [(vms, "RemoveResourceSettings")] = host.RemoveResourceSettings,
            [(vms, "AddFeatureSettings")] = host.AddFeatureSettings,
            [(vms, "ModifyFeatureSettings")] = host.ModifyFeatureSettings,
            [(vms, "RemoveFeatureSettings")] = host.RemoveFeatureSettings,
            [(vms, "ModifyDiskMergeSettings")] = host.ModifyDiskMergeSettings,
            [(vms, "ExportSystemDefinition")] = host.ExportSystemDefinition,
            [(vms, "ImportSystemDefinition")] = host.ImportSystemDefinition,
            [(vms, "ValidatePlannedSystem")] = host.ValidatePlannedSystem,
            [(vms, "RealizePlannedSystem")] = host.RealizePlannedSystem,
            [(sns, "CreateSnapshot")] = host.CreateSnapshot,
            [(sns, "ApplySnapshot")] = host.ApplySnapshot,
            [(sns, "DestroySnapshot")] = host.DestroySnapshot,
            [(sns, "DestroySnapshotTree")] = host.DestroySnapshotTree,
            [(sns, "ConvertToReferencePoint")] = host.ConvertToReferencePoint,
            [(rps, "DestroyReferencePoint")] = host.DestroyReferencePoint,
            [(ims, "CreateVirtualHardDisk")] = host.CreateVirtualHardDisk,
            [(ims, "GetVirtualHardDiskSettingData")] = host.GetVirtualHardDiskSettingData,
            [(ims, "GetVirtualHardDiskState")] = host.GetVirtualHardDiskState,
            [(ims, "SetVirtualHardDiskSettingData")] = host.SetVirtualHardDiskSettingData,
            [(ims, "ValidateVirtualHardDisk")] = host.ValidateVirtualHardDisk,
            [(ims, "ResizeVirtualHardDisk")] = host.ResizeVirtualHardDisk,
            [(ims, "MergeVirtualHardDisk")] = host.MergeVirtualHardDisk,
            [(ims, "ConvertVirtualHardDisk")] = host.ConvertVirtualHardDisk,
            [(ims, "SetParentVirtualHardDisk")] = host.SetParentVirtualHardDisk,
            [(ims, "GetVirtualDiskChanges")] = host.GetVirtualDiskChanges,
            [(sws, "DefineSystem")] = host.Network.DefineSwitch,
            [(sws, "DestroySystem")] = host.Network.DestroySwitch,
            [(sws, "ModifySystemSettings")] = host.Network.ModifySwitch,
            [("MSFT_NetIPAddress", "Create")] = host.Network.CreateAddress,
        };
    }

    public CimAnswer Invoke(MethodCall call, CimClass type)
    {
        try
        {
            if (!_host.Options.HasRights) throw new Refusal(Refusal.AccessDenied);
            if (type.Is("CIM_ConcreteJob")) return OfJob(call);
            var reply = _methods.TryGetValue((type.Name, call.Name), out var method) ? method(call) : throw new Refusal(Refusal.NotSupported);
            var outs = reply.Job is null ? reply.Outs : [.. reply.Outs, ("Job", _host.PathOf(reply.Job))];
            if (reply.Job is null && call.Fault is CallFault.JobFails or CallFault.JobHangs) throw SimulatedFaults.Refused;
            return new(reply.Job is null ? 0u : 4096u, outs.Where(o => o.Value is not null).ToDictionary(o => o.Name, o => CimValue.Of(o.Value!), StringComparer.OrdinalIgnoreCase));
        }
        catch (Refusal e)
        {
            return new(e.Code, new Dictionary<string, CimValue>());
        }
    }

    private CimAnswer OfJob(MethodCall call)
    {
        var job = _host.Jobs.Jobs.First(j => _host.PathOf(j).Equals(call.Target));
        return call.Name switch
        {
            "GetErrorEx" => new(0, new Dictionary<string, CimValue> { ["Errors"] = CimValue.Of(job.Messages.Select(Describe).ToArray()) }),
            "RequestStateChange" => new(_host.Jobs.RequestStateChange(job, call.Number("RequestedState")), new Dictionary<string, CimValue>()),
            _ => throw new Refusal(Refusal.NotSupported),
        };
    }

    private static string Describe(HostMessage message) => EmbeddedInstance.Write(new CimObject(Error.ClassName)
        .With(Error.MessageID, message.Id).With(Error.Message, message.Text).With(Error.ErrorSource, message.Source).With(Error.ErrorType, (ushort)4));
}
