using System.Text.Json;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Tests.Matrix;
using WeaveHypervisor.Weaving.Tests.Worlds;
using WeaveHypervisor.Weaving.Volumes;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Sequences;

/// <summary>A world and what must be in it: the orders that each weave and each snapshot has of its web machine, the content of its volume db/data, and what holds what.</summary>
internal sealed class ModelWorld : IAsyncDisposable
{
    /// <param name="Content">Of the blocks at <see cref="Places"/>.</param>
    /// <param name="Kept">The last sync into this line, and what was there before it.</param>
    private sealed record Line(List<string> Orders, string Content, SnapshotId? Origin, DateTimeOffset? Ends, (OperationId Sync, string Content)? Kept = null)
    {
        public EnvironmentRules Rules { get; init; } = EnvironmentRules.None;
    }

    /// <param name="ForWeave">Taken only to make a weave from now: it goes with the last weave that is made from it.</param>
    /// <param name="Number">In the order in which they were taken.</param>
    private sealed record Moment(IReadOnlyList<string> Orders, string Content, WeaveId Weave, bool ForWeave, bool Automatic, int Number)
    {
        public EnvironmentRules Rules { get; init; } = EnvironmentRules.None;
    }

    private static readonly VolumeId Data = VolumeId.Parse("db/data");
    /// <summary>Blocks of 4 KiB that are written to, in two clusters.</summary>
    private static readonly int[] Places = [0, 1, 20, 70];
    private readonly World _world = new World(inMemory: true).WithMachines();
    private readonly SortedDictionary<string, Line> _weaves = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, Moment> _moments = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, string?> _routes = new(StringComparer.Ordinal);
    private bool _adopted;
    private int _count;
    private SnapshotPolicy? _policy;
    /// <summary>Points whose removal failed once: the next trial is a day later.</summary>
    private readonly HashSet<string> _spared = [];

    public async Task<string> DoAsync(Step step)
    {
        if (!_adopted)
        {
            _policy = new() { Every = TimeSpan.FromMinutes(5), KeepLast = 2, Memory = false };
            await _world.SucceedAsync(w => w.AdoptAsync(AdoptionOf("lab", "web", "db") with { Policy = _policy }, Me, default), WeavingJson.Default.AdoptResult);
            (_weaves["main"], _adopted) = (new([], new('\0', Places.Length), null, null), true);
        }
        var outcome = $"{step.Act} {await ActAsync(step)}";
        await CheckAsync();
        return outcome;
    }

    /// <summary>Every snapshot comes to life with exactly its content; then all is given back, and the originals have what they acknowledged.</summary>
    public async Task EndAsync()
    {
        if (!_adopted) return;
        _world.Calls.Arm();
        foreach (var (id, moment) in _moments)
        {
            await _world.CreateAsync("proof", snapshot: SnapshotId.Parse(id), start: StartMode.Boot);
            Assert.Equal((id, string.Join(",", moment.Orders)), (id, string.Join(",", (await _world.AskAsync("proof", Web))!.Orders)));
            Assert.Equal((id, moment.Content), (id, Content(await _world.ReadAsync("proof", Data))));
            await _world.DeleteAsync("proof");
        }
        await CheckAsync();
        var main = await _world.WeaveAsync("main");
        var ended = await _world.RunAsync(w => w.ReleaseAsync(Lab, true, Me, default));
        Assert.True(ended.State == OperationState.Succeeded, ended.Error?.Message);
        await _world.CheckAsync();
        await using var driver = new Simulator.SimulatedHypervisor(_world.Host);
        Assert.Empty((await driver.ListOwnedAsync(default)).Things);
        var web = main.Machines.Single(m => m.Name == Web);
        var facts = await driver.InspectAsync(web.ToRef(), default);
        Assert.StartsWith(_world.Host.UserFolder, facts!.VolumePaths["vda"]);
        await driver.ChangePowerAsync([web.ToRef()], facts.RunState == RunState.Paused ? Drivers.PowerChange.Resume : Drivers.PowerChange.Start, TimeSpan.Zero, default);
        Assert.Equal(string.Join(",", _weaves["main"].Orders), string.Join(",", _world.Host.Ask(web.Uuid)!.Orders));
        Assert.Equal(_weaves["main"].Content, Content(_world.Host.ReadBytes(Path.Combine(_world.Host.UserFolder, "db-data.raw"))));
    }

