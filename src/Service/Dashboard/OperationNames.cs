using System.Collections.Concurrent;
using Hangfire.Common;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Jobs;

namespace WeaveHypervisor.Service.Dashboard;

/// <summary>The names under which jobs are shown: a job carries an operation's id alone, the journal has what it does and to what.</summary>
internal sealed class OperationNames(IJournal journal)
{
    private const int MostKept = 4096;
    private readonly ConcurrentDictionary<string, string> _names = new(StringComparer.Ordinal);

    /// <summary>"snapshot lab/main".</summary>
    public static string Of(Operation operation) => $"{operation.Kind} {operation.Subject}";

    /// <summary>The name of the operation that a job wakes; the job's own text where it is another job or the operation is gone.</summary>
    public string Of(Job job)
    {
        if (IdOf(job) is not { } id) return job.ToString();
        if (_names.TryGetValue(id, out var known)) return known;
        if (!OperationId.TryCreate(id, out var operation) || journal.FindAsync(operation, CancellationToken.None).GetAwaiter().GetResult() is not { } found) return $"operation {Ids.Quote(id)}";
        if (_names.Count >= MostKept) _names.Clear();
        return _names[id] = Of(found);
    }

    /// <summary>The operation's id in a job of ours, otherwise null.</summary>
    public static string? IdOf(Job? job) => job?.Type == typeof(OperationJob) && job.Args is [string id, ..] ? id : null;
}
