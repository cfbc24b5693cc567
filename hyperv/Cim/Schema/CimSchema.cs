using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>The builds of Windows whose classes are known.</summary>
public enum HostProfile
{
    /// <summary>Windows Server 2019 (build 17763).</summary>
    Server2019,
    /// <summary>Windows Server, version 23H2 (build 25398).</summary>
    Server23H2,
}

/// <summary>The type of a property or parameter.</summary>
/// <param name="Kind">Of one element.</param>
/// <param name="IsArray">Whether there may be any number of them.</param>
/// <param name="Class">What a reference leads to; null for other kinds.</param>
/// <param name="Embedded">The class whose instances a string holds as text (<see cref="EmbeddedInstance"/>), or the class of instances; derived ones are taken too. Null for other values.</param>
public sealed record CimMember(CimKind Kind, bool IsArray, string? Class, string? Embedded)
{
    /// <summary>True for a value of exactly this type; what a reference leads to, or an embedded instance is of, is not looked at.</summary>
    public bool Takes(CimValue value) => Kind == value.Kind && IsArray == value.IsArray;

    public override string ToString() => CimValue.Describe(Kind, IsArray) + (Class is null ? "" : " " + Class) + (Embedded is null ? "" : " of " + Embedded);
}

/// <summary>A method: in and out parameters by name; those that are both are in either.</summary>
public sealed record CimMethod(string Name, IReadOnlyDictionary<string, CimMember> In, IReadOnlyDictionary<string, CimMember> Out);

/// <summary>A class with all that it has from its bases.</summary>
public sealed record CimClass(string Name, string Namespace, CimClass? Base, bool IsAssociation, IReadOnlyList<string> Keys,
    IReadOnlyDictionary<string, CimMember> Properties, IReadOnlyDictionary<string, CimMethod> Methods)
{
    /// <summary>True for the class itself and for every class below it.</summary>
    public bool Is(string className) => Name.Equals(className, StringComparison.OrdinalIgnoreCase) || (Base?.Is(className) ?? false);
}

/// <summary>
/// The CIM classes in use, as one build of Windows has them: which classes, properties, methods and parameters there are and of what types. Names are looked up without case.
/// Source: <c>schema.json</c> beside this file, which was made from Microsoft's reference and from descriptions taken on hosts.
/// </summary>
public sealed class CimSchema
{
    private static readonly Lazy<SchemaFile> File = new(Read);
    private static readonly Lazy<CimSchema>[] Schemas = [new(() => new(HostProfile.Server2019)), new(() => new(HostProfile.Server23H2))];

    private readonly FrozenDictionary<string, CimClass> _classes;

    private CimSchema(HostProfile host)
    {
        Host = host;
        var classes = new Dictionary<string, CimClass>(StringComparer.OrdinalIgnoreCase);
        foreach (var name in File.Value.Classes.Keys) Resolve(name, host.ToString().ToLowerInvariant(), classes);
        _classes = classes.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>The schema of a build; loaded once.</summary>
    public static CimSchema Of(HostProfile host) => Schemas[(int)host].Value;

    public HostProfile Host { get; }
    public IEnumerable<CimClass> Classes => _classes.Values.OrderBy(c => c.Name, StringComparer.Ordinal);

    /// <summary>Null where no class is named so.</summary>
    public CimClass? Find(string className) => _classes.GetValueOrDefault(className);

    private static CimClass Resolve(string name, string host, Dictionary<string, CimClass> done)
    {
        if (done.TryGetValue(name, out var known)) return known;
        var entry = File.Value.Classes[name];
        var above = entry.Base is null ? null : Resolve(entry.Base, host, done);
        var properties = Start(above?.Properties);
        foreach (var (property, type) in entry.Properties ?? []) Add(properties, property, type, host);
        var methods = Start(above?.Methods);
        foreach (var (method, sides) in entry.Methods ?? [])
        {
            if (sides.At is not null && sides.At != host) continue;
            var (into, outOf) = (Start<CimMember>(null), Start<CimMember>(null));
            foreach (var (parameter, type) in sides.In ?? []) Add(into, parameter, type, host);
            foreach (var (parameter, type) in sides.Out ?? []) Add(outOf, parameter, type, host);
            methods[method] = new(method, into, outOf);
        }
        return done[name] = new(name, entry.Namespace, above, entry.Association || (above?.IsAssociation ?? false), entry.Keys, properties, methods);
    }

    private static SortedDictionary<string, T> Start<T>(IReadOnlyDictionary<string, T>? above)
    {
        var result = new SortedDictionary<string, T>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, member) in above ?? new Dictionary<string, T>()) result.Add(name, member);
        return result;
    }

    /// <summary>Reads a type as <c>schema.json</c> writes it: <c>uint16</c>, <c>string[] of Msvm_X</c>, <c>ref Msvm_X @server23h2</c>.</summary>
    private static void Add(SortedDictionary<string, CimMember> members, string name, string text, string host)
    {
        var words = text.Split(' ');
        if (words[^1].StartsWith('@'))
        {
            if (words[^1] != "@" + host) return;
            words = words[..^1];
        }
        var isArray = words[0].EndsWith("[]", StringComparison.Ordinal);
        var bare = isArray ? words[0][..^2] : words[0];
        var kind = bare == "ref" ? CimKind.Reference : Enum.Parse<CimKind>(bare, ignoreCase: true);
        members[name] = new(kind, isArray, kind == CimKind.Reference && words.Length > 1 ? words[1] : null, words.Length > 2 && words[^2] == "of" ? words[^1] : null);
    }

    private static SchemaFile Read()
    {
        using var stream = typeof(CimSchema).Assembly.GetManifestResourceStream("schema.json")!;
        return JsonSerializer.Deserialize(stream, SchemaJson.Default.SchemaFile)!;
    }
}

internal sealed record SchemaFile(Dictionary<string, SchemaClass> Classes);

internal sealed record SchemaClass(string? Base, string Namespace, IReadOnlyList<string> Keys, bool Association, Dictionary<string, string>? Properties, Dictionary<string, SchemaMethod>? Methods);

internal sealed record SchemaMethod(string? At, Dictionary<string, string>? In, Dictionary<string, string>? Out);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SchemaFile))]
internal sealed partial class SchemaJson : JsonSerializerContext;
