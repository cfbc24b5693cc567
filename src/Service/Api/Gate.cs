using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Dashboard;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Api;

/// <summary>The least role that an endpoint takes. An endpoint without one is closed to everybody.</summary>
/// <param name="Role">The least role.</param>
/// <param name="AllEnvironments">True: only tokens that are not limited to some environments.</param>
internal sealed record Needs(AccessRole Role, bool AllEnvironments = false);

/// <summary>
/// Lets nobody in but: everyone to /healthz and /readyz; bearers of a valid token to what its role and environments cover. The dashboard has a gate of its own.
/// </summary>
internal sealed class Gate(RequestDelegate next, ITokenStore tokens, TimeProvider clock)
{
    public async Task InvokeAsync(HttpContext http)
    {
        var path = http.Request.Path;
        if (path == "/healthz" || path == "/readyz" || http.GetEndpoint()?.Metadata.GetMetadata<BehindDashboardGate>() is not null)
        {
            await next(http);
            return;
        }
        if (await FindAsync(tokens, clock, Bearer(http), http.RequestAborted) is not { } token)
        {
            http.Response.Headers.WWWAuthenticate = "Bearer";
            await Problems.WriteAsync(http, 401, Fault.InvalidRequest, "This request carries no valid token.", "Send 'Authorization: Bearer TOKEN'; the first one is in admin.token of the service's state folder.");
            return;
        }
        if (http.GetEndpoint() is { } endpoint)
        {
            var needs = endpoint.Metadata.GetMetadata<Needs>();
            if (needs is null && endpoint.DisplayName?.StartsWith("415", StringComparison.Ordinal) == true)
            {
                // Routing's own endpoint for a body of another type.
                await Problems.WriteAsync(http, 415, Fault.InvalidRequest, "The body is not JSON.", "Send 'Content-Type: application/json'.");
                return;
            }
            if (needs is null && endpoint.DisplayName?.StartsWith("405", StringComparison.Ordinal) == true)
            {
                // Likewise for a method that the address does not have; it sets the header Allow.
                http.Items[typeof(AccessToken)] = token;
                await next(http);
                return;
            }
            if (needs is null || token.Role < needs.Role || (needs.AllEnvironments && token.Environments is not null))
            {
                await Problems.WriteAsync(http, 403, Fault.InvalidRequest, $"The token '{token.Name}' ({token.Role}) may not do this.",
                    needs is null ? null : $"Use a token of role {needs.Role}{(needs.AllEnvironments ? " for all environments" : "")}.");
                return;
            }
            // What a token does not cover does not exist for it: names of other environments are not given away.
            if (http.GetRouteValue("env") is string env && !token.Covers(EnvironmentId.Parse(env)))
                throw new WeaveException(Fault.NotFound, $"There is no environment '{env}'.", "List the environments.");
        }
        http.Items[typeof(AccessToken)] = token;
        await next(http);
    }

    /// <summary>The valid token with that secret, or null. Only the hash is compared, so timing tells nothing of a secret.</summary>
    public static async Task<AccessToken?> FindAsync(ITokenStore tokens, TimeProvider clock, string? secret, CancellationToken stop) =>
        secret is { Length: > 0 and <= 200 } && await tokens.FindAsync(TokenSecret.Hash(secret), stop) is { } token && token.IsValidAt(clock.GetUtcNow()) ? token : null;

    private static string? Bearer(HttpContext http) =>
        http.Request.Headers.Authorization is [{ } only] && only.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) ? only[7..].Trim() : null;
}

internal static class GateExtensions
{
    /// <summary>The token of this request.</summary>
    public static AccessToken Token(this HttpContext http) => (AccessToken)http.Items[typeof(AccessToken)]!;
}
