namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// All that is asked of the CIM server of one host. Implementations convert values and errors and know nothing of Hyper-V: every rule of it is above this seam, where tests run on any system.
/// Errors of all calls are <see cref="CimException"/>s; a cancelled call may have had its effect on the host. Safe for parallel calls.
/// </summary>
public interface ICimClient : IAsyncDisposable
{
    /// <summary>An object by its path. <see cref="CimStatus.NotFound"/> where there is none.</summary>
    Task<CimObject> GetAsync(CimPath path, CancellationToken stop);

    /// <summary>What a WQL query selects, with all properties. Where the caller lacks rights, Hyper-V answers nothing rather than an error.</summary>
    Task<IReadOnlyList<CimObject>> QueryAsync(string @namespace, string wql, CancellationToken stop);

    /// <summary>Objects that are associated to one. Classes take their derived ones in; null: any.</summary>
    Task<IReadOnlyList<CimObject>> AssociatorsAsync(CimPath path, string? associationClass, string? resultClass, string? role, string? resultRole, CancellationToken stop);

    /// <summary>Calls a method of an object, or a static one of a class (a path without keys). A return value other than 0 is no error here.</summary>
    Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop);

    /// <summary>Makes an object of a class that has no method for it (address translation); answers it with its keys.</summary>
    Task<CimObject> CreateAsync(string @namespace, CimObject instance, CancellationToken stop);

    /// <summary>Deletes an object. <see cref="CimStatus.NotFound"/> where there is none.</summary>
    Task DeleteAsync(CimPath path, CancellationToken stop);
}
