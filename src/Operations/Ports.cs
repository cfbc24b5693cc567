using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>Wakes a runner for an operation, in this process or another. Losing a wake-up loses nothing: unfinished operations are found in the journal.</summary>
public interface IOperationQueue
{
    /// <param name="host">The host whose services alone may run it; null: this service's own.</param>
    void Enqueue(OperationId id, HostId? host = null);
}

/// <summary>The step lists of this build, by kind.</summary>
public sealed class StepCatalogue(IEnumerable<StepList> lists)
{
    private readonly Dictionary<string, StepList> _lists = lists.ToDictionary(l => l.Kind, StringComparer.Ordinal);

    public IReadOnlyCollection<StepList> All => _lists.Values;

    /// <summary>The list of that kind; <see cref="Fault.Unsupported"/> where this build has none.</summary>
    public StepList Get(string kind) => _lists.TryGetValue(kind, out var list) ? list
        : throw new WeaveException(Fault.Unsupported, $"This version of the service does not know operations of kind {Ids.Quote(kind)}.", "Start the version of the service that wrote it.");
}
