using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Passes every call on; tests derive from it to listen, or to have a host answer otherwise.</summary>
internal class PassingClient(ICimClient inner) : ICimClient
{
    public virtual Task<CimObject> GetAsync(CimPath path, CancellationToken stop) => inner.GetAsync(path, stop);
    public virtual Task<IReadOnlyList<CimObject>> QueryAsync(string @namespace, string wql, CancellationToken stop) => inner.QueryAsync(@namespace, wql, stop);
    public virtual Task<IReadOnlyList<CimObject>> AssociatorsAsync(CimPath path, string? associationClass, string? resultClass, string? role, string? resultRole, CancellationToken stop) => inner.AssociatorsAsync(path, associationClass, resultClass, role, resultRole, stop);
    public virtual Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop) => inner.InvokeAsync(target, call, stop);
    public virtual Task<CimObject> CreateAsync(string @namespace, CimObject instance, CancellationToken stop) => inner.CreateAsync(@namespace, instance, stop);
    public virtual Task DeleteAsync(CimPath path, CancellationToken stop) => inner.DeleteAsync(path, stop);
    public ValueTask DisposeAsync() => inner.DisposeAsync();
}

/// <summary>A host whose every start of a saved machine calls itself a boot (job type 12), as if it had thrown the memory away.</summary>
internal sealed class BootingClient(ICimClient inner) : PassingClient(inner)
{
    public override async Task<CimObject> GetAsync(CimPath path, CancellationToken stop) =>
        await base.GetAsync(path, stop) is var seen && seen.Find(ConcreteJob.JobType) == 15 ? seen.With(ConcreteJob.JobType, (ushort)12) : seen;
}

/// <summary>A host that sees, before each call of one method, what a test does then.</summary>
internal sealed class WatchedClient(ICimClient inner, string method, Func<CimCall, Task> before) : PassingClient(inner)
{
    public override async Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop)
    {
        if (call.Method == method || method.Length == 0) await before(call);
        return await base.InvokeAsync(target, call, stop);
    }
}
