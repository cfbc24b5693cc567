using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Cim.Tests.Jobs;

/// <summary>A host that answers as a test has written down: each look at the job takes the next of <see cref="Looks"/>, the last one for ever.</summary>
internal sealed class ScriptedClient : ICimClient
{
    private readonly Queue<Func<CimAnswer>> _answers = new();
    private int _looked;

    public static readonly CimPath Service = CimPath.To(null, @"root\virtualization\v2", VirtualSystemSnapshotService.ClassName, ("Name", "vssnapsvc"));
    public static readonly CimPath JobPath = CimPath.To(null, @"root\virtualization\v2", ConcreteJob.ClassName, ("InstanceID", "J1"));
    public static CimCall Call => VirtualSystemSnapshotService.CreateSnapshot(snapshotType: 2);

    public List<CimCall> Calls { get; } = [];
    public List<Func<CimObject>> Looks { get; } = [];
    public string[] Errors { get; set; } = [];

    public ScriptedClient Answers(uint value) => Answers(() => new CimAnswer(value, value == 4096 ? new Dictionary<string, CimValue> { ["Job"] = CimValue.Of(JobPath) } : []));

    public ScriptedClient Answers(Func<CimAnswer> answer)
    {
        _answers.Enqueue(answer);
        return this;
    }

    public ScriptedClient Job(ushort state, ushort code = 0, string? text = null, bool cancellable = false) => Look(() => new CimObject(ConcreteJob.ClassName, JobPath)
        .With(ConcreteJob.JobState, state).With(ConcreteJob.ErrorCode, code).With(ConcreteJob.ErrorDescription, text).With(ConcreteJob.Cancellable, cancellable).With(ConcreteJob.PercentComplete, (ushort)40));

    public ScriptedClient Look(Func<CimObject> look)
    {
        Looks.Add(look);
        return this;
    }

    public ScriptedClient Fails(CimStatus status) => Look(() => throw new CimException(status, "scripted"));

    public Task<CimObject> GetAsync(CimPath path, CancellationToken stop)
    {
        Assert.Equal(JobPath, path);
        return Task.FromResult(Looks[Math.Min(_looked++, Looks.Count - 1)]());
    }

    public Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop)
    {
        Calls.Add(call);
        if (target.Equals(JobPath)) return Task.FromResult(new CimAnswer(0, call.Method == "GetErrorEx" ? new Dictionary<string, CimValue> { ["Errors"] = CimValue.Of(Errors) } : []));
        return Task.FromResult((_answers.Count > 1 ? _answers.Dequeue() : _answers.Peek())());
    }

    public Task<IReadOnlyList<CimObject>> AssociatorsAsync(CimPath path, string? associationClass, string? resultClass, string? role, string? resultRole, CancellationToken stop)
    {
        Assert.Equal((JobPath, "CIM_AffectedJobElement"), (path, associationClass));
        return Task.FromResult<IReadOnlyList<CimObject>>([new CimObject(resultClass!)]);
    }

    public Task<IReadOnlyList<CimObject>> QueryAsync(string @namespace, string wql, CancellationToken stop) => throw new NotSupportedException();
    public Task<CimObject> CreateAsync(string @namespace, CimObject instance, CancellationToken stop) => throw new NotSupportedException();
    public Task DeleteAsync(CimPath path, CancellationToken stop) => throw new NotSupportedException();
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
