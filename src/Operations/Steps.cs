using System.Text.Json.Serialization.Metadata;

namespace WeaveHypervisor.Operations;

/// <summary>What the runner does with a step that was being done when the process died.</summary>
public enum AfterCrash
{
    /// <summary>Do it again: it looks before it acts.</summary>
    Repeat,
    /// <summary>It cannot be had again (an instant): undo the operation.</summary>
    Undo,
}

/// <summary>One step of an operation. Instances are shared by all operations and hold no state.</summary>
public interface IStep<TPlan> where TPlan : class
{
    /// <summary>Stored name; never changes once released.</summary>
    string Name { get; }
    AfterCrash AfterCrash => AfterCrash.Repeat;
    /// <summary>False where an operation with this plan has nothing to do in this step: it is passed over, and nothing is written for it alone.</summary>
    bool IsNeeded(TPlan plan) => true;
    /// <summary>May run again at any time: looks, then acts. What it learns goes into the plan, which is stored with the step's end.</summary>
    Task DoAsync(StepContext<TPlan> context, CancellationToken stop);
    /// <summary>Takes back a whole or half-done <see cref="DoAsync"/>; may run again at any time; also runs where Do failed at its first line.</summary>
    Task UndoAsync(StepContext<TPlan> context, CancellationToken stop);
}

/// <summary>What a step gets: the plan, which operation it is, and where progress goes.</summary>
public sealed class StepContext<TPlan>(Operation operation, Func<Lease> lease, TPlan plan, IProgress<StepProgress> progress, Func<TPlan, CancellationToken, Task> save) where TPlan : class
{
    public Operation Operation { get; } = operation;
    /// <summary>The lease under which this step runs: every write to a store presents it.</summary>
    public Lease Lease => lease();
    /// <summary>The one mutable object of the operation.</summary>
    public TPlan Plan { get; } = plan;
    public IProgress<StepProgress> Progress { get; } = progress;
    /// <summary>A line for people that is stored with the step.</summary>
    public string? Note { get; set; }
    /// <summary>Writes the plan now, in the middle of a step: intent before effect.</summary>
    public Task SavePlanAsync(CancellationToken stop) => save(Plan, stop);

    /// <summary>The same for a step of another operation that runs as a part of this one. Its plan is a part of <see cref="Plan"/>, and is written with it; its note is its own.</summary>
    public StepContext<TPart> Within<TPart>(TPart part) where TPart : class => new(Operation, lease, part, Progress, (_, stop) => SavePlanAsync(stop));
}

public readonly record struct StepProgress(string Activity, long Done = 0, long Total = 0);

/// <summary>The named, versioned list of steps of one kind of operation.</summary>
public abstract class StepList
{
    public abstract string Kind { get; }
    public abstract int Version { get; }
    public abstract IReadOnlyList<string> StepNames { get; }
    /// <summary>Index of the first step after which the only way is forward; <c>StepNames.Count</c> where every step can be undone.</summary>
    public abstract int PointOfNoReturn { get; }
    public abstract AfterCrash AfterCrashOf(int step);
    internal abstract StepRun Begin(Operation operation, Func<Lease> lease, IProgress<StepProgress> progress, Func<string, CancellationToken, Task> savePlan);

    public static StepListBuilder<TPlan> For<TPlan>(string kind, int version, JsonTypeInfo<TPlan> plan) where TPlan : class => new(kind, version, plan);
}

/// <summary>Collects the steps of one list, in order.</summary>
public sealed class StepListBuilder<TPlan>(string kind, int version, JsonTypeInfo<TPlan> plan) where TPlan : class
{
    private readonly List<IStep<TPlan>> _steps = [];
    private int? _pointOfNoReturn;
    private Func<TPlan, string?> _result = _ => null;

    /// <summary>Adds a step; names must be unique in the list.</summary>
    public StepListBuilder<TPlan> Then(IStep<TPlan> step)
    {
        if (_steps.Any(s => s.Name == step.Name)) throw new ArgumentException($"The list {kind} has a step {step.Name} already.", nameof(step));
        _steps.Add(step);
        return this;
    }

    /// <summary>From the next step on a failure is tried again, never undone.</summary>
    public StepListBuilder<TPlan> PointOfNoReturn()
    {
        _pointOfNoReturn = _steps.Count;
        return this;
    }

    /// <summary>JSON of the result, made from the plan when all steps are done.</summary>
    public StepListBuilder<TPlan> Result(Func<TPlan, string?> result)
    {
        _result = result;
        return this;
    }

    public StepList Build() => new TypedStepList<TPlan>(kind, version, plan, [.. _steps], _pointOfNoReturn ?? _steps.Count, _result);
}
