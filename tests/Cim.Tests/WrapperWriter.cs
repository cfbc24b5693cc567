using System.Text;

namespace WeaveHypervisor.HyperV.Cim.Tests;

/// <summary>Writes the wrappers of <c>hyperv/Cim/Wrappers</c> from the schema: for each class its name, its properties with their types, and a call for each method.</summary>
internal static class WrapperWriter
{
    /// <summary>Base classes that are named in code; else only the classes of Hyper-V, of Windows' networks and of Windows itself have wrappers.</summary>
    private static readonly string[] Bases = ["CIM_AffectedJobElement", "CIM_ConcreteJob", "CIM_ResourceAllocationSettingData"];

    /// <summary>Members that every class has from these are left out, but for the named ones: nobody needs them.</summary>
    private static readonly string[] General = ["CIM_ManagedElement", "CIM_ManagedSystemElement", "CIM_EnabledLogicalElement", "CIM_LogicalDevice", "CIM_LogicalPort", "CIM_Service", "CIM_System"];
    private static readonly string[] Kept = ["ElementName", "InstanceID", "Name", "OperationalStatus", "EnabledState", "RequestStateChange", "DeviceID", "CreationClassName", "SystemName"];

    private static readonly CimSchema Newest = CimSchema.Of(HostProfile.Server23H2);
    private static readonly CimSchema Oldest = CimSchema.Of(HostProfile.Server2019);

    public static IEnumerable<(string File, string Text)> All() =>
        from c in Newest.Classes where c.Name.StartsWith("Msvm_", StringComparison.Ordinal) || c.Name.StartsWith("MSFT_", StringComparison.Ordinal) || c.Name.StartsWith("Win32_", StringComparison.Ordinal) || Bases.Contains(c.Name)
        select ($"{NameOf(c.Name)}.cs", Write(c));

    public static string NameOf(string className) => className.StartsWith("CIM_", StringComparison.Ordinal) ? "Cim" + className[4..] : className.StartsWith("Win32_", StringComparison.Ordinal) ? "Win32" + className[6..] : className[5..];

    private static string Write(CimClass c)
    {
        var text = new StringBuilder("// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).\nnamespace WeaveHypervisor.HyperV.Cim.Wrappers;\n\n");
        text.Append($"/// <summary>Names and calls of <c>{c.Name}</c>.</summary>\npublic static class {NameOf(c.Name)}\n{{\n    public const string ClassName = \"{c.Name}\";\n");
        var general = General.Select(Newest.Find).OfType<CimClass>().ToList();
        foreach (var (name, member) in c.Properties.Where(p => Kept.Contains(p.Key) || !general.Exists(g => c.Is(g.Name) && g.Properties.ContainsKey(p.Key))))
            text.Append($"{Only(Oldest.Find(c.Name)?.Properties.ContainsKey(name))}    public static readonly CimProperty<{TypeOf(member)}> {name} = new(\"{name}\");\n");
        foreach (var method in c.Methods.Values.Where(m => Kept.Contains(m.Name) || !general.Exists(g => c.Is(g.Name) && g.Methods.ContainsKey(m.Name)))) Write(text, c, method);
        return text.Append("}\n").ToString();
    }

    private static void Write(StringBuilder text, CimClass c, CimMethod method)
    {
        var parameters = method.In.Select(p => (p.Key, Local: LocalName(p.Key), Member: p.Value)).ToList();
        text.Append('\n').Append(Only(Oldest.Find(c.Name)?.Methods.ContainsKey(method.Name)));
        text.Append($"    public static CimCall {method.Name}({string.Join(", ", parameters.Select(p => $"{Given(p.Member)}? {p.Local} = null"))}) =>\n");
        text.Append($"        CimCall.Of(\"{method.Name}\"{string.Concat(parameters.Select(p => $", (\"{p.Key}\", {Sent(p.Local, p.Member)})"))});\n");
        if (method.Out.Keys.All(o => o == "Job")) return;
        text.Append($"\n    /// <summary>What <see cref=\"{method.Name}\"/> answers.</summary>\n    public static class {method.Name}Answer\n    {{\n");
        foreach (var (name, member) in method.Out) text.Append($"        public static readonly CimProperty<{TypeOf(member)}> {name} = new(\"{name}\");\n");
        text.Append("    }\n");
    }

    private static string Only(bool? everywhere) => everywhere is true ? "" : "    /// <summary>Not on Windows Server 2019.</summary>\n";

    private static string LocalName(string name) => char.ToLowerInvariant(name[0]) + name[1..];

    /// <summary>Settings are given as objects, and lists as any list.</summary>
    private static string Given(CimMember m)
    {
        var one = m is { Kind: CimKind.String, Embedded: not null } ? nameof(CimObject) : ElementOf(m.Kind);
        return m.IsArray ? $"IReadOnlyList<{one}>" : one;
    }

    private static string Sent(string local, CimMember m) => m is { Kind: CimKind.String, Embedded: not null } ? $"CimCall.Embed({local})" : m.IsArray ? $"{local}?.ToArray()" : local;

    private static string TypeOf(CimMember m) => ElementOf(m.Kind) + (m.IsArray ? "[]" : "");

    private static string ElementOf(CimKind kind) => CimValue.TypeOf(kind).Name switch
    {
        "Boolean" => "bool", "Byte" => "byte", "SByte" => "sbyte", "UInt16" => "ushort", "UInt32" => "uint", "UInt64" => "ulong", "String" => "string", var other => other,
    };
}
