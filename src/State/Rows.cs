namespace WeaveHypervisor.State;

// Rows hold the columns that are searched or must be unique, and the whole entity as a JSON document. Ids are stored in their text form and instants as
// UTC ticks (100 ns since 0001-01-01): both compare the same way in every database.

internal sealed class EnvironmentRow
{
    public required string Id { get; set; }
    public required string Document { get; set; }
}

internal sealed class WeaveRow
{
    public required string Environment { get; set; }
    public required string Id { get; set; }
    public required string Tag { get; set; }
    public required long CreatedAt { get; set; }
    public required string Document { get; set; }
}

internal sealed class SnapshotRow
{
    public required string Id { get; set; }
    public required string Environment { get; set; }
    public required long At { get; set; }
    public required string Document { get; set; }
}

internal sealed class LayerRow
{
    public required string Id { get; set; }
    public required string Environment { get; set; }
    public required long CreatedAt { get; set; }
    public required string Document { get; set; }
}

internal sealed class RouteRow
{
    public required string Id { get; set; }
    public required string Environment { get; set; }
    public required string ListenAddress { get; set; }
    public required int ListenPort { get; set; }
    public required string Protocol { get; set; }
    public required long CreatedAt { get; set; }
    public required string Document { get; set; }
}

internal sealed class ActivationRow
{
    public long Number { get; set; }
    public required string Environment { get; set; }
    public required string Weave { get; set; }
    public required long From { get; set; }
}

internal sealed class OperationRow
{
    /// <summary>Order of submission.</summary>
    public long Number { get; set; }
    public required string Id { get; set; }
    public required string Environment { get; set; }
    public required bool Ended { get; set; }
    public required long Revision { get; set; }
    /// <summary>Apart from the document, because it is written without the lease.</summary>
    public required bool CancelRequested { get; set; }
    public required string Document { get; set; }
}

internal sealed class IdempotencyRow
{
    public required string Key { get; set; }
    public string? Hash { get; set; }
    public required string Operation { get; set; }
    public required long At { get; set; }
}

internal sealed class LeaseRow
{
    public required string Environment { get; set; }
    /// <summary>Null where it was given back.</summary>
    public string? Owner { get; set; }
    public required long Number { get; set; }
    public required long ExpiresAt { get; set; }
}

internal sealed class TokenRow
{
    public required string Name { get; set; }
    public required string Hash { get; set; }
    public required string Document { get; set; }
}

internal sealed class AuditRow
{
    public long Number { get; set; }
    public required long At { get; set; }
    public required string Who { get; set; }
    public required string What { get; set; }
    public required string Subject { get; set; }
    public required string Result { get; set; }
}
