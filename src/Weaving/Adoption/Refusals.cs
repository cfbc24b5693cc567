using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Adoption;

internal static class Refusals
{
    /// <summary>One fault that names every refusal, not the first only, with all next steps.</summary>
    public static WeaveException ToFault(string what, IReadOnlyList<Refusal> refusals) => new(Fault.Unsupported,
        $"{what}: {string.Join("; ", refusals.Select(r => $"{r.Subject}: {r.Reason}"))}",
        string.Join(" ", refusals.Select(r => r.NextStep).Where(s => s.Length > 0).Distinct()));
}
