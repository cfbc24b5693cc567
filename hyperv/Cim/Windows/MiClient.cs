using System.Runtime.Versioning;
using Microsoft.Management.Infrastructure;
using Microsoft.Management.Infrastructure.Options;
using Mi = Microsoft.Management.Infrastructure;

namespace WeaveHypervisor.HyperV.Cim.Windows;

/// <summary>
/// The CIM server of this host, by the Management Infrastructure over DCOM (which needs no WinRM). Conversions only: what cannot be tried without Windows is in this folder and nowhere else.
/// </summary>
[SupportedOSPlatform("windows")]
public sealed class MiClient : ICimClient
{
    private const string Language = "WQL";
    private readonly CimSession _session;

    /// <summary>Opens a session; it is used from many threads and lives as long as the client.</summary>
    public MiClient() => _session = Try(() => CimSession.Create(null, new DComSessionOptions { Impersonation = ImpersonationType.Impersonate, PacketPrivacy = true }));

    public Task<CimObject> GetAsync(CimPath path, CancellationToken stop) =>
        Run(options => MiValues.ToObject(_session.GetInstance(path.Namespace, MiValues.ToInstance(path), options), path.Namespace), stop);

    public Task<IReadOnlyList<CimObject>> QueryAsync(string @namespace, string wql, CancellationToken stop) =>
        Run(options => All(_session.QueryInstances(@namespace, Language, wql, options), @namespace), stop);

    public Task<IReadOnlyList<CimObject>> AssociatorsAsync(CimPath path, string? associationClass, string? resultClass, string? role, string? resultRole, CancellationToken stop) =>
        Run(options => All(_session.EnumerateAssociatedInstances(path.Namespace, MiValues.ToInstance(path), associationClass, resultClass, role, resultRole, options), path.Namespace), stop);

    public Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop) => Run(options =>
    {
        using var arguments = new CimMethodParametersCollection();
        foreach (var (name, value) in call.Arguments) arguments.Add(CimMethodParameter.Create(name, MiValues.ToMi(value), MiValues.TypeOf(value), CimFlags.In));
        using var result = target.IsClass
            ? _session.InvokeMethod(target.Namespace, target.ClassName, call.Method, arguments, options)
            : _session.InvokeMethod(target.Namespace, MiValues.ToInstance(target), call.Method, arguments, options);
        var outs = result.OutParameters.Where(p => p.Value is not null).ToDictionary(p => p.Name, p => MiValues.FromMi(p.Value, p.CimType, target.Namespace), StringComparer.OrdinalIgnoreCase);
        return new CimAnswer(Convert.ToUInt32(result.ReturnValue?.Value ?? 0u, System.Globalization.CultureInfo.InvariantCulture), outs);
    }, stop);

    public Task<CimObject> CreateAsync(string @namespace, CimObject instance, CancellationToken stop) =>
        Run(options => MiValues.ToObject(_session.CreateInstance(@namespace, MiValues.ToInstance(instance, @namespace), options), @namespace), stop);

    public Task DeleteAsync(CimPath path, CancellationToken stop) => Run(options =>
    {
        _session.DeleteInstance(path.Namespace, MiValues.ToInstance(path), options);
        return true;
    }, stop);

    public ValueTask DisposeAsync()
    {
        _session.Dispose();
        return ValueTask.CompletedTask;
    }

    private static IReadOnlyList<CimObject> All(IEnumerable<CimInstance> instances, string @namespace) => [.. instances.Select(i => MiValues.ToObject(i, @namespace))];

    private static Task<T> Run<T>(Func<CimOperationOptions, T> call, CancellationToken stop) => Task.Run(() => Try(() =>
    {
        using var options = new CimOperationOptions { CancellationToken = stop };
        var answer = call(options);
        stop.ThrowIfCancellationRequested();
        return answer;
    }), stop);

    private static T Try<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Mi.CimException e)
        {
            // MI_Result has the numbers of DSP0200. The Windows error is in the error's instance, or only in its text.
            var data = e.ErrorData?.CimInstanceProperties["error_Code"]?.Value as uint?;
            throw new CimException((CimStatus)e.NativeErrorCode, e.Message, data is >= 0x80000000 ? data : HostErrors.FindWindowsError(e.Message), e);
        }
    }
}
