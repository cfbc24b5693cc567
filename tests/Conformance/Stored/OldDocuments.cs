using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Xunit;

namespace WeaveHypervisor.Conformance.Stored;

/// <summary>
/// Documents of earlier versions, for every type that an assembly stores: all that its JSON contexts (<see cref="JsonSerializerContext"/>) name, and what those have in them. A document that has
/// nothing but what every version wrote (<see cref="Always"/>) must read as an object whose other members have the defaults that the type declares. Generated code does not see to that: it gives
/// an init-only member null or zero where the document says nothing.
/// </summary>
public static class OldDocuments
{
    private static readonly NullabilityInfoContext Nullability = new();

    /// <summary>A text of JSON for values whose own converters do not take an empty string, by type.</summary>
    private static readonly Dictionary<Type, string> Texts = new()
    {
        [typeof(Guid)] = "\"00000001-0002-0003-0000-000000000000\"", [typeof(DateTimeOffset)] = "\"2026-11-23T12:00:00+00:00\"", [typeof(TimeSpan)] = "\"00:00:01\"", [typeof(bool)] = "false",
        [typeof(Uri)] = "\"http://localhost\"", [typeof(Model.FenceTag)] = "\"0102a0b0\"", [typeof(Model.RulePrefix)] = "\"10.0.0.0/8\"", [typeof(Model.SecurityRule)] = "\"in any from outside\"",
        [typeof(Model.Drift)] = "\"web is gone\"",
    };