    /// <summary>The letters that the blocks at <see cref="Places"/> are filled with.</summary>
    private static string Content(byte[] volume) => string.Concat(Places.Select(p => volume.AsSpan(p * World.Block, World.Block) is var block && block.ContainsAnyExcept(block[0]) ? '?' : (char)block[0]));

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private async Task<string> ActAsync(Step step)
    {
        var weave = _weaves.Keys.ElementAt(step.A % _weaves.Count);
        var id = WeaveId.Parse(weave);
        var stored = await _world.WeaveAsync(weave);
        var moment = _moments.Count == 0 ? null : _moments.Keys.ElementAt(step.B % _moments.Count);
        var start = (StartMode)(step.B % 3);
        switch (step.Act)
        {
            case Act.Order:
                if ((await _world.AskAsync(weave, Web)) is null) return "of a silent machine";
                var order = $"o{++_count}";
                await _world.OrderAsync(weave, Web, order);
                _weaves[weave].Orders.Add(order);
                return "placed";
            case Act.Write:
                if (stored.Machines.Single(m => m.Name == Db).RunState != RunState.Running) return "of a silent machine";
                var (place, letter) = (step.B % Places.Length, (char)('a' + _count++ % 26));
                await _world.WriteAsync(weave, Data, Places[place], letter);
                _weaves[weave] = _weaves[weave] with { Content = _weaves[weave].Content[..place] + letter + _weaves[weave].Content[(place + 1)..] };
                return "done";
            case Act.Sync:
                if (_weaves.Count == 1) return "with no other";
                var others = _weaves.Keys.Where(w => w != weave).ToList();
                return await SyncAsync(step, weave, others[step.B % others.Count]);
            case Act.UndoSync or Act.ForgetSync:
                var synced = _weaves.Where(w => w.Value.Kept is not null).ToList();
                if (synced.Count == 0) return "of no sync";
                var (into, line) = synced[step.A % synced.Count];
                var (sync, old) = line.Kept!.Value;
                if (step.Act == Act.ForgetSync) return await TryAsync(step, (w, c) => w.ForgetSyncAsync(Lab, sync, c, default), _ => _weaves[into] = line with { Kept = null });
                return await TryAsync(step, (w, c) => w.UndoSyncAsync(Lab, sync, step.B % 2 == 0, c, default),
                    operation => _weaves[into] = line with { Content = old, Kept = (operation.Id, line.Content) }, MayGet(await _world.WeaveAsync(into)));
            case Act.Snapshot:
                return await TryAsync(step, (w, c) => w.SnapshotAsync(new(Lab, id, null, step.B % 3 > 0, false), c, default), operation => Keep(SnapshotId.Parse(Result(operation, "snapshot")), weave));
            case Act.CreateAt:
                if (moment is null) return "without a moment";
                return await CreateAsync(step, start, new() { Environment = Lab, Snapshot = SnapshotId.Parse(moment) }, _moments[moment]);
            case Act.CreateNow:
                return await CreateAsync(step, start, new() { Environment = Lab, Source = id }, null, weave);
            case Act.Delete:
                var with = step.B % 2 == 0;
                var own = _moments.Where(m => m.Value.Weave == id).Select(m => m.Key).ToList();
                var mayGo = weave != "main" && (await _world.EnvironmentAsync()).ActiveWeave != id && !_weaves.Any(w => w.Key != weave && w.Value.Origin is { } o && own.Contains(o.Text)) && (with || own.Count == 0);
                return await TryAsync(step, (w, c) => w.DeleteWeaveAsync(Lab, id, with, c, default), _ => Gone(weave), mayGo);
            case Act.DeleteSnapshot:
                if (moment is null) return "without a moment";
                return await TryAsync(step, (w, c) => w.DeleteSnapshotAsync(SnapshotId.Parse(moment), c, default), _ => _moments.Remove(moment), _weaves.Values.All(w => w.Origin?.Text != moment));
            case Act.Activate:
                return await TryAsync(step, (w, c) => w.ActivateAsync(new(Lab, id, null), c, default), _ => { }, stored.State == WeaveState.Running);
            case Act.Publish:
                return await TryAsync(step, (w, c) => w.PublishRouteAsync(RouteOf(step.B % 2 == 0 ? null : weave), c, default), operation => _routes[Result(operation, "route")] = step.B % 2 == 0 ? null : weave, _routes.Count < 10);
            case Act.Withdraw:
                if (_routes.Count == 0) return "without a route";
                var route = _routes.Keys.ElementAt(step.B % _routes.Count);
                return await TryAsync(step, (w, c) => w.WithdrawRouteAsync(Lab, RouteId.Parse(route), c, default), _ => _routes.Remove(route));
            case Act.Start: return await PowerAsync(step, id, WeavePower.Start, stored.IsMain || stored.State != WeaveState.Failed);
            case Act.Stop: return await PowerAsync(step, id, WeavePower.Stop, stored.Machines.All(m => m.RunState != RunState.Paused));
            case Act.PowerOff: return await PowerAsync(step, id, WeavePower.PowerOff, true);
            case Act.Pause: return await PowerAsync(step, id, WeavePower.Pause, stored.State != WeaveState.Stopped);
            case Act.Resume: return await PowerAsync(step, id, WeavePower.Resume, stored.State != WeaveState.Stopped);
            case Act.Kill:
                _world.Host.KillMachine(stored.Machines[step.B % stored.Machines.Count].Uuid);
                return await RepairedAsync();
            case Act.Reboot:
                _world.Host.Reboot();
                _world.Restart();
                await _world.Weaver.ReconcileAsync(new(RepairMode.Restore), default);
                return "done";
            case Act.Restart:
                _world.Restart();
                await _world.Weaver.ReconcileAsync(new(RepairMode.Restore), default);
                return "done";
            case Act.BreakFence:
                if (weave == "main") return "of no fence";
                _world.Host.BreakFence(stored.Tag);
                return await RepairedAsync();
            case Act.Flush:
                _world.Host.FlushEndpoints();
                return await RepairedAsync();
            case Act.Expire:
                _world.Clock.Advance(TimeSpan.FromMinutes(step.B % 60));
                var active = (await _world.EnvironmentAsync()).ActiveWeave.Text;
                var over = _weaves.Where(w => w.Value.Ends <= _world.Now && w.Key != active && _moments.Values.All(m => m.Weave.Text != w.Key)).Select(w => w.Key);
                var expired = (await _world.Weaver.DeleteExpiredAsync(TimeSpan.Zero, Me, default)).Begun;
                Assert.Equal(over, expired.Select(o => o.Subject.Split('/')[1]).Order(StringComparer.Ordinal));
                foreach (var begun in expired)
                {
                    Assert.True(await _world.Process.RunAsync(Lab));
                    Assert.Equal(OperationState.Succeeded, (await _world.Process.Journal.FindAsync(begun.Id, default))!.State);
                    Gone(begun.Subject.Split('/')[1]);
                }
                return "looked for";
            case Act.Keep:
                if (weave == "main") return "of the originals";
                var kept = await TryAsync(step, (w, c) => w.KeepWeaveAsync(Lab, id, step.B % 3 == 0 ? null : TimeSpan.FromMinutes(1 + step.B % 40), c, default), _ => { });
                _weaves[weave] = _weaves[weave] with { Ends = (await _world.WeaveAsync(weave)).ExpiresAt };
                if (kept == "succeeded") Assert.Equal(step.B % 3 == 0, _weaves[weave].Ends is null);
                return kept;
            case Act.Policy:
                var policy = step.B % 5 == 0 ? null : new SnapshotPolicy { Every = TimeSpan.FromMinutes(5), KeepLast = 1 + step.B % 3, Memory = step.A % 2 == 0 };
                return await TryAsync(step, (w, c) => w.SetPolicyAsync(Lab, policy, c, default), _ => _policy = policy);
            case Act.Look:
                var looks = "without work";
                for (var more = step.B % 4; more >= 0; more--) looks = await LookAsync(more == 0 ? step : step with { Trouble = Trouble.None });
                return looks;
            case Act.Rules:
                var rules = RulesOf(step.B);
                return await TryAsync(step, (w, c) => w.SetRulesAsync(Lab, id, rules, c, default), _ => _weaves[weave] = _weaves[weave] with { Rules = rules }, stored.State is WeaveState.Running or WeaveState.Paused or WeaveState.Stopped);
            case Act.Compact:
                return await TryAsync(step, (w, c) => w.CompactAsync(Lab, c, default), _ => { });
            case Act.Verify:
                if (moment is null) return "without a moment";
                return await TryAsync(step, (w, c) => w.VerifySnapshotAsync(VerificationOf(SnapshotId.Parse(moment)), c, default), operation =>
                {
                    using var document = JsonDocument.Parse(operation.Result!);
                    // A start that is refused once is a verdict; without trouble every moment comes to life.
                    if (step.Trouble == Trouble.None) Assert.True(document.RootElement.GetProperty("passed").GetBoolean(), operation.Result);
                });
            default:
                return await RepairedAsync();
        }
    }

