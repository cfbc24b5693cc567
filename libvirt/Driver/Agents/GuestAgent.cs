using System.Text.Json;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Agents;

/// <summary>What came of one command to a guest agent.</summary>
/// <param name="Value">Its `return`, where <see cref="State"/> is Answers; not of a known shape.</param>
/// <param name="Reason">What was heard otherwise, with all that a guest may have put into it made safe to print.</param>
internal readonly record struct AgentAnswer(AgentCondition State, JsonElement Value, string? Reason)
{
    public AgentFacts ToFacts() => new(State, Reason);
}

/// <summary>
/// The one way to guest agents. Whatever they do (nothing, for ever; nonsense; megabytes) becomes an <see cref="AgentAnswer"/>, in limited time and memory. libvirt ends a
/// command by itself after its time, so nothing is left waiting. libvirtd serves five calls of a connection at once and twenty in all (max_client_requests, max_workers):
/// agents have connections of their own, with fewer calls than that, so that any number of dead ones holds up only its like.
/// </summary>
internal sealed class GuestAgent(string uri) : IAsyncDisposable
{
    /// <summary>Characters of an answer that are looked at; the list of file systems of a big guest has some ten thousand.</summary>
    private const int MostText = 1 << 18;
    /// <summary>libvirt waits so long for the sign of life that it wants before the first command.</summary>
    public static readonly TimeSpan SignOfLife = TimeSpan.FromSeconds(5);

    private readonly HostConnection _asking = new(uri, threads: 3), _freezing = new(uri, threads: 4);

    /// <summary>Runs a command without arguments; with <paramref name="urgent"/> not behind those of agents that may hang.</summary>
    /// <param name="patience">For the command itself, in whole seconds; an agent that is dead already costs <see cref="SignOfLife"/> instead.</param>
    public async Task<AgentAnswer> CallAsync(MachineRef machine, string command, TimeSpan patience, CancellationToken stop, bool urgent = false)
    {
        using var domain = await (urgent ? _freezing : _asking).FindDomainAsync(machine, stop);
        if (domain is null) return new(AgentCondition.Off, default, "the machine is off");
        try
        {
            return Read(await domain.AgentCommandAsync($$"""{"execute":"{{command}}"}""", Math.Max(1, (int)Math.Ceiling(patience.TotalSeconds)), stop));
        }
        catch (LibvirtException error) when (error.Code is VirErrorCode.Rpc or VirErrorCode.NoConnect or VirErrorCode.InvalidConn)
        {
            throw LibvirtFaults.Translate(error, $"ask the guest agent of '{machine.HypervisorName}'");
        }
        catch (LibvirtException error)
        {
            var answer = Classify(error);
            if (answer.State != AgentCondition.Off) return answer;
            try
            {
                return RunStates.From((await domain.GetStateAsync(stop)).State) switch
                {
                    RunState.Paused => new(AgentCondition.Paused, default, "the machine is paused"),
                    RunState.Running => Nonsense(Ids.Quote(error.Message)),
                    _ => answer,
                };
            }
            catch (LibvirtException gone) when (gone.Code == VirErrorCode.NoDomain)
            {
                return answer;
            }
            catch (LibvirtException other)
            {
                return Nonsense(Ids.Quote(other.Message));
            }
        }
    }

    /// <inheritdoc cref="IHypervisorDriver.AskAgentAsync"/>
    public async Task<AgentFacts> AskAsync(MachineRef machine, TimeSpan patience, TimeProvider clock, CancellationToken stop)
    {
        // libvirt waits whole seconds, and longer for an agent that is dead already; a call that is no longer waited for ends by itself a little later.
        using var limit = new CancellationTokenSource(patience, clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stop);
        try
        {
            var answer = await CallAsync(machine, "guest-ping", patience, both.Token);
            return (answer is { State: AgentCondition.Answers, Value.ValueKind: not JsonValueKind.Object } ? Nonsense(Ids.Quote(answer.Value.GetRawText())) : answer).ToFacts();
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return Late.ToFacts();
        }
    }

    /// <summary>Of an agent that was not waited for any longer.</summary>
    public static AgentAnswer Late { get; } = new(AgentCondition.Silent, default, "the guest agent did not answer in time");

    internal static AgentAnswer Read(string text)
    {
        if (text.Length > MostText) return Nonsense($"{text.Length} characters");
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 16 });
            var root = document.RootElement;
            return root.ValueKind == JsonValueKind.Object && root.TryGetProperty("return", out var value) ? new(AgentCondition.Answers, value.Clone(), null) : Nonsense(Ids.Quote(text));
        }
        catch (JsonException)
        {
            return Nonsense(Ids.Quote(text));
        }
    }

    /// <summary>An answer that is not what a guest agent may say.</summary>
    public static AgentAnswer Nonsense(string text) => new(AgentCondition.Refuses, default, $"the guest agent answered with what cannot be understood: {text}");

    /// <summary>libvirt has one code for most of this; its own words, which are not translated in a daemon, tell the cases apart.</summary>
    internal static AgentAnswer Classify(LibvirtException error)
    {
        bool Says(string text) => error.Message.Contains(text, StringComparison.Ordinal);
        return error.Code switch
        {
            VirErrorCode.ArgumentUnsupported or VirErrorCode.ConfigUnsupported or VirErrorCode.NoSupport => new(AgentCondition.NoChannel, default, "the machine has no channel for a guest agent"),
            VirErrorCode.OperationInvalid or VirErrorCode.NoDomain => new(AgentCondition.Off, default, "the machine is off"),
            VirErrorCode.AgentUnresponsive when Says("not connected") => new(AgentCondition.NotConnected, default, "no guest agent listens"),
            VirErrorCode.AgentUnresponsive when Says("due to an error") => Nonsense("libvirt has given up its channel"),
            VirErrorCode.AgentUnresponsive or VirErrorCode.AgentUnsynced or VirErrorCode.OperationTimeout => Late,
            VirErrorCode.InternalError when error.Message.LastIndexOf("': ", StringComparison.Ordinal) is > 0 and var at && Says("unable to execute QEMU agent command") =>
                new(AgentCondition.Refuses, default, $"the guest agent answered {Ids.Quote(error.Message[(at + 3)..])}"),
            _ => Nonsense(Ids.Quote(error.Message)),
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _asking.DisposeAsync();
        await _freezing.DisposeAsync();
    }
}
