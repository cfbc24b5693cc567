using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator.Cim;

/// <summary>
/// The CIM server of a simulated host: checks every call by the schema before anything else sees it, and answers what a host does. Unknown namespace 3, class 5, object 6, method 17, parameter or type 4.
/// </summary>
internal sealed class SimulatedClient(SimulatedHost host) : ICimClient
{
    public Task<CimObject> GetAsync(CimPath path, CancellationToken stop) => Run("Get", _ =>
    {
        CheckKeys(path, Class(path.Namespace, path.ClassName));
        return Find(path);
    }, stop);

    public Task<IReadOnlyList<CimObject>> QueryAsync(string @namespace, string wql, CancellationToken stop) => Run<IReadOnlyList<CimObject>>("Query", _ =>
    {
        var query = WqlReader.Read(wql);
        var type = Class(@namespace, query.ClassName);
        if (query.Properties.FirstOrDefault(p => !type.Properties.ContainsKey(p)) is { } unknown) throw new CimException(CimStatus.InvalidQuery, $"{type.Name} has no property {unknown}.", 0x80041017);
        return [.. Visible(type.Namespace, c => host.Schema.Find(c)!.Is(type.Name)).Where(query.Matches)];
    }, stop);

    public Task<IReadOnlyList<CimObject>> AssociatorsAsync(CimPath path, string? associationClass, string? resultClass, string? role, string? resultRole, CancellationToken stop) => Run<IReadOnlyList<CimObject>>("Associators", fault =>
    {
        CheckKeys(path, Class(path.Namespace, path.ClassName));
        if (associationClass is not null && !Class(path.Namespace, associationClass).IsAssociation) throw new CimException(CimStatus.InvalidParameter, $"{associationClass} is no association.");
        if (resultClass is not null) _ = Class(path.Namespace, resultClass);
        Find(path);
        var found = new HashSet<CimPath>();
        foreach (var link in host.Catalogue.Links().Where(l => associationClass is null || host.Schema.Find(l.Class)!.Is(associationClass)))
        {
            if (link.Left.Equals(path) && Fits(role, link.LeftRole) && Fits(resultRole, link.RightRole)) found.Add(link.Right);
            if (link.Right.Equals(path) && Fits(role, link.RightRole) && Fits(resultRole, link.LeftRole)) found.Add(link.Left);
        }
        var classes = found.Select(f => f.ClassName).Where(c => resultClass is null || host.Schema.Find(c)!.Is(resultClass)).ToHashSet(StringComparer.OrdinalIgnoreCase);
        return [.. Visible(path.Namespace, classes.Contains).Where(o => found.Contains(o.Reference))];
    }, stop);

