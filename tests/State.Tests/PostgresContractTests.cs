using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.State.Tests;

public sealed class PostgresJournalTests : JournalContract, IDisposable
{
    private readonly TemporaryPostgres _temporary = new();
    private readonly WeaveDatabase _database;

    public PostgresJournalTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override IJournal Journal => _database.Journal;
    protected override TimeProvider Clock => _temporary.Clock;
    protected override void Pass(TimeSpan time) => _temporary.Clock.Advance(time);
}

public sealed class PostgresWeaveStoreTests : WeaveStoreContract, IDisposable
{
    private readonly TemporaryPostgres _temporary = new();
    private readonly WeaveDatabase _database;

    public PostgresWeaveStoreTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override IWeaveStore Store => _database.Store;
    protected override IJournal Journal => _database.Journal;
    protected override void Pass(TimeSpan time) => _temporary.Clock.Advance(time);
}

public sealed class PostgresTokenStoreTests : TokenStoreContract, IDisposable
{
    private readonly TemporaryPostgres _temporary = new();
    private readonly WeaveDatabase _database;

    public PostgresTokenStoreTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override ITokenStore Tokens => _database.Tokens;
}

public sealed class PostgresAuditLogTests : AuditLogContract, IDisposable
{
    private readonly TemporaryPostgres _temporary = new();
    private readonly WeaveDatabase _database;

    public PostgresAuditLogTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override IAuditLog Log => _database.Audit;
}
