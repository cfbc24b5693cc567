using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator.Cim;

/// <summary>
/// Reads settings that are embedded in string parameters, strictly by the schema: the class must be the declared one or below it, every property one of its own, of exactly its type. 32773 otherwise.
/// </summary>
internal sealed class SettingsReader(CimSchema schema)
{
    public CimObject Read(string text, string declared)
    {
        CimObject settings;
        try
        {
            settings = EmbeddedInstance.Read(text);
        }
        catch (FormatException e)
        {
            throw new Refusal(Refusal.InvalidParameter, e.Message);
        }
        var type = schema.Find(settings.ClassName) ?? throw new Refusal(Refusal.InvalidParameter, $"There is no class {settings.ClassName}.");
        if (!type.Is(declared)) throw new Refusal(Refusal.InvalidParameter, $"{settings.ClassName} is no {declared}.");
        foreach (var (name, value) in settings.Properties)
        {
            if (!type.Properties.TryGetValue(name, out var member)) throw new Refusal(Refusal.InvalidParameter, $"{type.Name} has no property {name}.");
            if (!member.Takes(value))
                throw new Refusal(Refusal.InvalidParameter, $"{type.Name}.{name} is {CimValue.Describe(member.Kind, member.IsArray)}, not {CimValue.Describe(value.Kind, value.IsArray)}.");
        }
        // Property names as the schema spells them.
        return new(type.Name, null, settings.Properties.Select(p => new KeyValuePair<string, CimValue?>(type.Properties.Keys.First(k => k.Equals(p.Key, StringComparison.OrdinalIgnoreCase)), p.Value)));
    }
}

/// <summary>A call of a method that the schema has, with arguments that it has, as the method's code reads it.</summary>
internal sealed class MethodCall(CimPath target, CimMethod method, CimCall call, SettingsReader reader, CallFault? fault)
{
    public CimPath Target => target;
    public string Name => method.Name;

    /// <summary>What is to go wrong with its job.</summary>
    public CallFault? Fault => fault;

    public string? Text(string name) => Value(name)?.As<string>() is { Length: > 0 } text ? text : null;
    public bool? Truth(string name) => Value(name)?.As<bool>();
    public ushort? Number(string name) => Value(name)?.As<ushort>();
    public ulong? Long(string name) => Value(name)?.As<ulong>();
    public T? Value<T>(string name) where T : struct => Value(name)?.As<T>();
    public CimPath? Path(string name) => Value(name)?.As<CimPath>();
    public IReadOnlyList<CimPath> Paths(string name) => Value(name)?.As<CimPath[]>() ?? [];

    public string NeedText(string name) => Text(name) ?? throw Missing(name);
    public CimPath NeedPath(string name) => Path(name) ?? throw Missing(name);

    /// <summary>Settings given as text; none, or an empty text, is refused.</summary>
    public CimObject NeedSettings(string name) => reader.Read(NeedText(name), Declared(name));
    public IReadOnlyList<CimObject> AllSettings(string name, string? declared = null) => [.. (Value(name)?.As<string[]>() ?? []).Select(t => reader.Read(t, declared ?? Declared(name)))];

    private string Declared(string name) => method.In[name].Embedded ?? "CIM_ManagedElement";

    private CimValue? Value(string name) => method.In.ContainsKey(name) ? call.Arguments.GetValueOrDefault(name) : throw new InvalidOperationException($"The schema has no parameter {name} of {method.Name}.");

    private static Refusal Missing(string name) => new(Refusal.InvalidParameter, $"{name} is missing.");
}
