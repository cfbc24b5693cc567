using Microsoft.EntityFrameworkCore;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.State;

internal sealed class TokenStore(StateEngine database) : ITokenStore
{
    public Task AddAsync(AccessToken token, string secretHash, CancellationToken stop) => database.WriteAsync("storing a token", ["tokens"], async db =>
    {
        if (!Ids.IsName(token.Name))
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(token.Name)} is not a valid token name.", "Use lower-case letters, digits and hyphens, at most 63 characters.");
        // A secret that is stored by mistake would lie in the file and in every backup.
        if (secretHash.Length != 64 || !secretHash.All(char.IsAsciiHexDigitLower))
            throw new WeaveException(Fault.InvalidRequest, $"What was given for token '{token.Name}' is no SHA-256 hash.", "Give the hash of the secret, never the secret.");
        if (await db.Tokens.AnyAsync(r => r.Name == token.Name || r.Hash == secretHash, stop).ConfigureAwait(false))
            throw new WeaveException(Fault.AlreadyExists, $"A token '{token.Name}' exists already.", "Choose another name; a name is never used again, also after the token was revoked.");
        db.Add(new TokenRow { Name = token.Name, Hash = secretHash, Document = StateJson.Write(token, StateJson.Default.AccessToken) });
        return 0;
    }, stop);

    public Task<AccessToken?> FindAsync(string secretHash, CancellationToken stop) => database.ReadAsync("reading a token", async db =>
    {
        var found = await db.Tokens.Where(r => r.Hash == secretHash).Select(r => r.Document).FirstOrDefaultAsync(stop).ConfigureAwait(false);
        return found is null ? null : StateJson.Read(found, StateJson.Default.AccessToken);
    });

    public Task<IReadOnlyList<AccessToken>> ListAsync(CancellationToken stop) => database.ReadAsync<IReadOnlyList<AccessToken>>("listing tokens", async db =>
        [.. (await db.Tokens.OrderBy(r => r.Name).Select(r => r.Document).ToListAsync(stop).ConfigureAwait(false)).Select(d => StateJson.Read(d, StateJson.Default.AccessToken))]);

    public Task<bool> RevokeAsync(string name, DateTimeOffset at, CancellationToken stop) => database.WriteAsync("revoking a token", ["tokens"], async db =>
    {
        var row = await db.Tokens.FirstOrDefaultAsync(r => r.Name == name, stop).ConfigureAwait(false);
        if (row is null) return false;
        var token = StateJson.Read(row.Document, StateJson.Default.AccessToken);
        row.Document = StateJson.Write(token with { RevokedAt = token.RevokedAt ?? at }, StateJson.Default.AccessToken);
        return true;
    }, stop);
}

internal sealed class AuditLog(StateEngine database) : IAuditLog
{
    public Task<AuditEntry> AppendAsync(AuditEntry entry, CancellationToken stop) => database.WriteAsync("writing the audit log", [], async db =>
    {
        var row = new AuditRow { At = entry.At.UtcTicks, Who = entry.Who, What = entry.What, Subject = entry.Subject, Result = entry.Result };
        db.Add(row);
        await db.SaveChangesAsync(stop).ConfigureAwait(false);
        return entry with { Number = row.Number };
    }, stop);

    public Task<IReadOnlyList<AuditEntry>> ListAsync(int limit, long? before, CancellationToken stop) => database.ReadAsync<IReadOnlyList<AuditEntry>>("reading the audit log", async db =>
    {
        var last = before ?? long.MaxValue;
        return [.. (await db.Audit.AsNoTracking().Where(r => r.Number < last).OrderByDescending(r => r.Number).Take(Math.Max(0, limit)).ToListAsync(stop).ConfigureAwait(false))
            .Select(r => new AuditEntry(r.Number, new(r.At, TimeSpan.Zero), r.Who, r.What, r.Subject, r.Result))];
    });
}
