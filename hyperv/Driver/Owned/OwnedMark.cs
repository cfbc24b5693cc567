using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Owned;

/// <summary>What a thing of ours on the host is.</summary>
internal enum MarkKind
{
    /// <summary>A copy of a machine; <see cref="OwnedMark.Key"/> is its UUID, which Hyper-V's own id of it is not: that one is made by each import.</summary>
    Copy,
    /// <summary>A private switch of a fence; the key is the fence's tag.</summary>
    Switch,
    /// <summary>The gateway of a fence; the key is the fence's tag.</summary>
    Gateway,
    /// <summary>A machine, switch or checkpoint of the host's self-test; the key is anything.</summary>
    Trial,
}

/// <summary>
/// The mark of our things: the first line of the notes of a machine or switch, <c>urn:weavehypervisor:1 weave copy KEY NAME</c>. Set by the call that makes the thing, or, where that cannot be, by the first one after it;
/// the names of our things begin with the prefix as well.
/// </summary>
/// <param name="Name">What it belongs to, for people: environment/weave/machine, or a network's name. No blanks.</param>
internal sealed record OwnedMark(string Prefix, MarkKind Kind, string Key, string Name)
{
    private const string Scheme = "urn:weavehypervisor:1";

    /// <summary>True for the mark of a thing of that kind that the service with these settings made.</summary>
    public static bool Is(OwnedMark? mark, MarkKind kind, HyperVOptions options) => mark is not null && mark.Kind == kind && mark.Prefix == options.Prefix;

    /// <summary>The notes of a thing of ours.</summary>
    public string[] ToNotes() => [$"{Scheme} {Prefix} {Kind.ToString().ToLowerInvariant()} {Key} {Name}", "Made by WeaveHypervisor; goes with its weave. Do not change or delete."];

    /// <summary>The mark of a machine's settings or a switch's; null where it bears none.</summary>
    public static OwnedMark? Of(CimObject settings) => settings.List(VirtualSystemSettingData.Notes) is [{ } first, ..] && first.Split('\n')[0].Trim().Split(' ') is [Scheme, var prefix, var kind, var key, var name]
        && Enum.TryParse<MarkKind>(kind, ignoreCase: true, out var parsed) ? new(prefix, parsed, key, name) : null;
}
