using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Access;
using Xunit;

namespace WeaveHypervisor.Conformance.Stores;

/// <summary>What every store of tokens promises.</summary>
public abstract class TokenStoreContract
{
    private static readonly CancellationToken Go = CancellationToken.None;
    private static readonly DateTimeOffset Noon = StoredThings.Noon;

    protected abstract ITokenStore Tokens { get; }

    private static AccessToken Token(string name) => new()
    {
        Name = name, Role = AccessRole.Operator, Environments = [StoredThings.Lab, StoredThings.Other], CreatedAt = Noon, ExpiresAt = Noon.AddDays(1),
    };

    private static async Task Refused(Fault fault, Func<Task> act) => Assert.Equal(fault, (await Assert.ThrowsAsync<WeaveException>(act)).Fault);

    [Fact]
    public async Task A_token_is_found_whole_by_the_hash_of_its_secret_and_by_nothing_else()
    {
        var (secret, other) = (TokenSecret.New(), TokenSecret.New());
        await Tokens.AddAsync(Token("ci"), TokenSecret.Hash(secret), Go);
        await Tokens.AddAsync(Token("all") with { Environments = null, ExpiresAt = null, Role = AccessRole.Admin }, TokenSecret.Hash(other), Go);
        Assert.Equivalent(Token("ci"), await Tokens.FindAsync(TokenSecret.Hash(secret), Go), strict: true);
        var all = (await Tokens.FindAsync(TokenSecret.Hash(other), Go))!;
        Assert.Null(all.Environments);
        Assert.Equal(AccessRole.Admin, all.Role);
        foreach (var wrong in new[] { secret, "ci", "", "%", TokenSecret.Hash(TokenSecret.New()), TokenSecret.Hash(secret).ToUpperInvariant(), TokenSecret.Hash(secret)[..63] })
            Assert.Null(await Tokens.FindAsync(wrong, Go));
    }

    [Fact]
    public async Task A_name_or_a_hash_that_is_taken_is_refused_also_after_the_token_was_revoked()
    {
        var hash = TokenSecret.Hash(TokenSecret.New());
        await Tokens.AddAsync(Token("ci"), hash, Go);
        for (var i = 0; i < 2; i++)
        {
            await Refused(Fault.AlreadyExists, () => Tokens.AddAsync(Token("ci"), TokenSecret.Hash(TokenSecret.New()), Go));
            await Refused(Fault.AlreadyExists, () => Tokens.AddAsync(Token("other"), hash, Go));
            Assert.Equal("ci", Assert.Single(await Tokens.ListAsync(Go)).Name);
            Assert.True(await Tokens.RevokeAsync("ci", Noon, Go));
        }
    }

    [Fact]
    public async Task What_is_no_name_is_refused()
    {
        foreach (var name in new[] { "", "-a", "A", "a b", "../a", "a\n", new string('a', 64) }) await Refused(Fault.InvalidRequest, () => Tokens.AddAsync(Token(name), TokenSecret.Hash(TokenSecret.New()), Go));
        Assert.Empty(await Tokens.ListAsync(Go));
    }

    [Fact]
    public async Task A_secret_in_the_place_of_its_hash_is_refused_before_it_is_stored()
    {
        var secret = TokenSecret.New();
        foreach (var wrong in new[] { secret, "", TokenSecret.Hash(secret)[1..], TokenSecret.Hash(secret) + "0", TokenSecret.Hash(secret).ToUpperInvariant(), new string('g', 64) })
            await Refused(Fault.InvalidRequest, () => Tokens.AddAsync(Token("ci"), wrong, Go));
        Assert.Empty(await Tokens.ListAsync(Go));
    }

    [Fact]
    public async Task A_revoked_or_expired_token_is_still_found_and_keeps_its_first_revocation()
    {
        var hash = TokenSecret.Hash(TokenSecret.New());
        await Tokens.AddAsync(Token("ci"), hash, Go);
        Assert.True((await Tokens.FindAsync(hash, Go))!.IsValidAt(Noon.AddDays(1).AddTicks(-1)));
        Assert.False((await Tokens.FindAsync(hash, Go))!.IsValidAt(Noon.AddDays(1)));
        Assert.True(await Tokens.RevokeAsync("ci", Noon.AddHours(1), Go));
        Assert.True(await Tokens.RevokeAsync("ci", Noon.AddHours(2), Go));
        var revoked = (await Tokens.FindAsync(hash, Go))!;
        Assert.Equivalent(Token("ci") with { RevokedAt = Noon.AddHours(1) }, revoked, strict: true);
        Assert.False(revoked.IsValidAt(Noon));
        Assert.False(await Tokens.RevokeAsync("nobody", Noon, Go));
    }

    [Fact]
    public async Task The_list_is_by_name()
    {
        foreach (var name in new[] { "b", "a-1", "a", "0" }) await Tokens.AddAsync(Token(name), TokenSecret.Hash(TokenSecret.New()), Go);
        await Tokens.RevokeAsync("a", Noon, Go);
        Assert.Equal(["0", "a", "a-1", "b"], (await Tokens.ListAsync(Go)).Select(t => t.Name));
    }

    [Fact]
    public async Task Of_two_that_want_one_name_at_once_one_gets_it_and_its_secret_is_the_one_that_works()
    {
        var made = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            var hash = TokenSecret.Hash(TokenSecret.New());
            try
            {
                await Tokens.AddAsync(Token("ci"), hash, Go);
                return (Hash: hash, Added: true);
            }
            catch (WeaveException e) when (e.Fault == Fault.AlreadyExists)
            {
                return (Hash: hash, Added: false);
            }
        })));
        Assert.Single(made, m => m.Added);
        foreach (var (hash, added) in made) Assert.Equal(added, await Tokens.FindAsync(hash, Go) is not null);
    }
}
