using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace WeaveHypervisor.Operations;

/// <summary>One operation's plan in memory together with its steps: what the runner drives, without knowing the plan's type.</summary>
internal abstract class StepRun
{
    public abstract bool IsNeeded(int step);
    public abstract Task<string?> DoAsync(int step, CancellationToken stop);
    public abstract Task<string?> UndoAsync(int step, CancellationToken stop);
    /// <summary>The plan as it is now, as JSON.</summary>
    public abstract string PlanJson();
    public abstract string? ResultJson();
}

internal sealed class TypedStepList<TPlan>(string kind, int version, JsonTypeInfo<TPlan> planType, IReadOnlyList<IStep<TPlan>> steps, int pointOfNoReturn, Func<TPlan, string?> result)
    : StepList where TPlan : class
{
    public override string Kind => kind;
    public override int Version => version;
    public override IReadOnlyList<string> StepNames { get; } = [.. steps.Select(s => s.Name)];
    public override int PointOfNoReturn => pointOfNoReturn;
    public override AfterCrash AfterCrashOf(int step) => steps[step].AfterCrash;

    internal override StepRun Begin(Operation operation, Func<Lease> lease, IProgress<StepProgress> progress, Func<string, CancellationToken, Task> savePlan)
    {
        var plan = JsonSerializer.Deserialize(operation.Plan, planType) ?? throw new InvalidDataException($"The plan of {operation.Id} is empty.");
        var context = new StepContext<TPlan>(operation, lease, plan, progress, (p, stop) => savePlan(JsonSerializer.Serialize(p, planType), stop));
        return new Run(this, context);
    }

    private sealed class Run(TypedStepList<TPlan> list, StepContext<TPlan> context) : StepRun
    {
        public override bool IsNeeded(int step) => list.Step(step).IsNeeded(context.Plan);
        public override Task<string?> DoAsync(int step, CancellationToken stop) => Noted(() => list.Step(step).DoAsync(context, stop));
        public override Task<string?> UndoAsync(int step, CancellationToken stop) => Noted(() => list.Step(step).UndoAsync(context, stop));
        public override string PlanJson() => JsonSerializer.Serialize(context.Plan, list.PlanType);
        public override string? ResultJson() => list.ResultOf(context.Plan);

        private async Task<string?> Noted(Func<Task> work)
        {
            context.Note = null;
            await work().ConfigureAwait(false);
            return context.Note;
        }
    }

    private IStep<TPlan> Step(int index) => steps[index];
    private JsonTypeInfo<TPlan> PlanType => planType;
    private string? ResultOf(TPlan plan) => result(plan);
}
