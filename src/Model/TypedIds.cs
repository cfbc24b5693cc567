using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.Model;

/// <summary>The name of an environment: the user's own, unique in a service. <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<EnvironmentId>))]
public readonly record struct EnvironmentId : ITextId<EnvironmentId>
{
    private readonly string? _text;
    private EnvironmentId(string text) => _text = text;
    public static string Noun => "environment name";
    public static string Form => Ids.NameForm;
    public string Text => _text ?? "";
    public static bool TryCreate(string? text, out EnvironmentId id)
    {
        var valid = Ids.IsName(text);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static EnvironmentId Parse(string? text) => Ids.Parse<EnvironmentId>(text);
    static EnvironmentId IParsable<EnvironmentId>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<EnvironmentId>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out EnvironmentId result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>The name of a weave: the user's own or generated, unique in its environment. `main` names the adopted originals. <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<WeaveId>))]
public readonly record struct WeaveId : ITextId<WeaveId>
{
    private readonly string? _text;
    private WeaveId(string text) => _text = text;
    public static string Noun => "weave id";
    public static string Form => Ids.NameForm;
    public string Text => _text ?? "";
    public static bool TryCreate(string? text, out WeaveId id)
    {
        var valid = Ids.IsName(text);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static WeaveId Parse(string? text) => Ids.Parse<WeaveId>(text);
    static WeaveId IParsable<WeaveId>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<WeaveId>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out WeaveId result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>The name of a hypervisor host that a service node manages. <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<HostId>))]
public readonly record struct HostId : ITextId<HostId>
{
    private readonly string? _text;
    private HostId(string text) => _text = text;
    public static string Noun => "host name";
    public static string Form => Ids.NameForm;
    public string Text => _text ?? "";
    public static bool TryCreate(string? text, out HostId id)
    {
        var valid = Ids.IsName(text);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static HostId Parse(string? text) => Ids.Parse<HostId>(text);
    static HostId IParsable<HostId>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<HostId>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out HostId result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>The name of a security group: the user's own, unique in an environment's rules. <c>any</c> and <c>outside</c> mean something else in a rule. <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<GroupName>))]
public readonly record struct GroupName : ITextId<GroupName>
{
    private readonly string? _text;
    private GroupName(string text) => _text = text;
    public static string Noun => "security group's name";
    public static string Form => Ids.NameForm + " `any` and `outside` are taken.";
    public string Text => _text ?? "";
    public static bool TryCreate(string? text, out GroupName id)
    {
        var valid = Ids.IsName(text) && text is not (RulePeer.AnyText or RulePeer.OutsideText);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static GroupName Parse(string? text) => Ids.Parse<GroupName>(text);
    static GroupName IParsable<GroupName>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<GroupName>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out GroupName result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>The name of a machine in its environment; the same in every weave of it. <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<MachineName>))]
public readonly record struct MachineName : ITextId<MachineName>
{
    private readonly string? _text;
    private MachineName(string text) => _text = text;
    public static string Noun => "machine name";
    public static string Form => Ids.LabelForm;
    public string Text => _text ?? "";
    public static bool TryCreate(string? text, out MachineName id)
    {
        var valid = Ids.IsLabel(text);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static MachineName Parse(string? text) => Ids.Parse<MachineName>(text);
    static MachineName IParsable<MachineName>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<MachineName>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out MachineName result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>The name of a volume within its machine, such as `vda` or `data`. <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<VolumeName>))]
public readonly record struct VolumeName : ITextId<VolumeName>
{
    private readonly string? _text;
    private VolumeName(string text) => _text = text;
    public static string Noun => "volume name";
    public static string Form => Ids.LabelForm;
    public string Text => _text ?? "";
    public static bool TryCreate(string? text, out VolumeName id)
    {
        var valid = Ids.IsLabel(text);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static VolumeName Parse(string? text) => Ids.Parse<VolumeName>(text);
    static VolumeName IParsable<VolumeName>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<VolumeName>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out VolumeName result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>The name of a network as the environment knows it. <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<NetworkName>))]
