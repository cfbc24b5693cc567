using System.Text.Json.Serialization;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>What is decided once for a fence and kept beside it: its uplink subnet and the outer address of every inner one.</summary>
/// <param name="Subnet">First three bytes of its /24 of 100.64.0.0/10, as text: "100.64.7".</param>
internal sealed record FenceRecord(FenceTag Tag, string Subnet, IReadOnlyList<MachineAddress> Addresses)
{
    /// <summary>MACs, in lower case, that legs of the gateway have by the environment's networks; none in records of before 2026-11-25.</summary>
    public IReadOnlyList<string> GatewayMacs { get; init => field = value ?? []; } = [];
    /// <summary>Which link on the host each machine's interface gets when it is started; once given, a number stays with it. None in records of before 2026-11-30.</summary>
    public IReadOnlyList<FencePlug> Plugs { get; init => field = value ?? []; } = [];
    /// <summary>The fence has or had security groups: only such a one is asked for their table.</summary>
    public bool Grouped { get; init; }
    public string HostAddress => Subnet + ".1";
    public string GatewayAddress => Subnet + ".2";
    /// <summary>Outer addresses begin here; a fence has at most 240.</summary>
    public const int FirstOuter = 10, LastOuter = 249;
}

/// <param name="Mac">Of the machine's interface, in lower case.</param>
/// <param name="Number">Of <see cref="FenceNames.Tap"/>.</param>
internal sealed record FencePlug(MachineName Machine, string Mac, int Number);

[JsonSourceGenerationOptions(WriteIndented = true)]
[JsonSerializable(typeof(FenceRecord))]
internal sealed partial class FenceJson : JsonSerializerContext;
