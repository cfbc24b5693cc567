using System.Collections;
using System.Globalization;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// A value of a CIM property or parameter, never null, in exactly the .NET type of its kind (a <c>ushort</c> for uint16, <c>ushort[]</c> for an array of them):
/// a host refuses what is only nearly right. Arrays are compared by their elements.
/// </summary>
public sealed class CimValue : IEquatable<CimValue>
{
    private static readonly Dictionary<Type, CimKind> Kinds = new()
    {
        [typeof(bool)] = CimKind.Boolean, [typeof(byte)] = CimKind.UInt8, [typeof(sbyte)] = CimKind.SInt8, [typeof(ushort)] = CimKind.UInt16,
        [typeof(short)] = CimKind.SInt16, [typeof(uint)] = CimKind.UInt32, [typeof(int)] = CimKind.SInt32, [typeof(ulong)] = CimKind.UInt64,
        [typeof(long)] = CimKind.SInt64, [typeof(float)] = CimKind.Real32, [typeof(double)] = CimKind.Real64, [typeof(CimTime)] = CimKind.DateTime,
        [typeof(string)] = CimKind.String, [typeof(CimPath)] = CimKind.Reference, [typeof(CimObject)] = CimKind.Instance,
    };

    private CimValue(CimKind kind, bool isArray, object data) => (Kind, IsArray, Data) = (kind, isArray, data);

    public CimKind Kind { get; }
    public bool IsArray { get; }

    /// <summary>The value in its own type.</summary>
    public object Data { get; }

    /// <summary>A value by its .NET type; <see cref="ArgumentException"/> for a type that CIM does not have.</summary>
    public static CimValue Of(object data)
    {
        ArgumentNullException.ThrowIfNull(data);
        var type = data.GetType();
        var element = type.IsArray ? type.GetElementType()! : type;
        return Kinds.TryGetValue(element, out var kind) ? new(kind, type.IsArray, data) : throw new ArgumentException($"CIM has no type for {type.Name}.", nameof(data));
    }

    /// <summary>The .NET type of one element of a kind.</summary>
    public static Type TypeOf(CimKind kind) => Kinds.Single(k => k.Value == kind).Key;

    /// <summary>The value as <typeparamref name="T"/>; <see cref="InvalidCastException"/>, which names both types, where it is of another.</summary>
    public T As<T>() => Data is T data ? data : throw new InvalidCastException($"A CIM value of type {Describe(Kind, IsArray)} was read as {typeof(T).Name}.");

    /// <summary>All elements of an array; the one value otherwise.</summary>
    public IEnumerable<object> Elements => IsArray ? ((IEnumerable)Data).Cast<object>() : [Data];

    /// <summary>A type as CIM spells it: <c>uint16</c>, <c>string[]</c>.</summary>
    public static string Describe(CimKind kind, bool isArray) => (kind == CimKind.Reference ? "ref" : kind.ToString().ToLowerInvariant()) + (isArray ? "[]" : "");

    /// <summary>One element as CIM-XML and path text spell it.</summary>
    internal static string Text(object element) => element switch
    {
        bool yes => yes ? "true" : "false",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => element.ToString()!,
    };

    /// <summary>Reads one element as <see cref="Text"/> writes it; false where it is not one, or out of the kind's range. Instances cannot be read so.</summary>
    internal static bool TryRead(CimKind kind, string text, out object element)
    {
        var culture = CultureInfo.InvariantCulture;
        var trimmed = kind == CimKind.String ? text : text.Trim();
        object? read = kind switch
        {
            CimKind.Boolean => trimmed.Equals("true", StringComparison.OrdinalIgnoreCase) ? true : trimmed.Equals("false", StringComparison.OrdinalIgnoreCase) ? false : null,
            CimKind.UInt8 => byte.TryParse(trimmed, NumberStyles.None, culture, out var n) ? n : null,
            CimKind.SInt8 => sbyte.TryParse(trimmed, NumberStyles.AllowLeadingSign, culture, out var n) ? n : null,
            CimKind.UInt16 => ushort.TryParse(trimmed, NumberStyles.None, culture, out var n) ? n : null,
            CimKind.SInt16 => short.TryParse(trimmed, NumberStyles.AllowLeadingSign, culture, out var n) ? n : null,
            CimKind.UInt32 => uint.TryParse(trimmed, NumberStyles.None, culture, out var n) ? n : null,
            CimKind.SInt32 => int.TryParse(trimmed, NumberStyles.AllowLeadingSign, culture, out var n) ? n : null,
            CimKind.UInt64 => ulong.TryParse(trimmed, NumberStyles.None, culture, out var n) ? n : null,
            CimKind.SInt64 => long.TryParse(trimmed, NumberStyles.AllowLeadingSign, culture, out var n) ? n : null,
            CimKind.Real32 => float.TryParse(trimmed, NumberStyles.Float, culture, out var n) ? n : null,
            CimKind.Real64 => double.TryParse(trimmed, NumberStyles.Float, culture, out var n) ? n : null,
            CimKind.DateTime => CimTime.TryParse(trimmed, out var time) ? time : null,
            CimKind.String => text,
            CimKind.Reference => CimPath.TryParse(trimmed, out var path) ? path : null,
            _ => null,
        };
        element = read!;
        return read is not null;
    }

    /// <summary>An array of a kind from its elements, which are all of that kind's .NET type.</summary>
    internal static CimValue ArrayOf(CimKind kind, IReadOnlyCollection<object> elements)
    {
        var array = Array.CreateInstance(TypeOf(kind), elements.Count);
        var i = 0;
        foreach (var element in elements) array.SetValue(element, i++);
        return new(kind, true, array);
    }

    public bool Equals(CimValue? other) => other is not null && Kind == other.Kind && IsArray == other.IsArray && Elements.SequenceEqual(other.Elements);
    public override bool Equals(object? obj) => Equals(obj as CimValue);
    public override int GetHashCode() => HashCode.Combine(Kind, IsArray, Elements.Aggregate(0, HashCode.Combine));
    public override string ToString() => IsArray ? "{" + string.Join(", ", Elements.Select(Text)) + "}" : Text(Data);
}
