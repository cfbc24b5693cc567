using System.Globalization;
using System.Text.Json;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Inspecting;

/// <summary>The QEMU guest agent, through libvirt, which alone holds its channel.</summary>
internal sealed class GuestAgents(DriverContext context)
{
    /// <summary>Name of the agent's port, fixed by QEMU and libvirt.</summary>
    private const string Port = "org.qemu.guest_agent.0";
    private const int Longest = 64 << 10;

    public async Task<AgentState> FindAsync(MachineRef machine, CancellationToken stop)
    {
        using var domain = await context.Host.FindDomainAsync(machine, stop);
        if (domain is null) return AgentState.None;
        return await context.Host.CallAsync($"look at machine '{machine.HypervisorName}'", async _ =>
        {
            try
            {
                var target = DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop)).Descendants("channel").Select(c => c.Element("target")).FirstOrDefault(t => (string?)t?.Attribute("name") == Port);
                return target is null ? AgentState.None : (string?)target.Attribute("state") == "connected" ? AgentState.Connected : AgentState.Silent;
            }
            catch (LibvirtException e) when (e.Code == VirErrorCode.NoDomain)
            {
                return AgentState.None;
            }
        }, stop);
    }

    /// <summary>libvirt's own wait is cut to whole seconds; the caller's patience holds in any case, while a call that hangs ends by itself a little later.</summary>
    public async Task<string?> PingAsync(MachineRef machine, TimeSpan patience, CancellationToken stop)
    {
        using var limit = new CancellationTokenSource(patience, context.Clock);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stop);
        try
        {
            using var domain = await context.Agent.FindDomainAsync(machine, both.Token);
            if (domain is null) return "the machine is gone";
            return Judge(await domain.AgentCommandAsync("""{"execute":"guest-ping"}""", Math.Clamp((int)patience.TotalSeconds, 1, 60), both.Token));
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return string.Create(CultureInfo.InvariantCulture, $"no answer within {patience.TotalSeconds:0.#} s");
        }
        catch (LibvirtException e) when (e.Code is VirErrorCode.Rpc or VirErrorCode.NoConnect or VirErrorCode.InvalidConn)
        {
            throw LibvirtFaults.Translate(e, $"ask the guest agent of '{machine.HypervisorName}'");
        }
        catch (LibvirtException e)
        {
            // Also what the guest made libvirt say.
            return Ids.Quote(e.Message).Trim('\'');
        }
    }

    /// <summary>An answer to a ping is an object with an empty return.</summary>
    internal static string? Judge(string answer)
    {
        if (answer.Length > Longest) return string.Create(CultureInfo.InvariantCulture, $"it answered with {answer.Length} characters, which is no answer to a ping");
        try
        {
            using var document = JsonDocument.Parse(answer, new JsonDocumentOptions { MaxDepth = 16 });
            if (document.RootElement is { ValueKind: JsonValueKind.Object } root && root.TryGetProperty("return", out var value) && value.ValueKind == JsonValueKind.Object) return null;
        }
        catch (JsonException)
        {
            // Said below.
        }
        return $"it answered {Ids.Quote(answer)}, which is no answer to a ping";
    }
}
