using System.Net;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Client;

/// <summary>
/// The service's REST interface, version 1. Errors are <see cref="ApiException"/>; a service that does not answer is one with the fault "unavailable".
/// A request whose answer was lost (a connection that broke) is sent again; mutations carry an idempotency key of their own for that, so that none is carried out twice.
/// A service that does not take connections is not asked again, and neither is one that is silent for too long.
/// </summary>
public sealed class WeaveClient : IDisposable
{
    private static readonly V1Json Json = V1Json.Default;
    private readonly HttpClient _http;
    private readonly Uri _base;
    private readonly WeaveClientOptions _options;
    private readonly TimeProvider _clock;

    /// <param name="handler">For tests; null: the network, without a proxy.</param>
    /// <param name="clock">For tests; null: the system's.</param>
    public WeaveClient(Uri service, string? token, HttpMessageHandler? handler = null, WeaveClientOptions? options = null, TimeProvider? clock = null)
    {
        (_options, _clock) = (options ?? new(), clock ?? TimeProvider.System);
        _base = new Uri(service, "/api/v1/");
        _http = handler is null ? new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false }) : new HttpClient(handler, disposeHandler: false);
        // Each request has a limit of its own.
        _http.Timeout = Timeout.InfiniteTimeSpan;
        if (token is not null) _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    public Task<VersionView> VersionAsync(CancellationToken stop) => GetAsync("version", Json.VersionView, stop);

    public Task<IReadOnlyList<EnvironmentView>> ListEnvironmentsAsync(CancellationToken stop) => AllAsync("environments", Json.PageEnvironmentView, stop);
    public Task<EnvironmentView> GetEnvironmentAsync(string environment, CancellationToken stop) => GetAsync($"environments/{Part(environment)}", Json.EnvironmentView, stop);
    public Task<OperationView> AdoptAsync(AdoptBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, "environments", body, Json.AdoptBody, stop);
    public Task<OperationView> ReleaseAsync(string environment, bool force, CancellationToken stop) => SendAsync(HttpMethod.Delete, $"environments/{Part(environment)}?force={(force ? "true" : "false")}", stop);

    public Task<OperationView> SetPolicyAsync(string environment, PolicyBody body, CancellationToken stop) => SendAsync(HttpMethod.Put, $"environments/{Part(environment)}/policy", body, Json.PolicyBody, stop);
    public Task<OperationView> ClearPolicyAsync(string environment, CancellationToken stop) => SendAsync(HttpMethod.Delete, $"environments/{Part(environment)}/policy", stop);

    public Task<OperationView> CompactAsync(string environment, CancellationToken stop) => SendAsync(HttpMethod.Post, $"environments/{Part(environment)}/compact", stop);
    public Task<CompactionView> PreviewCompactionAsync(string environment, CancellationToken stop) => GetAsync($"environments/{Part(environment)}/compaction", Json.CompactionView, stop);

    public Task<TimelineView> TimelineAsync(string environment, DateTimeOffset? from, DateTimeOffset? to, CancellationToken stop)
    {
        var query = string.Join('&', new[] { from is { } f ? "from=" + Time(f) : null, to is { } t ? "to=" + Time(t) : null }.OfType<string>());
        return GetAsync($"environments/{Part(environment)}/timeline{(query.Length > 0 ? "?" + query : "")}", Json.TimelineView, stop);
    }

    public Task<OperationView> SnapshotAsync(string environment, SnapshotBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"environments/{Part(environment)}/snapshots", body, Json.SnapshotBody, stop);
    public Task<IReadOnlyList<SnapshotView>> ListSnapshotsAsync(string environment, CancellationToken stop) => AllAsync($"environments/{Part(environment)}/snapshots", Json.PageSnapshotView, stop);
    public Task<SnapshotView> GetSnapshotAsync(string snapshot, CancellationToken stop) => GetAsync($"snapshots/{Part(snapshot)}", Json.SnapshotView, stop);
    public Task<OperationView> DeleteSnapshotAsync(string snapshot, CancellationToken stop) => SendAsync(HttpMethod.Delete, $"snapshots/{Part(snapshot)}", stop);

    /// <summary>Whether it passed is in the operation's result.</summary>
    public Task<OperationView> VerifySnapshotAsync(string snapshot, VerifyBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"snapshots/{Part(snapshot)}/verify", body, Json.VerifyBody, stop);

    /// <summary>Writes a Vagrant lab into a folder of the service's host; needs an administrator of the whole host.</summary>
    public Task<OperationView> ExportAsync(string environment, string weave, ExportBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"{Weave(environment, weave)}/export", body, Json.ExportBody, stop);
    public Task<OperationView> ExportSnapshotAsync(string snapshot, ExportBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"snapshots/{Part(snapshot)}/export", body, Json.ExportBody, stop);

    public Task<OperationView> ImportAsync(ImportBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, "imports", body, Json.ImportBody, stop);

    public Task<IReadOnlyList<WeaveView>> ListWeavesAsync(string environment, CancellationToken stop) => AllAsync($"environments/{Part(environment)}/weaves", Json.PageWeaveView, stop);
    public Task<WeaveView> GetWeaveAsync(string environment, string weave, CancellationToken stop) => GetAsync(Weave(environment, weave), Json.WeaveView, stop);
    public Task<OperationView> CreateWeaveAsync(string environment, CreateWeaveBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"environments/{Part(environment)}/weaves", body, Json.CreateWeaveBody, stop);
    public Task<OperationView> DeleteWeaveAsync(string environment, string weave, bool withSnapshots, CancellationToken stop) =>
        SendAsync(HttpMethod.Delete, $"{Weave(environment, weave)}?withSnapshots={(withSnapshots ? "true" : "false")}", stop);
    public Task<OperationView> KeepWeaveAsync(string environment, string weave, KeepBody body, CancellationToken stop) => SendAsync(HttpMethod.Patch, Weave(environment, weave), body, Json.KeepBody, stop);
    public Task<OperationView> ActivateAsync(string environment, string weave, ActivateBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"{Weave(environment, weave)}/activate", body, Json.ActivateBody, stop);

    /// <param name="change">start, stop, pause or resume.</param>
    /// <param name="powerOff">With stop: do not ask the guests.</param>
    public Task<OperationView> ChangePowerAsync(string environment, string weave, string change, bool powerOff, CancellationToken stop) =>
        SendAsync(HttpMethod.Post, $"{Weave(environment, weave)}/{Part(change)}{(powerOff ? "?powerOff=true" : "")}", stop);

    public Task<OperationView> PublishRouteAsync(string environment, string weave, RouteBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"{Weave(environment, weave)}/routes", body, Json.RouteBody, stop);
    /// <summary>To the newest weave that was made of what the environment was at <see cref="RouteBody.Timestamp"/>.</summary>
    public Task<OperationView> PublishRouteAsync(string environment, RouteBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"environments/{Part(environment)}/routes", body, Json.RouteBody, stop);
    public Task<IReadOnlyList<RouteView>> ListRoutesAsync(string environment, string? weave, CancellationToken stop) =>
        AllAsync(weave is null ? $"environments/{Part(environment)}/routes" : $"{Weave(environment, weave)}/routes", Json.PageRouteView, stop);
    public Task<OperationView> WithdrawRouteAsync(string environment, string route, CancellationToken stop) => SendAsync(HttpMethod.Delete, $"environments/{Part(environment)}/routes/{Part(route)}", stop);

    /// <summary>What volumes differ by between two weaves or snapshots. May take long where nothing is in common.</summary>
    /// <param name="volume">Null: all that both have.</param>
    /// <param name="from">With one volume: ranges from this offset on.</param>
    public Task<VolumeDiffsView> DiffVolumesAsync(string environment, string left, string right, string? volume, int limit, long from, CancellationToken stop) =>
        GetAsync($"environments/{Part(environment)}/volume-diffs?left={Part(left)}&right={Part(right)}&limit={limit}{(volume is null ? "" : "&volume=" + Part(volume))}{(from == 0 ? "" : "&from=" + from.ToString(System.Globalization.CultureInfo.InvariantCulture))}", Json.VolumeDiffsView, stop, _options.DiffTimeout);
    public Task<OperationView> SyncVolumeAsync(string environment, SyncBody body, CancellationToken stop) => SendAsync(HttpMethod.Post, $"environments/{Part(environment)}/volume-syncs", body, Json.SyncBody, stop);
    /// <summary>The syncs that can be taken back.</summary>
    public Task<IReadOnlyList<KeptSyncView>> ListSyncsAsync(string environment, CancellationToken stop) => AllAsync($"environments/{Part(environment)}/volume-syncs", Json.PageKeptSyncView, stop);
    public Task<OperationView> UndoSyncAsync(string environment, string sync, UndoSyncBody body, CancellationToken stop) =>
        SendAsync(HttpMethod.Post, $"environments/{Part(environment)}/volume-syncs/{Part(sync)}/undo", body, Json.UndoSyncBody, stop);
    public Task<OperationView> ForgetSyncAsync(string environment, string sync, CancellationToken stop) => SendAsync(HttpMethod.Delete, $"environments/{Part(environment)}/volume-syncs/{Part(sync)}", stop);

    /// <param name="of">Whose; null: those of main.</param>
    public Task<RulesView> GetRulesAsync(string environment, RulesSelector? of, CancellationToken stop) => GetAsync($"environments/{Part(environment)}/rules{Joined("?", of)}", Json.RulesView, stop);
    /// <param name="weave">Null: main.</param>
    public Task<OperationView> SetRulesAsync(string environment, string? weave, RulesBody body, CancellationToken stop) =>
        SendAsync(HttpMethod.Put, $"environments/{Part(environment)}/rules{(weave is null ? "" : "?weave=" + Part(weave))}", body, Json.RulesBody, stop);
    /// <summary>What rules say of one connection.</summary>
    /// <param name="from">A machine, "outside", or an IPv4 address.</param>
    /// <param name="protocol">tcp, udp or icmp.</param>
    /// <param name="port">Null for ICMP.</param>
    public Task<RuleVerdictView> CheckRulesAsync(string environment, string from, string to, string protocol, int? port, RulesSelector? of, CancellationToken stop) =>
        GetAsync($"environments/{Part(environment)}/rules/check?from={Part(from)}&to={Part(to)}&protocol={Part(protocol)}{(port is { } p ? "&port=" + p.ToString(System.Globalization.CultureInfo.InvariantCulture) : "")}{Joined("&", of)}", Json.RuleVerdictView, stop);
    private static string Joined(string before, RulesSelector? of) =>
        string.Join('&', new[] { of?.Weave is { } w ? "weave=" + Part(w) : null, of?.Snapshot is { } s ? "snapshot=" + Part(s) : null, of?.At is { } a ? "at=" + Time(a) : null }.OfType<string>()) is { Length: > 0 } query ? before + query : "";

    public async Task<IReadOnlyList<OperationView>> ListOperationsAsync(string? environment, bool unfinished, int limit, CancellationToken stop) =>
        (await GetAsync($"operations?limit={limit}&unfinished={(unfinished ? "true" : "false")}{(environment is null ? "" : "&environment=" + Part(environment))}", Json.PageOperationView, stop)).Items;
    public Task<OperationView> GetOperationAsync(string operation, CancellationToken stop) => GetAsync($"operations/{Part(operation)}", Json.OperationView, stop);
    public Task<OperationView> CancelOperationAsync(string operation, CancellationToken stop) => SendAsync(HttpMethod.Post, $"operations/{Part(operation)}/cancel", stop);

    /// <summary>Asks the guest agents of the active weave; takes some seconds where one hangs.</summary>
    public Task<IReadOnlyList<AgentView>> AgentsAsync(string environment, CancellationToken stop) => AllAsync($"environments/{Part(environment)}/agents", Json.PageAgentView, stop);
    public Task<DoctorView> DoctorAsync(CancellationToken stop) => GetAsync("doctor", Json.DoctorView, stop, _options.HostTimeout);
    /// <summary>Compares the host with what the service knows. Without <paramref name="repair"/> nothing on the host is changed.</summary>
    /// <param name="environment">Only of this environment; null: of all.</param>
    /// <param name="weave">Only of this weave of it.</param>
    public async Task<DoctorView> ReconcileAsync(bool repair, CancellationToken stop, string? environment = null, string? weave = null)
    {
        var scope = (environment is null ? "" : $"&environment={Part(environment)}") + (weave is null ? "" : $"&weave={Part(weave)}");
        using var answer = await RequestAsync(HttpMethod.Post, $"reconcile?repair={(repair ? "true" : "false")}{scope}", null, stop, _options.HostTimeout);
        return await ReadAsync(answer, Json.DoctorView, stop);
    }

    public Task<IReadOnlyList<TokenView>> ListTokensAsync(CancellationToken stop) => AllAsync("tokens", Json.PageTokenView, stop);
    public async Task<TokenView> CreateTokenAsync(TokenBody body, CancellationToken stop)
    {
        // A lost secret cannot be told again: repeated, the request would only be refused.
        using var answer = await RequestAsync(HttpMethod.Post, "tokens", Bytes(body, Json.TokenBody), stop, mayRepeat: false);
        return await ReadAsync(answer, Json.TokenView, stop);
    }
    public async Task RevokeTokenAsync(string token, CancellationToken stop)
    {
        using var answer = await RequestAsync(HttpMethod.Delete, $"tokens/{Part(token)}", null, stop);
    }

    /// <summary>
    /// The operation as it changes, until it has ended: by server-sent events, and by asking again where the stream breaks. The last one is the ended operation.
    /// </summary>
    public async IAsyncEnumerable<OperationView> WatchAsync(string operation, [EnumeratorCancellation] CancellationToken stop)
    {
        var failures = 0;
        while (true)
        {
            await foreach (var view in StreamAsync(operation, stop))
            {
                failures = 0;
                yield return view;
                if (view.IsEnded()) yield break;
            }
            OperationView? now = null;
            try
            {
                now = await GetOperationAsync(operation, stop);
                failures = 0;
            }
            catch (ApiException e) when (e.Fault is "unavailable" or "busy" && ++failures < _options.WatchPatience)
            {
                // The service may be starting again; the operation goes on after that.
            }
            if (now is not null)
            {
                yield return now;
                if (now.IsEnded()) yield break;
            }
            await Task.Delay(_options.WatchPause, _clock, stop);
        }
    }

    public void Dispose() => _http.Dispose();

    /// <summary>One stream of events; ends where it breaks, and where the service does not serve it for the moment.</summary>
    private async IAsyncEnumerable<OperationView> StreamAsync(string operation, [EnumeratorCancellation] CancellationToken stop)
    {
        HttpResponseMessage? answer = null;
        IAsyncEnumerator<SseItem<string>>? items = null;
        try
        {
            while (true)
            {
                OperationView? view;
                try
                {
                    if (items is null)
                    {
                        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_base, $"operations/{Part(operation)}/events"));
                        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
                        answer = await LimitedAsync(request, HttpCompletionOption.ResponseHeadersRead, _options.RequestTimeout, stop);
                        if (!answer.IsSuccessStatusCode) throw await RefusalAsync(answer, stop);
                        items = SseParser.Create(new WatchedStream(await answer.Content.ReadAsStreamAsync(stop), _options.StreamSilence, _clock)).EnumerateAsync(stop).GetAsyncEnumerator(stop);
                    }
                    if (!await items.MoveNextAsync()) yield break;
                    view = items.Current.EventType == "operation" ? JsonSerializer.Deserialize(items.Current.Data, Json.OperationView) : null;
                }
                catch (Exception e) when (e is HttpRequestException or IOException or TimeoutException or ApiException { Fault: "unavailable" or "busy" })
                {
                    yield break;
                }
                catch (JsonException e)
                {
                    throw Unreadable(e);
                }
                if (view is not null) yield return view;
            }
        }
        finally
        {
            if (items is not null) await items.DisposeAsync();
            answer?.Dispose();
        }
    }

    private async Task<IReadOnlyList<T>> AllAsync<T>(string path, JsonTypeInfo<Page<T>> type, CancellationToken stop)
    {
        var all = new List<T>();
        for (string? token = null; ;)
        {
            var page = await GetAsync($"{path}?limit=200{(token is null ? "" : "&pageToken=" + Part(token))}", type, stop);
            all.AddRange(page.Items);
            if ((token = page.NextPageToken) is null) return all;
        }
    }

    private async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken stop, TimeSpan? limit = null)
    {
        using var answer = await RequestAsync(HttpMethod.Get, path, null, stop, limit);
        return await ReadAsync(answer, type, stop);
    }

    private Task<OperationView> SendAsync<T>(HttpMethod method, string path, T body, JsonTypeInfo<T> type, CancellationToken stop) => OperationAsync(method, path, Bytes(body, type), stop);
    private Task<OperationView> SendAsync(HttpMethod method, string path, CancellationToken stop) => OperationAsync(method, path, null, stop);

    private async Task<OperationView> OperationAsync(HttpMethod method, string path, byte[]? body, CancellationToken stop)
    {
        using var answer = await RequestAsync(method, path, body, stop);
        return await ReadAsync(answer, Json.OperationView, stop);
    }

    /// <summary>A successful answer, read to its end; everything else is an <see cref="ApiException"/>.</summary>
    private async Task<HttpResponseMessage> RequestAsync(HttpMethod method, string path, byte[]? body, CancellationToken stop, TimeSpan? limit = null, bool mayRepeat = true)
    {
        var changes = method != HttpMethod.Get;
        var key = changes ? Guid.NewGuid().ToString("N") : null;
        for (var (attempt, wasLost) = (0, false); ; attempt++)
        {
            using var request = new HttpRequestMessage(method, new Uri(_base, path));
            if (body is not null) request.Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
            if (key is not null) request.Headers.Add("Idempotency-Key", key);
            HttpResponseMessage answer;
            try
            {
                answer = await LimitedAsync(request, HttpCompletionOption.ResponseContentRead, limit ?? _options.RequestTimeout, stop);
            }
            catch (Exception e) when (e is HttpRequestException or IOException)
            {
                // A service that restarts breaks connections first and takes none for a moment then.
                wasLost |= !NeverArrived(e);
                if (!wasLost || !mayRepeat || attempt >= _options.Retries) throw NoAnswer(e, e.GetBaseException().Message, changes && wasLost);
                await Task.Delay(_options.FirstRetryDelay * Math.Pow(2, attempt), _clock, stop);
                continue;
            }
            catch (TimeoutException e)
            {
                throw NoAnswer(e, e.Message, changes);
            }
            if (answer.IsSuccessStatusCode) return answer;
            using (answer) throw await RefusalAsync(answer, stop);
        }
    }

    /// <summary>Sends a request that may take so long; TimeoutException where it takes longer.</summary>
    private async Task<HttpResponseMessage> LimitedAsync(HttpRequestMessage request, HttpCompletionOption completion, TimeSpan limit, CancellationToken stop)
    {
        using var over = new CancellationTokenSource(limit, _clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, stop);
        try
        {
            return await _http.SendAsync(request, completion, either.Token);
        }
        catch (OperationCanceledException e) when (over.IsCancellationRequested && !stop.IsCancellationRequested)
        {
            throw new TimeoutException($"no answer within {limit.TotalSeconds:0} s", e);
        }
    }

    /// <summary>No connection came about, so the service has not seen the request.</summary>
    private static bool NeverArrived(Exception e) =>
        e is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError or HttpRequestError.ProxyTunnelError };

    private ApiException NoAnswer(Exception e, string why, bool mayHaveBegun) => new(new Problem
    {
        Fault = "unavailable", Title = "no service", Detail = $"The service does not answer at {_base.GetLeftPart(UriPartial.Authority)}: {why}",
        NextStep = mayHaveBegun ? "The request may have been carried out: look with `weave op list` before you repeat it." : "Start it with `weave serve`, or name another with WEAVE_URL.",
    }, e);

    private static async Task<ApiException> RefusalAsync(HttpResponseMessage answer, CancellationToken stop)
    {
        Problem? problem = null;
        try
        {
            if (answer.Content.Headers.ContentType?.MediaType is "application/problem+json" or "application/json")
                problem = JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(stop), Json.Problem);
        }
        catch (JsonException)
        {
            // Not ours: a proxy's page. The status tells enough.
        }
        return new ApiException(problem ?? new Problem
        {
            Status = (int)answer.StatusCode, Title = answer.ReasonPhrase,
            Fault = answer.StatusCode switch { HttpStatusCode.NotFound => "notFound", HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway or HttpStatusCode.GatewayTimeout => "unavailable", HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => "conflict", _ => "internal" },
            Detail = $"The service answered {(int)answer.StatusCode} {answer.ReasonPhrase}.",
            NextStep = answer.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden ? "Set WEAVE_TOKEN or WEAVE_TOKEN_FILE to a token with the right role." : null,
        });
    }

    private static async Task<T> ReadAsync<T>(HttpResponseMessage answer, JsonTypeInfo<T> type, CancellationToken stop)
    {
        try
        {
            return JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(stop), type) ?? throw new JsonException("the answer is empty");
        }
        catch (JsonException e)
        {
            throw Unreadable(e);
        }
    }

    private static ApiException Unreadable(JsonException e) => new(new Problem { Fault = "internal", Detail = $"The service's answer cannot be read: {e.Message}", NextStep = "Is the command of the same version as the service? Compare with `weave version`." }, e);
    private static byte[] Bytes<T>(T body, JsonTypeInfo<T> type) => JsonSerializer.SerializeToUtf8Bytes(body, type);
    private static string Part(string text) => Uri.EscapeDataString(text);
    private static string Weave(string environment, string weave) => $"environments/{Part(environment)}/weaves/{Part(weave)}";
    private static string Time(DateTimeOffset time) => Part(time.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture));
}