    /// <summary>
    /// A mirror becomes what the source is. What a merge takes depends on the nearest common layer, of which nothing is known here: each block is then one of the two, and the one where they were the same.
    /// </summary>
    private async Task<string> SyncAsync(Step step, string source, string destination)
    {
        var (from, to) = (await _world.WeaveAsync(source), await _world.WeaveAsync(destination));
        var merges = step.A % 3 == 0;
        var may = MayGet(to) && from.State is WeaveState.Running or WeaveState.Paused or WeaveState.Stopped;
        var request = new SyncRequest(Lab, from.Id, to.Id, Data, merges ? SyncStrategy.Merge : SyncStrategy.Mirror, merges ? step.A % 2 == 0 ? OnConflict.Source : OnConflict.Destination : OnConflict.Fail, Stop: step.B % 2 == 0);
        Operation? done = null;
        return await TryAsync(step, (w, c) => w.SyncVolumeAsync(request, c, default), operation => done = operation, may, async () =>
        {
            var (before, wanted) = (_weaves[destination], _weaves[source].Content);
            var content = merges ? Content(await _world.ReadAsync(destination, Data)) : wanted;
            Assert.All(content.Select((c, i) => (c, i)), b => Assert.Contains(b.c, new[] { before.Content[b.i], wanted[b.i] }));
            using var document = JsonDocument.Parse(done!.Result!);
            var kept = document.RootElement.GetProperty("kept").ValueKind != JsonValueKind.Null;
            // Nothing is done, and nothing kept, where both read the same already.
            Assert.True(kept || content == before.Content);
            _weaves[destination] = before with { Content = content, Kept = kept ? (done.Id, before.Content) : before.Kept };
        });
    }

