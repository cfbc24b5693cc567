using System.Reflection;
using WeaveHypervisor.Drivers;

namespace WeaveHypervisor.Weaving.Tests.Worlds;

/// <summary>
/// All calls that one service process makes on its driver, store and journal pass here, before and after their effect: to be counted, to fail, to act
/// in between, or to end the process. A process that has ended never goes on: none of its calls ends any more, and nothing of it is unwound.
/// </summary>
public sealed class Calls
{
    private readonly TaskCompletionSource _died = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<string> _passed = [];
    private int _dieAt = int.MaxValue;

    /// <summary>Boundaries passed since <see cref="Arm"/>, by name: "store.CommitAsync before".</summary>
    public IReadOnlyList<string> Passed => _passed;
    public Task Died => _died.Task;
    public bool IsDead => _died.Task.IsCompleted;
    /// <summary>Only boundaries of which this is true are counted and acted at.</summary>
    public Func<string, bool> Counts { get; set; } = IsEffect;
    /// <summary>Called at each counted boundary with its number from 0 and the call's token; may throw, to fail the call.</summary>
    private Func<int, string, CancellationToken, Task>? _act;

    /// <summary>Counts anew. The process ends at the boundary of that number.</summary>
    public void Arm(int dieAt = int.MaxValue, Func<int, string, CancellationToken, Task>? act = null)
    {
        lock (_passed)
        {
            _passed.Clear();
            (_dieAt, _act) = (dieAt, act);
        }
    }

    /// <summary>The process ends here.</summary>
    public Task DieAsync()
    {
        lock (_passed) _died.TrySetResult();
        return Never();
    }

    /// <summary>Points before effects, and within those of the host. What is true after one effect is true before the next.</summary>
    public static bool IsBeforeEffect(string boundary) => IsEffect(boundary) && !boundary.EndsWith(" after", StringComparison.Ordinal);

    /// <summary>What changes the host or the store, and the points within calls of the simulated host.</summary>
    public static bool IsEffect(string boundary) => boundary.StartsWith("host.", StringComparison.Ordinal) || boundary.StartsWith("store.Commit", StringComparison.Ordinal)
        || boundary.StartsWith("journal.Save", StringComparison.Ordinal)
        || (boundary.StartsWith("driver.", StringComparison.Ordinal) && !boundary.StartsWith("driver.Inspect", StringComparison.Ordinal) && !boundary.StartsWith("driver.List", StringComparison.Ordinal));

    public T Watch<T>(string port, T inner) where T : class
    {
        var proxy = DispatchProxy.Create<T, Proxy<T>>();
        ((Proxy<T>)(object)proxy).Begin(this, port, inner);
        return proxy;
    }

    public Task PassAsync(string boundary, CancellationToken stop)
    {
        Func<int, string, CancellationToken, Task>? act;
        int number;
        lock (_passed)
        {
            if (IsDead) return Never();
            if (!Counts(boundary)) return Task.CompletedTask;
            number = _passed.Count;
            _passed.Add(boundary);
            act = _act;
            if (number == _dieAt)
            {
                _died.SetResult();
                return Never();
            }
        }
        return act?.Invoke(number, boundary, stop) ?? Task.CompletedTask;
    }

    private static Task Never() => new TaskCompletionSource().Task;

    private class Proxy<T> : DispatchProxy where T : class
    {
        private Calls _calls = null!;
        private string _port = "";
        private T _inner = null!;

        public void Begin(Calls calls, string port, T inner) => (_calls, _port, _inner) = (calls, port, inner);

        protected override object? Invoke(MethodInfo? method, object?[]? args)
        {
            var stop = args?.OfType<CancellationToken>().LastOrDefault() ?? default;
            object? Call() => method!.Invoke(_inner, BindingFlags.DoNotWrapExceptions, null, args, null);
            // An optional ability is watched like the driver that has it.
            if (method!.Name == nameof(IHypervisorDriver.Facet))
                return Call() is { } ability ? typeof(Calls).GetMethod(nameof(Watch))!.MakeGenericMethod(method.ReturnType).Invoke(_calls, [_port, ability]) : null;
            var type = method.ReturnType;
            if (type == typeof(Task)) return Around(method.Name, async () => { await (Task)Call()!; return 0; }, stop);
            if (!type.IsGenericType || type.GetGenericTypeDefinition() != typeof(Task<>)) return Call();
            return typeof(Proxy<T>).GetMethod(nameof(Typed), BindingFlags.Instance | BindingFlags.NonPublic)!.MakeGenericMethod(type.GetGenericArguments()).Invoke(this, [method.Name, (Func<object?>)Call, stop]);
        }

        private Task<TAnswer> Typed<TAnswer>(string verb, Func<object?> call, CancellationToken stop) => Around(verb, () => (Task<TAnswer>)call()!, stop);

        private async Task<TAnswer> Around<TAnswer>(string verb, Func<Task<TAnswer>> call, CancellationToken stop)
        {
            await _calls.PassAsync($"{_port}.{verb} before", stop);
            var answer = await call();
            await _calls.PassAsync($"{_port}.{verb} after", stop);
            return answer;
        }
    }
}
