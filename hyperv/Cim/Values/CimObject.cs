using System.Collections.Immutable;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// An instance of a CIM class: what a host answers, or what is to be sent to it. Properties that have no value are not there; names are compared without case. Immutable.
/// </summary>
public sealed class CimObject
{
    private static readonly ImmutableSortedDictionary<string, CimValue> None = ImmutableSortedDictionary.Create<string, CimValue>(StringComparer.OrdinalIgnoreCase);
    private readonly ImmutableSortedDictionary<string, CimValue> _properties;

    private CimObject(string className, CimPath? path, ImmutableSortedDictionary<string, CimValue> properties) => (ClassName, Path, _properties) = (className, path, properties);

    /// <summary>An instance with these properties; nulls among them are left out.</summary>
    public CimObject(string className, CimPath? path = null, IEnumerable<KeyValuePair<string, CimValue?>>? properties = null)
        : this(className, path, None.AddRange((properties ?? []).Where(p => p.Value is not null).Select(p => new KeyValuePair<string, CimValue>(p.Key, p.Value!))))
    {
    }

    public string ClassName { get; }

    /// <summary>Null for an instance that is passed by value: one to be sent, or one embedded in a string.</summary>
    public CimPath? Path { get; }

    /// <summary>The path of an object that a host has answered; <see cref="InvalidOperationException"/> for one that has none.</summary>
    public CimPath Reference => Path ?? throw new InvalidOperationException($"This {ClassName} is passed by value and has no path.");

    /// <summary>In the order of their names.</summary>
    public IReadOnlyDictionary<string, CimValue> Properties => _properties;

    /// <summary>Null where the property has no value.</summary>
    public CimValue? this[string property] => _properties.GetValueOrDefault(property);

    /// <summary>A text, path or array of a property: null where it has no value.</summary>
    public T? Get<T>(CimProperty<T> property) where T : class => this[property.Name]?.As<T>();

    /// <summary>The number, truth or time of a property: null where it has no value.</summary>
    public T? Find<T>(CimProperty<T> property) where T : struct => this[property.Name]?.As<T>();

    /// <summary>The elements of an array: none where it has no value.</summary>
    public IReadOnlyList<T> List<T>(CimProperty<T[]> property) => this[property.Name]?.As<T[]>() ?? [];

    /// <summary>A copy with this value; without the property where it is null.</summary>
    public CimObject With<T>(CimProperty<T> property, T? value) where T : notnull => With(property.Name, value is null ? null : CimValue.Of(value));

    /// <summary>A copy with this value; without the property where it is null.</summary>
    public CimObject With(string property, CimValue? value) =>
        new(ClassName, Path, value is null ? _properties.Remove(property) : _properties.SetItem(property, value));

    public override string ToString() => Path?.ToString() ?? $"{ClassName} {{ {string.Join(", ", _properties.Select(p => $"{p.Key} = {p.Value}"))} }}";
}

/// <summary>The name of a property, or of a parameter, with the .NET type of its values. Those of Hyper-V's classes are in <c>Wrappers</c>.</summary>
public sealed record CimProperty<T>(string Name) where T : notnull;

/// <summary>A call of a method: its name and its in parameters by name; those that are left out are null.</summary>
public sealed record CimCall(string Method, IReadOnlyDictionary<string, CimValue> Arguments)
{
    /// <summary>A call with those of the arguments that are not null.</summary>
    public static CimCall Of(string method, params ReadOnlySpan<(string Name, object? Value)> arguments)
    {
        var given = new SortedDictionary<string, CimValue>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, value) in arguments)
            if (value is not null) given.Add(name, CimValue.Of(value));
        return new(method, given);
    }

    /// <summary>Settings as the text that a string parameter takes; null stays null.</summary>
    internal static string? Embed(CimObject? settings) => settings is null ? null : EmbeddedInstance.Write(settings);

    /// <inheritdoc cref="Embed(CimObject)"/>
    internal static string[]? Embed(IReadOnlyList<CimObject>? settings) => settings is null ? null : [.. settings.Select(EmbeddedInstance.Write)];

    public override string ToString() => $"{Method}({string.Join(", ", Arguments.Select(a => $"{a.Key}={a.Value}"))})";
}

/// <summary>What a method answered: its return value, and those of its out parameters that have one.</summary>
public sealed record CimAnswer(uint ReturnValue, IReadOnlyDictionary<string, CimValue> Out)
{
    /// <summary>Null where the out parameter has no value.</summary>
    public T? Get<T>(CimProperty<T> parameter) where T : class => Out.GetValueOrDefault(parameter.Name)?.As<T>();

    /// <summary>Null where the out parameter has no value.</summary>
    public T? Find<T>(CimProperty<T> parameter) where T : struct => Out.GetValueOrDefault(parameter.Name)?.As<T>();
}
