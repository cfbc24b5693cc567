using System.Text.Json;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>What QEMU answers to `query-migrate`.</summary>
/// <param name="Status">"none", "setup", "active", "pre-switchover", "completed", "failed"…</param>
/// <param name="Error">QEMU's own text where it has one.</param>
/// <param name="Passes">Times that the RAM has been gone through.</param>
/// <param name="Remaining">Bytes of RAM that are still to be sent; null where none are counted yet.</param>
internal readonly record struct MigrationStatus(string Status, string? Error, long Passes, long? Remaining)
{
    /// <summary>It has begun and not ended.</summary>
    public bool Goes => Status is "setup" or "active" or "device" or "pre-switchover" or "wait-unplug" or "cancelling";

    public static MigrationStatus Read(JsonElement answer)
    {
        var ram = answer.TryGetProperty("ram", out var counted) ? counted : (JsonElement?)null;
        return new(answer.TryGetProperty("status", out var status) ? status.GetString() ?? "none" : "none", answer.TryGetProperty("error-desc", out var error) ? error.GetString() : null,
            ram is { } r && r.TryGetProperty("dirty-sync-count", out var passes) ? passes.GetInt64() : 0, ram?.GetProperty("remaining").GetInt64());
    }

    /// <summary>The fault of a transfer that did not end as it should.</summary>
    public WeaveException ToFault(string machine) => new(Fault.Internal, $"QEMU could not save the memory of '{machine}': {Error ?? $"its migration is \"{Status}\""}.",
        "Look into the machine's log under /var/log/libvirt/qemu, or take the snapshot with `--disk-only`.");
}