    /// <summary>The contexts of an assembly that read what an earlier version wrote; here all of them, so that one that is added is tried too.</summary>
    private static IReadOnlyList<JsonSerializerContext> ContextsOf(Assembly assembly) =>
    [
        .. assembly.GetTypes().Where(t => t.IsSubclassOf(typeof(JsonSerializerContext))).OrderBy(t => t.FullName, StringComparer.Ordinal)
            .Select(t => (JsonSerializerContext)t.GetProperty("Default", BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!),
    ];

    /// <summary>Of each type that an assembly stores: a document of what every version wrote reads with the declared defaults for the rest. All that is wrong is told, a line for each member.</summary>
    public static void AssertDefaults(Assembly assembly)
    {
        var wrongs = ContextsOf(assembly).SelectMany(StoredTypes).SelectMany(Wrongs).Distinct().ToList();
        Assert.True(wrongs.Count == 0, $"Where a stored document says nothing of them (`init => field = value ?? …` helps):\n{string.Join('\n', wrongs)}");
    }

    /// <summary>What every version has written, a line for each type: "Weave: environment id tag…". A member that comes to it is one that documents of before lack.</summary>
    private static IReadOnlyList<string> Always(JsonSerializerContext context) =>
        [.. StoredTypes(context).Select(t => $"{t.Type.Name}: {string.Join(' ', t.Properties.Where(IsAlways).Select(p => p.Name))}".TrimEnd())];

    /// <summary>Compares what every version has written with the golden file beside the caller, which `WEAVE_GOLDEN=renew` writes anew.</summary>
    public static void AssertNothingNewIsDemanded(Assembly assembly, [CallerFilePath] string here = "")
    {
        var golden = Path.Combine(Path.GetDirectoryName(here)!, "Golden", "always-written.txt");
        var now = string.Concat(ContextsOf(assembly).Select(c => $"# {c.GetType().Name}\n{string.Concat(Always(c).Select(l => l + "\n"))}"));
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(golden)!);
            File.WriteAllText(golden, now);
        }
        var known = File.ReadAllText(golden);
        Assert.True(known == now, $"Stored documents need other members than {golden} says. A member that comes to a stored type is not required, and has a default: documents of before lack it. "
            + $"For a new type renew the file with WEAVE_GOLDEN=renew.\n{string.Join('\n', now.Split('\n').Except(known.Split('\n')))}");
    }

    /// <summary>Every type of an object in the documents of a context, once.</summary>
    private static IReadOnlyList<JsonTypeInfo> StoredTypes(JsonSerializerContext context)
    {
        var found = new Dictionary<Type, JsonTypeInfo>();
        var open = new Queue<Type>(context.GetType().GetCustomAttributesData().Where(a => a.AttributeType == typeof(JsonSerializableAttribute)).Select(a => (Type)a.ConstructorArguments[0].Value!));
        while (open.TryDequeue(out var type))
        {
            type = Nullable.GetUnderlyingType(type) ?? type;
            if (found.ContainsKey(type)) continue;
            var info = found[type] = context.GetTypeInfo(type) ?? throw new InvalidOperationException($"{context.GetType().Name} does not know {type}.");
            foreach (var inner in info.Properties.Select(p => p.PropertyType).Append(info.ElementType).OfType<Type>()) open.Enqueue(inner);
        }
        return [.. found.Values.Where(t => t.Kind == JsonTypeInfoKind.Object).OrderBy(t => t.Type.FullName, StringComparer.Ordinal)];
    }

    /// <summary>Required, or a parameter of the record's own without a default that cannot be null.</summary>
    private static bool IsAlways(JsonPropertyInfo property) =>
        property.IsRequired || property.AssociatedParameter is { IsMemberInitializer: false, HasDefaultValue: false } parameter && !MayBeNull(parameter);

    private static bool MayBeNull(JsonParameterInfo parameter) => Nullable.GetUnderlyingType(parameter.ParameterType) is not null || (!parameter.ParameterType.IsValueType && parameter.IsNullable);

    /// <summary>It is read: not only written, as what is made of other members is.</summary>
    private static bool IsRead(JsonPropertyInfo property) => property.AssociatedParameter is not null || property.Set is not null;

    private static IEnumerable<string> Wrongs(JsonTypeInfo type)
    {
        object read;
        try
        {
            read = JsonSerializer.Deserialize(Least(type).ToJsonString(), type)!;
        }
        catch (Exception e) when (e is JsonException or Model.WeaveException or InvalidOperationException or KeyNotFoundException)
        {
            return [$"{type.Type.Name}: a document without what may be missing is refused: {e.Message}"];
        }
        return type.Properties.Where(p => IsRead(p) && !IsAlways(p)).Select(p => Wrong(p, p.Get!(read), Declared(type, p))).OfType<string>().Select(w => $"{type.Type.Name}.{w}");
    }

    private static string? Wrong(JsonPropertyInfo property, object? read, object? declared)
    {
        var member = (property.AttributeProvider as PropertyInfo)?.Name ?? property.Name;
        if (read is null && property.AttributeProvider is PropertyInfo { PropertyType.IsValueType: false } own && Nullability.Create(own).ReadState == NullabilityState.NotNull) return $"{member}: null, which it never is";
        if (IsEmpty(read) && IsEmpty(declared)) return null;
        return Equals(read, declared) ? null : $"{member}: {read ?? "null"} where {(IsEmpty(declared) ? "[]" : declared ?? "null")} is declared";
    }

    private static bool IsEmpty(object? value) => value is IEnumerable and not string && !((IEnumerable)value).Cast<object>().Any();

    /// <summary>The member's value in an object of which nothing was said but what has to be.</summary>
    private static object? Declared(JsonTypeInfo type, JsonPropertyInfo property)
    {
        if (property.AssociatedParameter is { IsMemberInitializer: false } own) return own.HasDefaultValue ? own.DefaultValue : null;
        var constructor = type.Type.GetConstructors(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance).Where(c => c.GetParameters() is not [var only] || only.ParameterType != type.Type).MaxBy(c => c.GetParameters().Length);
        // Required members are the compiler's matter alone: here they stay unset.
        var made = constructor is null ? Activator.CreateInstance(type.Type) : constructor.Invoke([.. constructor.GetParameters().Select(p => p.ParameterType.IsValueType ? Activator.CreateInstance(p.ParameterType) : null)]);
        return property.Get!(made!);
    }

    /// <summary>A document of what every version wrote.</summary>
    private static JsonObject Least(JsonTypeInfo type)
    {
        var document = new JsonObject();
        foreach (var property in type.Properties.Where(IsAlways)) document[property.Name] = Sample(type.Options.GetTypeInfo(property.PropertyType));
        return document;
    }

    private static JsonNode? Sample(JsonTypeInfo type)
    {
        var plain = Nullable.GetUnderlyingType(type.Type) ?? type.Type;
        if (plain != type.Type) type = type.Options.GetTypeInfo(plain);
        if (type.Kind == JsonTypeInfoKind.Object) return Least(type);
        if (type.Kind == JsonTypeInfoKind.Enumerable) return new JsonArray(Sample(type.Options.GetTypeInfo(type.ElementType!)));
        if (type.Kind == JsonTypeInfoKind.Dictionary) return new JsonObject();
        if (Texts.TryGetValue(plain, out var text)) return JsonNode.Parse(text);
        if (plain.IsEnum) return JsonNode.Parse(JsonSerializer.Serialize(Enum.GetValues(plain).GetValue(0), type));
        if (plain == typeof(string)) return "a";
        if (plain.IsPrimitive) return 1;
        // Ids: names as people give them, or a prefix and digits, as they are written.
        var id = plain.GetConstructors().FirstOrDefault(c => c.GetParameters() is [{ ParameterType: var only }] && only == typeof(Guid))?.Invoke([new Guid(1, 2, 3, new byte[8])]);
        return JsonValue.Create(id?.ToString() ?? "a");
    }
}
