using System.Text.Json;
using System.Text.Json.Nodes;
using LibvirtSharp;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>
/// QMP commands to the QEMU of a domain, through libvirt-qemu's passthrough. The blocking form is for the hot path, where a thread of its own waits.
/// An error that QEMU answers is a <see cref="QemuRefusal"/>; one of libvirt stays a <see cref="LibvirtException"/>.
/// </summary>
internal static class Monitor
{
    public static JsonElement Execute(LibvirtDomain domain, string command, JsonObject? arguments = null) => Answer(command, domain.MonitorCommandNow(Text(command, arguments)));

    public static async Task<JsonElement> ExecuteAsync(LibvirtDomain domain, string command, JsonObject? arguments, CancellationToken stop) =>
        Answer(command, await domain.MonitorCommandAsync(Text(command, arguments), stop));

    /// <summary>Gives QEMU a copy of an open descriptor under a name (`getfd`); a name in use is replaced.</summary>
    public static async Task PassFileAsync(LibvirtDomain domain, string name, int file, CancellationToken stop)
    {
        using var reply = await domain.MonitorCommandWithFilesAsync(Text("getfd", new JsonObject { ["fdname"] = name }), [file], stop);
        Answer("getfd", reply.Json);
    }

    /// <summary>Takes back what <see cref="PassFileAsync"/> gave (`closefd`); nothing happens where QEMU has used it up or never had it.</summary>
    public static async Task CloseFileAsync(LibvirtDomain domain, string name, CancellationToken stop)
    {
        try
        {
            await ExecuteAsync(domain, "closefd", new JsonObject { ["fdname"] = name }, stop);
        }
        catch (QemuRefusal)
        {
            // "File descriptor named … not found".
        }
    }

    /// <summary>Has QEMU keep a copy of an open descriptor, for its own sake, until <see cref="ReleaseFilesAsync"/> (`add-fd`, in a set of its own).</summary>
    /// <param name="mark">Written beside it (`opaque`); by it the copy is found again.</param>
    /// <returns>Number of the set: QEMU opens the copy as `/dev/fdset/NUMBER` where a command wants a path, with exactly the access that the descriptor has.</returns>
    public static async Task<long> KeepFileAsync(LibvirtDomain domain, string mark, int file, CancellationToken stop)
    {
        using var reply = await domain.MonitorCommandWithFilesAsync(Text("add-fd", new JsonObject { ["opaque"] = mark }), [file], stop);
        return Answer("add-fd", reply.Json).GetProperty("fdset-id").GetInt64();
    }

    /// <summary>Has QEMU close all descriptors that it keeps under a mark.</summary>
    public static async Task ReleaseFilesAsync(LibvirtDomain domain, string mark, CancellationToken stop)
    {
        foreach (var set in (await ExecuteAsync(domain, "query-fdsets", null, stop)).EnumerateArray())
            foreach (var file in set.GetProperty("fds").EnumerateArray())
                if (file.TryGetProperty("opaque", out var opaque) && opaque.GetString() == mark)
                    await ExecuteAsync(domain, "remove-fd", new JsonObject { ["fdset-id"] = set.GetProperty("fdset-id").GetInt64(), ["fd"] = file.GetProperty("fd").GetInt64() }, stop);
    }

    /// <summary>Whether a migration capability is on; false where QEMU does not know it.</summary>
    public static async Task<bool> HasCapabilityAsync(LibvirtDomain domain, string capability, CancellationToken stop) =>
        (await ExecuteAsync(domain, "query-migrate-capabilities", null, stop)).EnumerateArray().Any(c => c.GetProperty("capability").GetString() == capability && c.GetProperty("state").GetBoolean());

    /// <summary>Switches one migration capability.</summary>
    public static Task SetCapabilityAsync(LibvirtDomain domain, string capability, bool on, CancellationToken stop) => ExecuteAsync(domain, "migrate-set-capabilities",
        new JsonObject { ["capabilities"] = new JsonArray(new JsonObject { ["capability"] = capability, ["state"] = on }) }, stop);

    /// <inheritdoc cref="MigrationStatus"/>
    public static MigrationStatus Migration(LibvirtDomain domain) => MigrationStatus.Read(Execute(domain, "query-migrate"));

    /// <inheritdoc cref="MigrationStatus"/>
    public static async Task<MigrationStatus> MigrationAsync(LibvirtDomain domain, CancellationToken stop) => MigrationStatus.Read(await ExecuteAsync(domain, "query-migrate", null, stop));

    private static string Text(string command, JsonObject? arguments)
    {
        var request = new JsonObject { ["execute"] = command };
        if (arguments is not null) request["arguments"] = arguments;
        return request.ToJsonString();
    }

    private static JsonElement Answer(string command, string json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        if (root.TryGetProperty("error", out var error))
            throw new QemuRefusal(command, error.TryGetProperty("class", out var kind) ? kind.GetString() ?? "" : "", error.TryGetProperty("desc", out var text) ? text.GetString() ?? "" : "");
        return root.TryGetProperty("return", out var answer) ? answer.Clone() : default;
    }
}

/// <summary>QEMU answered a command with an error; callers decide whether that is a fallback or a fault.</summary>
internal sealed class QemuRefusal(string command, string kind, string text) : Exception($"QEMU refused {command}: {text}")
{
    public string Command { get; } = command;
    public string Kind { get; } = kind;
    public string Text { get; } = text;

    public WeaveException ToFault(string tried) => new(Fault.Unsupported, $"{tried}: {Message}.", "Look into the machine's log under /var/log/libvirt/qemu.", this);
}
