using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.State.Tests;

public sealed class SqliteJournalTests : JournalContract, IDisposable
{
    private readonly TemporaryDatabase _temporary = new();
    private readonly WeaveDatabase _database;

    public SqliteJournalTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override IJournal Journal => _database.Journal;
    protected override TimeProvider Clock => _temporary.Clock;
    protected override void Pass(TimeSpan time) => _temporary.Clock.Advance(time);
}

/// <summary>The journal that stands in for the real one in other tests has to keep the same promises.</summary>
public sealed class InMemoryJournalTests : JournalContract
{
    private readonly Microsoft.Extensions.Time.Testing.FakeTimeProvider _clock = new(StoredThings.Noon);
    private readonly InMemoryJournal _journal;

    public InMemoryJournalTests() => _journal = new(_clock);
    protected override IJournal Journal => _journal;
    protected override TimeProvider Clock => _clock;
    protected override void Pass(TimeSpan time) => _clock.Advance(time);
}

public sealed class SqliteWeaveStoreTests : WeaveStoreContract, IDisposable
{
    private readonly TemporaryDatabase _temporary = new();
    private readonly WeaveDatabase _database;

    public SqliteWeaveStoreTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override IWeaveStore Store => _database.Store;
    protected override IJournal Journal => _database.Journal;
    protected override void Pass(TimeSpan time) => _temporary.Clock.Advance(time);
}

public sealed class SqliteTokenStoreTests : TokenStoreContract, IDisposable
{
    private readonly TemporaryDatabase _temporary = new();
    private readonly WeaveDatabase _database;

    public SqliteTokenStoreTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override ITokenStore Tokens => _database.Tokens;
}

public sealed class SqliteAuditLogTests : AuditLogContract, IDisposable
{
    private readonly TemporaryDatabase _temporary = new();
    private readonly WeaveDatabase _database;

    public SqliteAuditLogTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override IAuditLog Log => _database.Audit;
}
