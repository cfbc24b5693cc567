using Microsoft.Extensions.Time.Testing;

namespace WeaveHypervisor.Model.Tests;

/// <summary>The ids of one kind, for sentences that hold for all kinds.</summary>
public abstract record IdKind(string Name)
{
    /// <summary>The text of the id that was read, or null where the text is refused without an exception.</summary>
    public abstract string? Read(string? text);

    /// <summary>The same by the way that throws.</summary>
    public abstract string Parse(string? text);

    /// <summary>The text of <c>default</c>.</summary>
    public abstract string Default { get; }

    public abstract string Noun { get; }
    public abstract string Form { get; }

    public override string ToString() => Name;

    public static IdKind Of<T>() where T : struct, ITextId<T> => new Kind<T>();

    /// <summary>Names that people choose.</summary>
    public static readonly IReadOnlyList<IdKind> Names = [Of<EnvironmentId>(), Of<WeaveId>(), Of<HostId>(), Of<GroupName>()];

    /// <summary>Names that a hypervisor or its user gave.</summary>
    public static readonly IReadOnlyList<IdKind> Labels = [Of<MachineName>(), Of<VolumeName>(), Of<NetworkName>()];

    /// <summary>Generated ids, with what they begin with.</summary>
    public static readonly IReadOnlyList<(IdKind Kind, string Prefix)> Given =
        [(Of<SnapshotId>(), "snap-"), (Of<LayerId>(), "layer-"), (Of<OperationId>(), "op-"), (Of<RouteId>(), "route-")];

    public static IEnumerable<IdKind> All => [.. Names, .. Labels, .. Given.Select(g => g.Kind), Of<FenceTag>()];

    private sealed record Kind<T>() : IdKind(typeof(T).Name) where T : struct, ITextId<T>
    {
        public override string? Read(string? text) => T.TryCreate(text, out var id) ? id.Text : null;
        public override string Parse(string? text) => Ids.Parse<T>(text).Text;
        public override string Default => default(T).Text;
        public override string Noun => T.Noun;
        public override string Form => T.Form;
        public override string ToString() => Name;
    }
}

internal static class Clocks
{
    public static FakeTimeProvider Noon() => new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
}