public readonly record struct NetworkName : ITextId<NetworkName>
{
    private readonly string? _text;
    private NetworkName(string text) => _text = text;
    public static string Noun => "network name";
    public static string Form => Ids.LabelForm;
    public string Text => _text ?? "";
    public static bool TryCreate(string? text, out NetworkName id)
    {
        var valid = Ids.IsLabel(text);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static NetworkName Parse(string? text) => Ids.Parse<NetworkName>(text);
    static NetworkName IParsable<NetworkName>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<NetworkName>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out NetworkName result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>One snapshot. Written `snap-` and 32 hexadecimal digits; ids made later sort later (UUID version 7). <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<SnapshotId>))]
public readonly record struct SnapshotId(Guid Value) : ITextId<SnapshotId>
{
    public static string Noun => "snapshot id";
    public static string Form => Ids.GivenForm("snap-");
    public string Text => Value == Guid.Empty ? "" : "snap-" + Value.ToString("N");
    public static SnapshotId New(TimeProvider clock) => new(Guid.CreateVersion7(clock.GetUtcNow()));
    public static bool TryCreate(string? text, out SnapshotId id)
    {
        var valid = Ids.TryGuid(text, "snap-", out var value);
        id = new(value);
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static SnapshotId Parse(string? text) => Ids.Parse<SnapshotId>(text);
    static SnapshotId IParsable<SnapshotId>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<SnapshotId>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out SnapshotId result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>One disk layer. Written `layer-` and 32 hexadecimal digits; ids made later sort later (UUID version 7). <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<LayerId>))]
public readonly record struct LayerId(Guid Value) : ITextId<LayerId>
{
    public static string Noun => "layer id";
    public static string Form => Ids.GivenForm("layer-");
    public string Text => Value == Guid.Empty ? "" : "layer-" + Value.ToString("N");
    public static LayerId New(TimeProvider clock) => new(Guid.CreateVersion7(clock.GetUtcNow()));
    public static bool TryCreate(string? text, out LayerId id)
    {
        var valid = Ids.TryGuid(text, "layer-", out var value);
        id = new(value);
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static LayerId Parse(string? text) => Ids.Parse<LayerId>(text);
    static LayerId IParsable<LayerId>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<LayerId>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out LayerId result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>One operation. Written `op-` and 32 hexadecimal digits; ids made later sort later (UUID version 7). <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<OperationId>))]
public readonly record struct OperationId(Guid Value) : ITextId<OperationId>
{
    public static string Noun => "operation id";
    public static string Form => Ids.GivenForm("op-");
    public string Text => Value == Guid.Empty ? "" : "op-" + Value.ToString("N");
    public static OperationId New(TimeProvider clock) => new(Guid.CreateVersion7(clock.GetUtcNow()));
    public static bool TryCreate(string? text, out OperationId id)
    {
        var valid = Ids.TryGuid(text, "op-", out var value);
        id = new(value);
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static OperationId Parse(string? text) => Ids.Parse<OperationId>(text);
    static OperationId IParsable<OperationId>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<OperationId>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out OperationId result) => TryCreate(s, out result);
    public override string ToString() => Text;
}

/// <summary>One published route. Written `route-` and 32 hexadecimal digits; ids made later sort later (UUID version 7). <c>default</c> is not valid.</summary>
[JsonConverter(typeof(TextIdConverter<RouteId>))]
public readonly record struct RouteId(Guid Value) : ITextId<RouteId>
{
    public static string Noun => "route id";
    public static string Form => Ids.GivenForm("route-");
    public string Text => Value == Guid.Empty ? "" : "route-" + Value.ToString("N");
    public static RouteId New(TimeProvider clock) => new(Guid.CreateVersion7(clock.GetUtcNow()));
    public static bool TryCreate(string? text, out RouteId id)
    {
        var valid = Ids.TryGuid(text, "route-", out var value);
        id = new(value);
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static RouteId Parse(string? text) => Ids.Parse<RouteId>(text);
    static RouteId IParsable<RouteId>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<RouteId>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out RouteId result) => TryCreate(s, out result);
    public override string ToString() => Text;
}
