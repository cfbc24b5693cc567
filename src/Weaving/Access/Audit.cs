namespace WeaveHypervisor.Weaving.Access;

/// <summary>One line of the audit log.</summary>
/// <param name="Number">Given by the log, growing; 0 in an entry that is not written yet.</param>
/// <param name="Who">Name of the token, or "service".</param>
/// <param name="What">The verb: "weave.create", "token.revoke".</param>
/// <param name="Subject">What it was done to: "lab/past".</param>
/// <param name="Result">"accepted", "refused: …", "succeeded", "failed: …".</param>
public sealed record AuditEntry(long Number, DateTimeOffset At, string Who, string What, string Subject, string Result);

/// <summary>Who did what, when: only ever appended to. Writes are durable when the task ends.</summary>
public interface IAuditLog
{
    /// <summary>Appends and answers the entry with its number.</summary>
    Task<AuditEntry> AppendAsync(AuditEntry entry, CancellationToken stop);

    /// <summary>Newest first, at most <paramref name="limit"/>. <paramref name="before"/> is the last number of the page before; null for the newest page.</summary>
    Task<IReadOnlyList<AuditEntry>> ListAsync(int limit, long? before, CancellationToken stop);
}
