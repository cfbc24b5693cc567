using System.Collections;
using System.Runtime.Versioning;
using Microsoft.Management.Infrastructure;

namespace WeaveHypervisor.HyperV.Cim.Windows;

/// <summary>Values and instances of the Management Infrastructure from and to our own.</summary>
internal static class MiValues
{
    private const int ArrayBit = 16;

    /// <summary>Theirs of a value: the numbers of arrays are 16 above those of their elements.</summary>
    public static CimType TypeOf(CimValue value) => (CimType)((int)value.Kind + (value.IsArray ? ArrayBit : 0));

    /// <summary>A value as the Management Infrastructure takes it.</summary>
    [SupportedOSPlatform("windows")]
    public static object ToMi(CimValue value) => value.Kind switch
    {
        CimKind.Reference => value.IsArray ? value.As<CimPath[]>().Select(ToInstance).ToArray() : ToInstance(value.As<CimPath>()),
        CimKind.Instance => value.IsArray ? value.As<CimObject[]>().Select(o => ToInstance(o, "")).ToArray() : ToInstance(value.As<CimObject>(), ""),
        CimKind.DateTime => value.IsArray ? value.As<CimTime[]>().Select(ToMi).ToArray() : ToMi(value.As<CimTime>()),
        _ => value.Data,
    };

    public static object ToMi(CimTime time) => time.Interval is { } interval ? interval : time.Instant!.Value.LocalDateTime;

    /// <summary>Ours of a value that is not null.</summary>
    public static CimValue FromMi(object value, CimType type, string @namespace)
    {
        var isArray = (int)type > ArrayBit;
        var kind = (CimKind)((int)type - (isArray ? ArrayBit : 0));
        if ((int)kind == 12) kind = CimKind.UInt16; // char16
        return isArray ? CimValue.ArrayOf(kind, [.. ((IEnumerable)value).Cast<object>().Select(e => Element(e, kind, @namespace))]) : CimValue.Of(Element(value, kind, @namespace));
    }

    private static object Element(object value, CimKind kind, string @namespace) => value switch
    {
        TimeSpan interval => CimTime.Lasting(interval),
        DateTime instant => CimTime.At(new DateTimeOffset(instant)),
        char c => (ushort)c,
        CimInstance instance when kind == CimKind.Reference => ToPath(instance, @namespace),
        CimInstance instance => ToObject(instance, @namespace),
        _ => value,
    };

    /// <summary>The path of an instance. The Management Infrastructure has none itself; keys are those of the schema, or those marked so where a class is not in it.</summary>
    public static CimPath ToPath(CimInstance instance, string @namespace)
    {
        var system = instance.CimSystemProperties;
        var known = CimSchema.Of(HostProfile.Server23H2).Find(system.ClassName)?.Keys ?? [];
        var keys = known.Count > 0 ? known.Select(k => instance.CimInstanceProperties[k]).OfType<Microsoft.Management.Infrastructure.CimProperty>() : instance.CimInstanceProperties.Where(p => p.Flags.HasFlag(CimFlags.Key));
        return new(system.ServerName, string.IsNullOrEmpty(system.Namespace) ? @namespace : system.Namespace, system.ClassName,
            keys.Where(k => k.Value is not null).Select(k => new KeyValuePair<string, CimValue>(k.Name, FromMi(k.Value, k.CimType, @namespace))));
    }

    public static CimObject ToObject(CimInstance instance, string @namespace) => new(instance.CimSystemProperties.ClassName, ToPath(instance, @namespace),
        instance.CimInstanceProperties.Select(p => new KeyValuePair<string, CimValue?>(p.Name, p.Value is null ? null : FromMi(p.Value, p.CimType, @namespace))));

    /// <summary>An instance that stands for a path: its keys alone, marked as such.</summary>
    [SupportedOSPlatform("windows")]
    public static CimInstance ToInstance(CimPath path)
    {
        var instance = new CimInstance(path.ClassName, path.Namespace);
        foreach (var (name, value) in path.Keys) instance.CimInstanceProperties.Add(Microsoft.Management.Infrastructure.CimProperty.Create(name, ToMi(value), TypeOf(value), CimFlags.Key));
        return instance;
    }

    [SupportedOSPlatform("windows")]
    public static CimInstance ToInstance(CimObject o, string @namespace)
    {
        var instance = new CimInstance(o.ClassName, @namespace);
        foreach (var (name, value) in o.Properties) instance.CimInstanceProperties.Add(Microsoft.Management.Infrastructure.CimProperty.Create(name, ToMi(value), TypeOf(value), CimFlags.None));
        return instance;
    }
}