    /// <summary>A disk can be switched under a machine that runs or is off.</summary>
    private static bool MayGet(Weave weave) => weave.State is WeaveState.Running or WeaveState.Paused or WeaveState.Stopped && weave.Machines.Single(m => m.Name == Db).RunState != RunState.Paused;

    private async Task<string> RepairedAsync()
    {
        var report = await _world.Weaver.ReconcileAsync(new(RepairMode.Repair), default);
        Assert.DoesNotContain(report.Findings, f => f.Level is Drivers.FindingLevel.Error or Drivers.FindingLevel.Warning);
        return "done and repaired";
    }

    private Task<string> PowerAsync(Step step, WeaveId weave, WeavePower change, bool may) => TryAsync(step, (w, c) => w.ChangePowerAsync(Lab, weave, change, c, default), _ => { }, may);

    private Task<string> CreateAsync(Step step, StartMode start, CreateWeaveRequest request, Moment? moment, string? source = null)
    {
        var id = $"w{++_count}";
        var of = step.A % 5 == 0 ? Weaving.RulesOf.Now : Weaving.RulesOf.Then;
        var ttl = step.A % 4 == 0 ? TimeSpan.FromMinutes(30) : (TimeSpan?)null;
        return TryAsync(step, (w, c) => w.CreateWeaveAsync(request with { Weave = WeaveId.Parse(id), Start = start, TimeToLive = ttl, Rules = of }, c, default), operation =>
        {
            var snapshot = SnapshotId.Parse(Result(operation, "snapshot"));
            if (source is not null) Keep(snapshot, source, forWeave: true);
            moment ??= _moments[snapshot.Text];
            _weaves[id] = new([.. moment.Orders], moment.Content, snapshot, null) { Rules = of == Weaving.RulesOf.Now ? _weaves["main"].Rules : moment.Rules };
        }, ended: async () =>
        {
            if (_weaves.TryGetValue(id, out var made)) _weaves[id] = made with { Ends = (await _world.WeaveAsync(id)).ExpiresAt };
        });
    }

