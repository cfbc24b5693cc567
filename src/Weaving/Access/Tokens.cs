using System.Security.Cryptography;
using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Access;

/// <summary>What a token may do; each role may do what those before it may. Viewer reads, Operator changes environments, Admin adopts, releases and gives out tokens.</summary>
public enum AccessRole { Viewer, Operator, Admin }

/// <summary>An API token as it is stored: everything but its secret.</summary>
public sealed record AccessToken
{
    /// <summary>Public name of the token in lists and in the audit log, unique: <c>[a-z0-9][a-z0-9-]{0,62}</c>.</summary>
    public required string Name { get; init; }
    public required AccessRole Role { get; init; }
    /// <summary>The environments that it may see; null for all.</summary>
    public IReadOnlyList<EnvironmentId>? Environments { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? ExpiresAt { get; init; }
    public DateTimeOffset? RevokedAt { get; init; }

    /// <summary>Neither expired nor revoked.</summary>
    public bool IsValidAt(DateTimeOffset now) => RevokedAt is null && (ExpiresAt is null || now < ExpiresAt);

    public bool Covers(EnvironmentId environment) => Environments is null || Environments.Contains(environment);
}

/// <summary>Secrets of tokens: 256 random bits that are shown once; only their SHA-256 is stored. (Random, so that a plain hash is enough.)</summary>
public static class TokenSecret
{
    /// <summary>A new secret, written <c>weave_</c> and 64 hexadecimal digits.</summary>
    public static string New() => "weave_" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));

    /// <summary>SHA-256 of the secret's UTF-8 text as 64 lower-case hexadecimal digits.</summary>
    public static string Hash(string secret) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));
}

/// <summary>Stored API tokens. Writes are durable when the task ends.</summary>
public interface ITokenStore
{
    /// <summary>Adds a token under the hash of its secret; <see cref="Fault.AlreadyExists"/> where the name or the hash is taken, <see cref="Fault.InvalidRequest"/> for a bad name or what is not the form of <see cref="TokenSecret.Hash"/>.</summary>
    Task AddAsync(AccessToken token, string secretHash, CancellationToken stop);

    /// <summary>The token with that hash, also when it has expired or was revoked; null where there is none.</summary>
    Task<AccessToken?> FindAsync(string secretHash, CancellationToken stop);

    /// <summary>All tokens, also invalid ones, by name.</summary>
    Task<IReadOnlyList<AccessToken>> ListAsync(CancellationToken stop);

    /// <summary>Revokes from <paramref name="at"/> on, for ever; a token that was revoked keeps its first time. False: there is no such token.</summary>
    Task<bool> RevokeAsync(string name, DateTimeOffset at, CancellationToken stop);
}
