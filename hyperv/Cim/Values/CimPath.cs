using System.Globalization;
using System.Text;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// The path of a CIM object, <c>\\HOST\root\virtualization\v2:Class.Key="value",Key2="value2"</c>, or of a class (without keys). Keys are in the order of their names.
/// Two paths are equal where they name the same object of a host: names, keys and values are compared without case, and the host's own name is left out of it,
/// because one client talks to one host and results spell it as <c>.</c>, by its name or not at all.
/// </summary>
public sealed class CimPath : IEquatable<CimPath>
{
    /// <summary>Keys are values of strings, numbers, booleans or references; the order given does not matter.</summary>
    public CimPath(string? server, string @namespace, string className, IEnumerable<KeyValuePair<string, CimValue>>? keys = null)
    {
        Server = server is "" or "." ? null : server;
        Namespace = @namespace.Replace('/', '\\');
        ClassName = className;
        Keys = [.. (keys ?? []).OrderBy(k => k.Key, StringComparer.OrdinalIgnoreCase)];
    }

    /// <summary>A path with keys that are strings, which is what all classes of Hyper-V but associations have.</summary>
    public static CimPath To(string? server, string @namespace, string className, params ReadOnlySpan<(string Name, string Value)> keys)
    {
        var list = new List<KeyValuePair<string, CimValue>>();
        foreach (var (name, value) in keys) list.Add(new(name, CimValue.Of(value)));
        return new(server, @namespace, className, list);
    }

    /// <summary>Null where the path does not say, or says <c>.</c>.</summary>
    public string? Server { get; }

    /// <summary>With backslashes: <c>root\virtualization\v2</c>; empty where the path does not say.</summary>
    public string Namespace { get; }

    public string ClassName { get; }
    public IReadOnlyList<KeyValuePair<string, CimValue>> Keys { get; }

    /// <summary>True for the path of a class.</summary>
    public bool IsClass => Keys.Count == 0;

    /// <summary>The value of a key as text; null where there is none of that name.</summary>
    public string? this[string key] => Keys.FirstOrDefault(k => k.Key.Equals(key, StringComparison.OrdinalIgnoreCase)).Value?.ToString();

    /// <summary>The same path on a named host, as strings that hold a path (HostResource, Parent) need it.</summary>
    public CimPath On(string server) => new(server, Namespace, ClassName, Keys);

    /// <summary>The path as text. Within values <c>\</c> and <c>"</c> have a backslash before them; a host that is not named is <c>.</c>.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        if (Namespace.Length > 0) text.Append(@"\\").Append(Server ?? ".").Append('\\').Append(Namespace).Append(':');
        text.Append(ClassName);
        for (var i = 0; i < Keys.Count; i++) text.Append(i == 0 ? '.' : ',').Append(Keys[i].Key).Append('=').Append(KeyText(Keys[i].Value));
        return text.ToString();
    }

    private static string KeyText(CimValue value) => value.Kind switch
    {
        CimKind.Boolean => value.As<bool>() ? "TRUE" : "FALSE",
        CimKind.String or CimKind.Reference or CimKind.DateTime => '"' + value.ToString().Replace(@"\", @"\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal) + '"',
        _ => value.ToString(),
    };

    /// <summary>Reads path text, with or without host and namespace, with either slash. False for anything else. A quoted key is a string, also where it holds a path.</summary>
    public static bool TryParse(string? text, out CimPath path)
    {
        path = null!;
        if (string.IsNullOrWhiteSpace(text)) return false;
        string? server = null;
        var rest = text;
        if (rest.StartsWith(@"\\", StringComparison.Ordinal) || rest.StartsWith("//", StringComparison.Ordinal))
        {
            var end = rest.IndexOfAny(['\\', '/'], 2);
            if (end <= 2) return false;
            (server, rest) = (rest[2..end], rest[(end + 1)..]);
        }
        // A colon or a dot within a key's value comes after the first '=' or quote.
        var names = rest.IndexOfAny(['=', '"']) is var stop and >= 0 ? rest[..stop] : rest;
        var colon = names.IndexOf(':');
        if (colon < 0 && server is not null) return false;
        var @namespace = colon < 0 ? "" : rest[..colon];
        rest = rest[(colon + 1)..];
        var dot = names.IndexOf('.', colon + 1) - (colon + 1);
        var className = dot < 0 ? rest : rest[..dot];
        if (className.Length == 0 || !className.All(c => char.IsLetterOrDigit(c) || c == '_')) return false;
        var keys = new List<KeyValuePair<string, CimValue>>();
        if (dot >= 0 && !ReadKeys(rest, dot + 1, keys)) return false;
        path = new(server, @namespace, className, keys);
        return true;
    }

    /// <summary>Reads path text; <see cref="FormatException"/>, with the text, where it is none.</summary>
    public static CimPath Parse(string text) => TryParse(text, out var path) ? path : throw new FormatException($"'{text}' is not the path of a CIM object.");

    private static bool ReadKeys(string text, int at, List<KeyValuePair<string, CimValue>> keys)
    {
        while (true)
        {
            var equals = text.IndexOf('=', at);
            if (equals <= at || equals + 1 >= text.Length) return false;
            var name = text[at..equals].Trim();
            at = equals + 1;
            CimValue value;
            if (text[at] == '"')
            {
                var content = new StringBuilder();
                for (at++; at < text.Length && text[at] != '"'; at++)
                {
                    if (text[at] == '\\' && ++at >= text.Length) return false;
                    content.Append(text[at]);
                }
                if (at++ >= text.Length) return false;
                value = CimValue.Of(content.ToString());
            }
            else
            {
                var end = text.IndexOf(',', at) is var comma and >= 0 ? comma : text.Length;
                var bare = text[at..end];
                if (bare.Equals("TRUE", StringComparison.OrdinalIgnoreCase) || bare.Equals("FALSE", StringComparison.OrdinalIgnoreCase)) value = CimValue.Of(bool.Parse(bare));
                else if (long.TryParse(bare, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)) value = CimValue.Of(number);
                else return false;
                at = end;
            }
            if (name.Length == 0 || keys.Exists(k => k.Key.Equals(name, StringComparison.OrdinalIgnoreCase))) return false;
            keys.Add(new(name, value));
            if (at == text.Length) return true;
            if (text[at++] != ',') return false;
        }
    }

    public bool Equals(CimPath? other) => other is not null && ClassName.Equals(other.ClassName, StringComparison.OrdinalIgnoreCase) && Identity == other.Identity;
    public override bool Equals(object? obj) => Equals(obj as CimPath);
    public override int GetHashCode() => ClassName.GetHashCode(StringComparison.OrdinalIgnoreCase) ^ Keys.Count;

    private string Identity => field ??= new CimPath(null, Namespace, ClassName, Keys.Select(k =>
        new KeyValuePair<string, CimValue>(k.Key, CimValue.Of(TryParse(k.Value.ToString(), out var inner) && inner.Keys.Count > 0 ? inner.Identity : k.Value.ToString())))).ToString().ToUpperInvariant();
}
