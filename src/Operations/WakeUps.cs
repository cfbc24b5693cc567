using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>The environments that this process works on, and the operations whose wake-ups have come for that work: none is lost between the last look of a run and its end.</summary>
internal sealed class WakeUps
{
    private readonly Lock _gate = new();
    private readonly Dictionary<EnvironmentId, HashSet<OperationId>> _atWork = [];

    public bool IsAtWork(EnvironmentId environment) { lock (_gate) return _atWork.ContainsKey(environment); }

    /// <summary>True: the caller begins to work there. False: a run does already, and <paramref name="wanted"/> is left to it.</summary>
    public bool Enter(EnvironmentId environment, OperationId? wanted)
    {
        lock (_gate)
        {
            var first = !_atWork.TryGetValue(environment, out var all);
            if (first) _atWork[environment] = all = [];
            if (wanted is { } id) all!.Add(id);
            return first;
        }
    }

    /// <summary>What is wanted and has not been told to be over.</summary>
    public IReadOnlyList<OperationId> Wanted(EnvironmentId environment) { lock (_gate) return [.. _atWork[environment]]; }

    public bool IsWanted(EnvironmentId environment, OperationId id) { lock (_gate) return _atWork[environment].Contains(id); }

    /// <summary>True where nothing but that operation is wanted.</summary>
    public bool IsLast(EnvironmentId environment, OperationId id) { lock (_gate) return _atWork[environment] is var all && all.Count == (all.Contains(id) ? 1 : 0); }

    public void Over(EnvironmentId environment, OperationId id) { lock (_gate) _atWork[environment].Remove(id); }

    /// <summary>Ends the work where nothing is wanted any more; false where something is.</summary>
    public bool TryLeave(EnvironmentId environment)
    {
        lock (_gate)
        {
            if (_atWork.TryGetValue(environment, out var all) && all.Count > 0) return false;
            _atWork.Remove(environment);
            return true;
        }
    }

    /// <summary>Ends the work, whatever is still wanted. No effect where it has ended.</summary>
    public void Leave(EnvironmentId environment) { lock (_gate) _atWork.Remove(environment); }
}
