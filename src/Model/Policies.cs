using System.Text.Json.Serialization;

namespace WeaveHypervisor.Model;

/// <summary>
/// When points of an environment's active weave are taken by themselves, and which of those are kept. All times are UTC.
/// <para><b>When.</b> Time is cut into slots of <see cref="Every"/>, counted from 0001-01-01T00:00:00Z (every 5 minutes: at :00, :05, :10…). One point is taken in each slot, as soon as
/// it has begun. Slots in which the service did not run are not made up for. Where the last automatic point still waits or is being taken, its successor is left out.</para>
/// <para><b>How long.</b> An automatic point is kept if any of the three rules keeps it. Points of the user's, labelled ones and those that something was made from are never removed.</para>
/// </summary>
public sealed record SnapshotPolicy
{
    /// <summary>Who makes automatic points and removes them, in journal and audit log; no token can have this name.</summary>
    public const string Maker = "(policy)";

    /// <summary>1 second to 31 days.</summary>
    public required TimeSpan Every { get; init; }
    /// <summary>False: disks only.</summary>
    // Every document has it since there are policies. Generated code gives an init-only member false where it is left out, which cannot be told from one that was set to it.
    [JsonRequired]
    public bool Memory { get; init; } = true;
    /// <summary>Ask guest agents to freeze file systems first, in machines whose memory is not captured.</summary>
    public bool Quiesce { get; init; }
    /// <summary>The newest so many automatic points are kept, 1–10000.</summary>
    public required int KeepLast { get; init; }
    /// <summary>
    /// Of the newest so many clock hours that have an automatic point, the newest point of each is kept, 0–10000. Hours without one are not counted: after a gap older points stay,
    /// and time alone removes nothing.
    /// </summary>
    public int Hourly { get; init; }
    /// <summary>As <see cref="Hourly"/>, of UTC days; 0–10000.</summary>
    public int Daily { get; init; }
    /// <summary>Of each so many slots, counted like those, one point is revived in isolation to see whether it comes to life: the first that is ready when somebody looks. 0: none; to 10000.</summary>
    public int VerifyEvery { get; init; }
}