    /// <summary>A look at the policy: what it takes is kept, and what it removes was one that it had taken, was held by nothing and was not among the newest.</summary>
    private async Task<string> LookAsync(Step step)
    {
        _world.Clock.Advance(TimeSpan.FromMinutes(step.A % 8));
        _world.Calls.Arm();
        var active = (await _world.EnvironmentAsync()).ActiveWeave.Text;
        var report = await _world.Weaver.RunPoliciesAsync(default);
        await RunAsync(step);
        foreach (var begun in report.Begun)
        {
            var ended = (await _world.Process.Journal.FindAsync(begun.Id, default))!;
            Assert.True(ended.State == OperationState.Succeeded || ended.State == OperationState.Undone && step.Trouble != Trouble.None, $"{ended.Kind} {ended.State}: {ended.Error?.Message}");
            if (ended.State != OperationState.Succeeded)
            {
                if (ended.Kind == Kinds.DeleteSnapshot) _spared.Add(ended.Subject.Split('/')[1]);
                continue;
            }
            if (ended.Kind == Kinds.Snapshot) Keep(SnapshotId.Parse(Result(ended, "snapshot")), active, automatic: true);
            if (ended.Kind != Kinds.DeleteSnapshot) continue;
            var id = ended.Subject.Split('/')[1];
            Assert.True(_moments[id].Automatic && _weaves.Values.All(w => w.Origin?.Text != id), $"{id} is not the policy's to remove");
            _moments.Remove(id);
        }
        if (_policy is null) Assert.DoesNotContain(report.Begun, b => b.Kind != Kinds.Compact);
        else if (step.Trouble == Trouble.None)
            // A removal is begun before the point that makes the next one surplus.
            Assert.DoesNotContain(_moments.Where(m => m.Value.Automatic).OrderByDescending(m => m.Value.Number).Skip(_policy.KeepLast + 1), m => !_spared.Contains(m.Key) && _weaves.Values.All(w => w.Origin?.Text != m.Key));
        return report.Begun.Count == 0 ? "without work" : $"with {string.Join(" and ", report.Begun.Select(b => b.Kind).Distinct().Order(StringComparer.Ordinal))}";
    }

    private void Keep(SnapshotId snapshot, string weave, bool forWeave = false, bool automatic = false) => _moments[snapshot.Text] = new([.. _weaves[weave].Orders], _weaves[weave].Content, WeaveId.Parse(weave), forWeave, automatic, ++_count) { Rules = _weaves[weave].Rules };

    private static EnvironmentRules RulesOf(int number) => (number % 5) switch
    {
        0 => EnvironmentRules.None,
        1 => RulesTests.Of("10.0.0.0/8", ("front", "web", "in tcp/80 from outside")),
        2 => RulesTests.Of("10.1.0.0/16 192.0.2.0/24", ("front", "web db", "in any from front, out udp/53 to any")),
        3 => RulesTests.Of("", ("shut", "db", "in icmp from any")),
        _ => RulesTests.Of(null, ("shut", "db web", "in icmp from any")),
    };

    private void Gone(string weave)
    {
        var origin = _weaves[weave].Origin?.Text;
        _weaves.Remove(weave);
        if (origin is not null && _moments.TryGetValue(origin, out var moment) && moment.ForWeave && _weaves.Values.All(w => w.Origin?.Text != origin)) _moments.Remove(origin);
        foreach (var own in _moments.Where(m => m.Value.Weave.Text == weave).ToList()) _moments.Remove(own.Key);
        foreach (var route in _routes.Where(r => r.Value == weave).ToList()) _routes.Remove(route.Key);
    }

