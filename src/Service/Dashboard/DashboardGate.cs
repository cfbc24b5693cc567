using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Api;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Dashboard;

/// <summary>Marks endpoints below /hangfire: the gate of the interface leaves them to <see cref="DashboardGate"/>.</summary>
internal sealed record BehindDashboardGate;

/// <summary>
/// Stands before everything below /hangfire. Lets in who logged in with a token that is still valid, for all environments; the login page is open. Looked up at
/// each request, so a token that is revoked opens nothing from then on. Only admins may change anything; what they change is in the audit log.
/// </summary>
internal sealed class DashboardGate(RequestDelegate next, ITokenStore tokens, IAuditLog audit, TimeProvider clock)
{
    public const string Root = "/hangfire", LoginPath = Root + "/login", LogoutPath = Root + "/logout", Scheme = "dashboard";
    /// <summary>The dashboard's figures, which its pages fetch by POST; nothing is changed by it.</summary>
    private const string StatisticsPath = Root + "/stats";

    public async Task InvokeAsync(HttpContext http)
    {
        var path = http.Request.Path;
        if (!path.StartsWithSegments(Root))
        {
            await next(http);
            return;
        }
        var headers = http.Response.Headers;
        headers.CacheControl = "no-store";
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers.ContentSecurityPolicy = "frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'";
        headers["Referrer-Policy"] = "no-referrer";
        if (path == LoginPath)
        {
            http.User = new();
            await next(http);
            return;
        }
        var reads = HttpMethods.IsGet(http.Request.Method) || HttpMethods.IsHead(http.Request.Method);
        if (await FindAsync(http) is not { } found)
        {
            http.User = new();
            if (reads) http.Response.Redirect($"{LoginPath}?returnUrl={Uri.EscapeDataString(path + http.Request.QueryString)}");
            else await Problems.WriteAsync(http, 401, Fault.InvalidRequest, "Nobody has logged in to the dashboard, or the login has ended.", $"Log in at {LoginPath}.");
            return;
        }
        var (user, token) = found;
        var changes = !reads && path != StatisticsPath && path != LogoutPath;
        if (changes && token.Role < AccessRole.Admin)
        {
            await Problems.WriteAsync(http, 403, Fault.InvalidRequest, $"The token '{token.Name}' ({token.Role}) may only look.", $"Log in with a token of role {AccessRole.Admin}.");
            return;
        }
        http.User = user;
        http.Items[typeof(AccessToken)] = token;
        await next(http);
        if (changes) await audit.AppendAsync(new(0, clock.GetUtcNow(), token.Name, "dashboard.command", Ids.Quote(path), $"status {http.Response.StatusCode}"), CancellationToken.None);
    }

    private async Task<(ClaimsPrincipal User, AccessToken Token)?> FindAsync(HttpContext http)
    {
        if (await http.AuthenticateAsync(Scheme) is not { Succeeded: true, Principal: { Identity.Name: { } name } user }) return null;
        return (await tokens.ListAsync(http.RequestAborted)).FirstOrDefault(t => t.Name == name) is { Environments: null } token && token.IsValidAt(clock.GetUtcNow()) ? (user, token) : null;
    }
}
