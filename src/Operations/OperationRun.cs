using Microsoft.Extensions.Logging;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>One operation under one lease, from where the journal has it to its end.</summary>
/// <remarks>
/// What is written goes with the next write where nothing has its effect before that: that the operation runs with the intent of its first step, the end of a step with the intent of the next or with
/// the end of the operation. So one of n steps costs n + 1 writes.
/// </remarks>
/// <param name="lastHere">Asked at the end: true where the lease can be given back with it.</param>
internal sealed partial class OperationRun(Operation operation, LeaseHold hold, Func<bool> lastHere, IJournal journal, StepCatalogue catalogue, TimeProvider clock, ProgressBoard board,
    RunnerOptions options, ILogger log)
{
    /// <summary>Guards <see cref="_now"/> and the order of journal writes: a step may save its plan from several threads.</summary>
    private readonly SemaphoreSlim _writes = new(1, 1);
    private Operation _now = operation;
    private StepList _list = null!;
    private StepRun _run = null!;
    private int _step;
    /// <summary>A request to cancel was read; apart from <see cref="_now"/>, because the watcher reads while a write may be under way.</summary>
    private volatile bool _cancelSeen;
    /// <summary>The step whose end goes with the next write; null: none.</summary>
    private string? _doneUnwritten;
    private Operation? _left;
    private CancellationToken _stop;

    private CancellationToken Lost => hold.Lost;

    /// <summary>Answers the oldest operation of the environment that was unfinished when this one ended.</summary>
    public async Task<Operation?> RunAsync(CancellationToken stop)
    {
        _stop = stop;
        await RunToEndAsync().ConfigureAwait(false);
        return _left;
    }

    private async Task RunToEndAsync()
    {
        if (_now.CancelRequested && _now.State == OperationState.Queued)
        {
            await EndAsync(OperationState.Undone, Cancelled()).ConfigureAwait(false);
            return;
        }
        if (!await BeginAsync().ConfigureAwait(false)) return;
        if (_now.State == OperationState.Running && !await ForwardAsync().ConfigureAwait(false)) return;
        if (_now.State == OperationState.Undoing) await BackAsync().ConfigureAwait(false);
    }

    /// <summary>Loads steps and plan; that the operation runs (again) is written with what comes next. False: it ended here, because its list cannot be run and nothing was begun.</summary>
    private async Task<bool> BeginAsync()
    {
        try
        {
            _list = catalogue.Get(_now.Kind);
            if (!_list.StepNames.SequenceEqual(_now.Steps.Select(s => s.Name), StringComparer.Ordinal))
                throw new WeaveException(Fault.Unsupported, $"Operation {_now.Id} ({_now.Kind}, version {_now.Version}) was written with other steps than this service has (version {_list.Version}).",
                    "Start the version of the service that wrote it, and let it finish.");
            _run = _list.Begin(_now, () => hold.Lease, new Reporter(this), SavePlanAsync);
        }
        catch (Exception e) when (_now.State == OperationState.Queued)
        {
            await EndAsync(OperationState.Undone, ErrorOf(e)).ConfigureAwait(false);
            return false;
        }
        var resumed = _now.State != OperationState.Queued;
        _now = _now with
        {
            State = _now.State == OperationState.Queued ? OperationState.Running : _now.State,
            StartedAt = _now.StartedAt ?? clock.GetUtcNow(),
            Resumptions = _now.Resumptions + (resumed ? 1 : 0),
        };
        if (!resumed || _now.State != OperationState.Running) return true;

        Resumed(log, _now.Id, _now.Kind, _now.Resumptions);
        var doing = IndexOf(StepState.Doing);
        if (doing >= 0 && doing < _list.PointOfNoReturn && (_list.AfterCrashOf(doing) == AfterCrash.Undo || _now.Resumptions > options.MostResumptions))
            await TurnBackAsync(new(Fault.Unavailable, $"The service ended in the middle of {_now.Steps[doing].Name} of {_now.Kind} {_now.Subject}, which cannot be continued; what had been done was taken back.",
                "Submit the request again.", [])).ConfigureAwait(false);
        return true;
    }

    /// <summary>Does the steps that are left. True: all is written for what comes next (undo); false: it ended.</summary>
    private async Task<bool> ForwardAsync()
    {
        for (_step = 0; _step < _now.Steps.Count; _step++)
        {
            if (_now.Steps[_step].State == StepState.Done) continue;
            if (_now.Steps[_step].State == StepState.Pending && !_run.IsNeeded(_step))
            {
                // Stands in the journal with the next write. Lost before that, it is passed over again.
                _now = At(_now, s => s with { State = StepState.Done });
                continue;
            }
            // Until the only way is forward somebody may cancel: the end of what came before is written first, and its answer tells.
            if (_step == _list.PointOfNoReturn && _doneUnwritten is not null) await SaveAsync(o => o).ConfigureAwait(false);
            // A forward-only step that has begun makes the whole way forward-only, also when its record says Doing after a crash.
            var reversible = _step < _list.PointOfNoReturn;
            var began = clock.GetTimestamp();
            for (var attempt = 1; ; attempt++)
            {
                // Each write's answer tells of a request to cancel.
                if (CanTurnBack && (_cancelSeen || _now.CancelRequested))
                {
                    await TurnBackAsync(Cancelled()).ConfigureAwait(false);
                    return true;
                }
                var failure = await AttemptAsync(reversible).ConfigureAwait(false);
                if (failure is null) break;
                if (failure is OperationCanceledException && (_cancelSeen || _now.CancelRequested))
                {
                    await TurnBackAsync(Cancelled()).ConfigureAwait(false);
                    return true;
                }
                StepFailed(log, failure, _now.Steps[_step].Name, _now.Id, _now.Kind, attempt);
                if (reversible)
                {
                    // What cannot be had again after a crash cannot be had again after a failure either.
                    var again = failure is WeaveException { IsTransient: true } && attempt <= options.TransientRetries && _list.AfterCrashOf(_step) == AfterCrash.Repeat;
                    if (!again)
                    {
                        await TurnBackAsync(ErrorOf(failure)).ConfigureAwait(false);
                        return true;
                    }
                }
                else if (attempt >= options.ForwardAttempts && !MayPass(failure, began))
                {
                    var error = ErrorOf(failure);
                    await SaveLastAsync(o => At(o, s => s with { State = StepState.Failed, EndedAt = clock.GetUtcNow(), Note = error.Message })
                        with { State = OperationState.Failed, EndedAt = clock.GetUtcNow(), Error = error with { NextStep = error.NextStep ?? "Remove the cause, look at the host with `weave doctor`, and submit the request again." } }).ConfigureAwait(false);
                    return false;
                }
                await PauseAsync(options.Backoff(attempt), watchCancel: CanTurnBack).ConfigureAwait(false);
            }
        }
        await SaveLastAsync(o => o with { State = OperationState.Succeeded, EndedAt = clock.GetUtcNow(), Result = _run.ResultJson() }).ConfigureAwait(false);
        Ended(log, _now.Id, _now.Kind, _now.Subject, _now.State);
        return false;
    }

    /// <summary>Null: the step is done, which the next write says. Throws only what ends the run as a whole.</summary>
    private async Task<Exception?> AttemptAsync(bool cancellable)
    {
        var name = _now.Steps[_step].Name;
        KillSwitch.Pass(_now.Kind, name, "before");
        await SaveAsync(o => At(o, s => s with { State = StepState.Doing, StartedAt = s.StartedAt ?? clock.GetUtcNow(), EndedAt = null, Attempts = s.Attempts + 1 })).ConfigureAwait(false);
        KillSwitch.Pass(_now.Kind, name, "doing");
        if (cancellable && _now.CancelRequested) return new OperationCanceledException();
        string? note = null;
        var failure = await GuardedAsync(async token => note = await _run.DoAsync(_step, token).ConfigureAwait(false), cancellable).ConfigureAwait(false);
        if (failure is not null) return failure;
        KillSwitch.Pass(_now.Kind, name, "after");
        var plan = _run.PlanJson();
        _now = At(_now, s => s with { State = StepState.Done, EndedAt = clock.GetUtcNow(), Note = note ?? s.Note }) with { Plan = plan };
        _doneUnwritten = name;
        return null;
    }

    /// <summary>Undoes what was begun, last step first. Ends the operation.</summary>
    private async Task BackAsync()
    {
        for (_step = _now.Steps.Count - 1; _step >= 0; _step--)
        {
            if (_now.Steps[_step].State is StepState.Pending or StepState.Undone) continue;
            var began = clock.GetTimestamp();
            for (var attempt = 1; ; attempt++)
            {
                var name = _now.Steps[_step].Name;
                await SaveAsync(o => At(o, s => s with { State = StepState.Undoing, Attempts = s.Attempts + 1 })).ConfigureAwait(false);
                KillSwitch.Pass(_now.Kind, name, "undoing");
                string? note = null;
                var failure = await GuardedAsync(async token => note = await _run.UndoAsync(_step, token).ConfigureAwait(false), cancellable: false).ConfigureAwait(false);
                if (failure is null)
                {
                    var plan = _run.PlanJson();
                    await SaveAsync(o => At(o, s => s with { State = StepState.Undone, EndedAt = clock.GetUtcNow(), Note = note ?? s.Note }) with { Plan = plan }).ConfigureAwait(false);
                    KillSwitch.Pass(_now.Kind, name, "undone");
                    break;
                }
                UndoFailed(log, failure, name, _now.Id, _now.Kind, attempt);
                if (attempt >= options.UndoAttempts && !MayPass(failure, began))
                {
                    var why = ErrorOf(failure);
                    var error = new OperationError(_now.Error?.Fault ?? why.Fault, $"{_now.Error?.Message} Taking back {name} failed too: {why.Message}".TrimStart(),
                        why.NextStep ?? "Remove the cause and look at the host with `weave doctor`: something may be left over.", _now.Error?.Holders ?? why.Holders);
                    await SaveLastAsync(o => At(o, s => s with { State = StepState.Failed, EndedAt = clock.GetUtcNow(), Note = why.Message })
                        with { State = OperationState.Failed, EndedAt = clock.GetUtcNow(), Error = error }).ConfigureAwait(false);
                    Ended(log, _now.Id, _now.Kind, _now.Subject, _now.State);
                    return;
                }
                await PauseAsync(options.Backoff(attempt), watchCancel: false).ConfigureAwait(false);
            }
        }
        await EndAsync(OperationState.Undone, _now.Error).ConfigureAwait(false);
    }

    /// <summary>Runs one piece of a step. Answers its failure; throws where the lease was lost or the service stops, for then nothing more may be written.</summary>
    private async Task<Exception?> GuardedAsync(Func<CancellationToken, Task> work, bool cancellable)
    {
        using var cut = CancellationTokenSource.CreateLinkedTokenSource(Lost, _stop);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cut.Token);
        var watch = cancellable ? WatchCancelAsync(cut, over.Token) : Task.CompletedTask;
        try
        {
            await work(cut.Token).ConfigureAwait(false);
            return null;
        }
        catch (Exception) when (Lost.IsCancellationRequested)
        {
            throw new LeaseLostException();
        }
        catch (LeaseLostException)
        {
            throw;
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception e)
        {
            return e;
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            await watch.ConfigureAwait(false);
        }
    }

    /// <summary>Cancels the step when somebody asks for it; ends with <paramref name="over"/>.</summary>
    private async Task WatchCancelAsync(CancellationTokenSource cut, CancellationToken over)
    {
        using var signal = new SemaphoreSlim(0);
        using var _ = board.OnCancelSignal(_now.Id, () => { try { signal.Release(); } catch (ObjectDisposedException) { } });
        try
        {
            while (true)
            {
                using var either = CancellationTokenSource.CreateLinkedTokenSource(over);
                await Task.WhenAny(Task.Delay(options.CancelPoll, clock, either.Token), signal.WaitAsync(either.Token)).ConfigureAwait(false);
                await either.CancelAsync().ConfigureAwait(false);
                over.ThrowIfCancellationRequested();
                if (!await CancelRequestedAsync(over).ConfigureAwait(false)) continue;
                await cut.CancelAsync().ConfigureAwait(false);
                return;
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
        }
        catch (WeaveException e) when (e.IsTransient)
        {
            // The request stays in the journal and is seen at the step's end.
        }
    }

    private async Task PauseAsync(TimeSpan time, bool watchCancel)
    {
        var failure = await GuardedAsync(token => Task.Delay(time, clock, token), watchCancel).ConfigureAwait(false);
        if (failure is not null and not OperationCanceledException) throw new LeaseLostException(failure);
    }

    private bool CanTurnBack => _step < _list.PointOfNoReturn || (_step == _list.PointOfNoReturn && _now.Steps[_step].State == StepState.Pending);

    private async Task<bool> CancelRequestedAsync(CancellationToken stop)
    {
        if (_cancelSeen || _now.CancelRequested) return true;
        var stored = await journal.FindAsync(_now.Id, stop).ConfigureAwait(false);
        return _cancelSeen = stored is { CancelRequested: true };
    }

    private bool MayPass(Exception failure, long began) => failure is WeaveException { IsTransient: true } && clock.GetElapsedTime(began) < options.TransientPatience;

    private Task TurnBackAsync(OperationError error) => SaveAsync(o => o with { State = OperationState.Undoing, Error = error });

    private async Task EndAsync(OperationState state, OperationError? error)
    {
        await SaveLastAsync(o => o with { State = state, EndedAt = clock.GetUtcNow(), Error = error }).ConfigureAwait(false);
        Ended(log, _now.Id, _now.Kind, _now.Subject, _now.State);
    }

    private Task SavePlanAsync(string plan, CancellationToken stop) => SaveAsync(o => o with { Plan = plan });

    private Task SaveAsync(Func<Operation, Operation> change) => WriteAsync(change, hold.SaveAsync);

    /// <summary>Writes the end.</summary>
    private Task SaveLastAsync(Func<Operation, Operation> change) => WriteAsync(change, async (o, stop) =>
    {
        var ended = await hold.SaveLastAsync(o, lastHere(), stop).ConfigureAwait(false);
        _left = ended.Next;
        return ended.Operation;
    });

    /// <summary>Writes the next revision. A refusal means that another runner has the environment; the journal being away for a moment does not.</summary>
    private async Task WriteAsync(Func<Operation, Operation> change, Func<Operation, CancellationToken, Task<Operation>> write)
    {
        await _writes.WaitAsync(_stop).ConfigureAwait(false);
        try
        {
            var wanted = change(_now) with { Revision = _now.Revision + 1 };
            for (var attempt = 1; ; attempt++)
            {
                if (Lost.IsCancellationRequested) throw new LeaseLostException();
                _stop.ThrowIfCancellationRequested();
                try
                {
                    _now = await write(wanted, _stop).ConfigureAwait(false);
                    board.Report(_now);
                    if (_doneUnwritten is { } done) KillSwitch.Pass(_now.Kind, done, "done");
                    _doneUnwritten = null;
                    return;
                }
                catch (WeaveException e) when (e.Fault == Fault.Conflict)
                {
                    throw new LeaseLostException(e);
                }
                catch (WeaveException e) when (e.IsTransient && attempt < options.UndoAttempts)
                {
                    await Task.Delay(options.Backoff(attempt), clock, _stop).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            _writes.Release();
        }
    }

    private Operation At(Operation o, Func<StepRecord, StepRecord> change) => o with { Steps = [.. o.Steps.Select((s, i) => i == _step ? change(s) : s)] };

    private int IndexOf(StepState state)
    {
        for (var i = 0; i < _now.Steps.Count; i++) if (_now.Steps[i].State == state) return i;
        return -1;
    }

    private static OperationError Cancelled() => new(Fault.Conflict, "Cancelled as requested; what had been done was taken back.", null, []);

    private static OperationError ErrorOf(Exception e) => e switch
    {
        WeaveException w => new(w.Fault, w.Message, w.NextStep, w.Holders),
        _ => new(Fault.Internal, $"Unexpected failure ({e.GetType().Name}): {e.Message}", "Look at the service's log and report it.", []),
    };

    private sealed class Reporter(OperationRun run) : IProgress<StepProgress>
    {
        public void Report(StepProgress value) => run.Tell(value);
    }

    private void Tell(StepProgress p) => board.Report(new OperationProgress(_now.Id, _now.Steps[_step].Name, p.Activity, p.Done, p.Total));

    [LoggerMessage(LogLevel.Information, "Operation {Id} ({Kind}) is taken up again, for the {Count}. time.")]
    private static partial void Resumed(ILogger log, OperationId id, string kind, int count);

    [LoggerMessage(LogLevel.Warning, "Step {Step} of operation {Id} ({Kind}) failed, attempt {Attempt}.")]
    private static partial void StepFailed(ILogger log, Exception e, string step, OperationId id, string kind, int attempt);

    [LoggerMessage(LogLevel.Warning, "Undoing step {Step} of operation {Id} ({Kind}) failed, attempt {Attempt}.")]
    private static partial void UndoFailed(ILogger log, Exception e, string step, OperationId id, string kind, int attempt);

    [LoggerMessage(LogLevel.Information, "Operation {Id} ({Kind} {Subject}) ended: {State}.")]
    private static partial void Ended(ILogger log, OperationId id, string kind, string subject, OperationState state);
}