    private static string Result(Operation operation, string name)
    {
        using var document = JsonDocument.Parse(operation.Result!);
        return document.RootElement.GetProperty(name).GetString()!;
    }

    /// <summary>Asks, with the step's trouble; the model follows what succeeded. Without trouble it must be as <paramref name="may"/> says; in trouble it may also be undone, never half done.</summary>
    private async Task<string> TryAsync(Step step, Func<IWeaver, Caller, Task<Operation>> ask, Action<Operation> succeeded, bool may = true, Func<Task>? ended = null)
    {
        Operation operation;
        _world.Calls.Arm();
        try
        {
            operation = await ask(_world.Weaver, Me);
        }
        catch (WeaveException e) when (!may && e.Fault is Fault.Conflict or Fault.Exhausted or Fault.Unavailable)
        {
            Assert.False(string.IsNullOrWhiteSpace(e.NextStep));
            return "refused";
        }
        await RunAsync(step);
        var end = (await _world.Process.Journal.FindAsync(operation.Id, default))!;
        Assert.True(end.State is OperationState.Succeeded or OperationState.Undone, $"{end.State}: {end.Error?.Message}");
        if (end.State == OperationState.Succeeded)
        {
            Assert.True(may, "it succeeded, and should have been refused");
            succeeded(end);
            if (ended is not null) await ended();
            return "succeeded";
        }
        Assert.True(step.Trouble != Trouble.None || !may, $"undone: {end.Error?.Message}");
        return "undone";
    }

    /// <summary>All that was asked for is done, in the step's trouble.</summary>
    private async Task RunAsync(Step step)
    {
        var fault = step.Trouble == Trouble.Fails ? Fault.Exhausted : Fault.Unavailable;
        _world.Calls.Counts = step.Trouble == Trouble.Dies ? Calls.IsBeforeEffect : b => Calls.IsEffect(b) && !b.StartsWith("journal.", StringComparison.Ordinal);
        _world.Calls.Arm(step.Trouble == Trouble.Dies ? step.At : int.MaxValue, step.Trouble is Trouble.Fails or Trouble.Passes ? (n, _, _) => n == step.At ? throw MatrixRun.Fails(fault) : Task.CompletedTask : null);
        if (!await _world.Process.RunAsync(Lab))
        {
            _world.Restart();
            Assert.True(await _world.Process.RunAsync(Lab));
        }
        _world.Calls.Arm();
        _world.Clock.Advance(TimeSpan.FromSeconds(1));
    }

    private async Task CheckAsync()
    {
        await _world.CheckAsync();
        Assert.Equal(_weaves.Keys, (await _world.WeaveIdsAsync()).Order(StringComparer.Ordinal));
        Assert.Equal(_moments.Keys, (await _world.SnapshotsAsync()).Select(s => s.Id.Text).Order(StringComparer.Ordinal));
        Assert.All(await _world.SnapshotsAsync(), s => Assert.Equal((s.Id, _moments[s.Id.Text].Rules), (s.Id, s.Blueprint.Rules)));
        Assert.Equal(_routes.Keys, (await _world.Store.ListRoutesAsync(Lab, default)).Select(r => r.Id.Text).Order(StringComparer.Ordinal));
        foreach (var (weave, line) in _weaves)
        {
            Assert.Equal((weave, line.Rules), (weave, (await _world.WeaveAsync(weave)).Blueprint.Rules));
            Assert.Equal((weave, line.Content), (weave, Content(await _world.ReadAsync(weave, Data))));
            if (await _world.AskAsync(weave, Web) is { } answer) Assert.Equal((weave, string.Join(",", line.Orders)), (weave, string.Join(",", answer.Orders)));
        }
        Assert.Equal(_weaves.Values.Select(l => l.Kept?.Sync.Text).OfType<string>().Order(StringComparer.Ordinal), (await _world.Weaver.ListSyncsAsync(Lab, default)).Select(k => k.Kept.Sync.Text).Order(StringComparer.Ordinal));
    }
}