    public Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop) => Run(call.Method, fault =>
    {
        var type = Class(target.Namespace, target.ClassName);
        if (!type.Methods.TryGetValue(call.Method, out var method)) throw new CimException(CimStatus.MethodNotFound, $"{type.Name} has no method {call.Method}.");
        foreach (var (name, value) in call.Arguments)
        {
            if (!method.In.TryGetValue(name, out var member)) throw new CimException(CimStatus.InvalidParameter, $"{type.Name}.{method.Name} has no parameter {name}.", 0x80041008);
            if (!member.Takes(value))
                throw new CimException(CimStatus.InvalidParameter, $"{name} of {type.Name}.{method.Name} is {member}, not {CimValue.Describe(value.Kind, value.IsArray)}.", 0x80041005);
            foreach (var reference in value.Kind == CimKind.Reference ? value.Elements.Cast<CimPath>() : []) CheckReference(reference, member, name);
        }
        if (!target.IsClass)
        {
            CheckKeys(target, type);
            Find(target, evenWithoutRights: true);
        }
        return host.Methods.Invoke(new MethodCall(target, method, call, host.Settings, fault), type);
    }, stop);

    public Task<CimObject> CreateAsync(string @namespace, CimObject instance, CancellationToken stop) => Run("Create", _ =>
    {
        var type = Class(@namespace, instance.ClassName);
        foreach (var (name, value) in instance.Properties)
            if (!type.Properties.TryGetValue(name, out var member) || !member.Takes(value)) throw new CimException(CimStatus.InvalidParameter, $"{type.Name}.{name} cannot be {value}.");
        return host.Network.Create(instance);
    }, stop);

    public Task DeleteAsync(CimPath path, CancellationToken stop) => Run("Delete", _ =>
    {
        CheckKeys(path, Class(path.Namespace, path.ClassName));
        Find(path);
        host.Network.Delete(path);
        return true;
    }, stop);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task<T> Run<T>(string name, Func<CallFault?, T> body, CancellationToken stop)
    {
        var fault = host.Faults.Count(name);
        if (fault == CallFault.Hangs) await Task.Delay(Timeout.InfiniteTimeSpan, host.Clock, stop);
        stop.ThrowIfCancellationRequested();
        lock (host.Gate)
        {
            if (host.IsDown || fault == CallFault.LostBefore) throw SimulatedFaults.LostBefore;
            host.Advance();
            if (fault == CallFault.RefusedBefore) throw SimulatedFaults.Refused;
            var answer = body(fault);
            if (fault == CallFault.RestartAfter) host.RestartService(host.Options.JobTime);
            return fault is CallFault.LostAfter or CallFault.RestartAfter ? throw SimulatedFaults.LostAfter : answer;
        }
    }

    private CimClass Class(string @namespace, string className)
    {
        var known = @namespace.Equals(HostNamespaces.Virtualization, StringComparison.OrdinalIgnoreCase) ? host.Options.HasRole
            : @namespace.Equals(HostNamespaces.Standard, StringComparison.OrdinalIgnoreCase) || @namespace.Equals(HostNamespaces.Windows, StringComparison.OrdinalIgnoreCase);
        if (!known) throw new CimException(CimStatus.InvalidNamespace, $"There is no namespace {@namespace}.", 0x8004100E);
        var type = host.Schema.Find(className);
        if (type is null || !type.Namespace.Equals(@namespace, StringComparison.OrdinalIgnoreCase) || (!host.Options.HasNat && type.Name.StartsWith("MSFT_NetNat", StringComparison.Ordinal)))
            throw new CimException(CimStatus.InvalidClass, $"There is no class {className} in {@namespace}.", 0x80041010);
        return type;
    }

    private static void CheckKeys(CimPath path, CimClass type)
    {
        if (path.Keys.Count != type.Keys.Count || path.Keys.Any(k => !type.Keys.Contains(k.Key, StringComparer.OrdinalIgnoreCase)))
            throw new CimException(CimStatus.InvalidParameter, $"'{path}' does not have the keys of {type.Name} ({string.Join(", ", type.Keys)}).", 0x8004103A);
    }

    private void CheckReference(CimPath reference, CimMember member, string parameter)
    {
        var type = Class(reference.Namespace.Length > 0 ? reference.Namespace : HostNamespaces.Virtualization, reference.ClassName);
        // Planned machines are given where pages name the class of realized ones.
        if (member.Class is not null && host.Schema.Find(member.Class) is not null && !type.Is(member.Class) && !(type.Is("CIM_ComputerSystem") && member.Class == "Msvm_ComputerSystem"))
            throw new CimException(CimStatus.InvalidParameter, $"{parameter} refers to {member.Class}, not to {type.Name}.", 0x80041005);
        CheckKeys(reference, type);
    }

    private CimObject Find(CimPath path, bool evenWithoutRights = false) =>
        (evenWithoutRights ? host.Catalogue.Objects(IsOf(path)) : Visible(path.Namespace, IsOf(path))).FirstOrDefault(o => o.Reference.Equals(path)) ?? throw new CimException(CimStatus.NotFound, $"There is no {path}.", 0x80041002);

    private static Func<string, bool> IsOf(CimPath path) => c => c.Equals(path.ClassName, StringComparison.OrdinalIgnoreCase);

    private IEnumerable<CimObject> Visible(string @namespace, Func<string, bool> wants) =>
        host.Catalogue.Objects(wants).Where(o => o.Reference.Namespace.Equals(@namespace, StringComparison.OrdinalIgnoreCase) && (host.Options.HasRights || o.Reference.Namespace.Equals(HostNamespaces.Windows, StringComparison.OrdinalIgnoreCase)));

    private static bool Fits(string? wanted, string role) => wanted is null || wanted.Equals(role, StringComparison.OrdinalIgnoreCase);
}
