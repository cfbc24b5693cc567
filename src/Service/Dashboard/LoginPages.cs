using System.Net;
using System.Security.Claims;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;
using WeaveHypervisor.Service.Api;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Dashboard;

/// <summary>The login page (a token in, a cookie with a protected ticket out) and the logout page of the dashboard.</summary>
internal static class LoginPages
{
    /// <summary>How long a login lasts.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    public static void Map(IEndpointRouteBuilder app)
    {
        app.MapGet(DashboardGate.LoginPath, (HttpContext http, IAntiforgery forgery) => Page(http, forgery, 200, null)).WithMetadata(new BehindDashboardGate()).ExcludeFromDescription();
        app.MapPost(DashboardGate.LoginPath, LoginAsync).WithMetadata(new BehindDashboardGate()).ExcludeFromDescription();
        app.MapGet(DashboardGate.LogoutPath, (HttpContext http, IAntiforgery forgery) =>
            Html(http, 200, "Sign out", Form(http, forgery, DashboardGate.LogoutPath, $"<p>Signed in with the token <b>{Text(http.Token().Name)}</b> ({http.Token().Role}).</p><button>Sign out</button> <a href=\"{DashboardGate.Root}\">Back</a>"))).WithMetadata(new BehindDashboardGate()).ExcludeFromDescription();
        app.MapPost(DashboardGate.LogoutPath, async (HttpContext http, IAntiforgery forgery) =>
        {
            if (!await forgery.IsRequestValidAsync(http)) return Html(http, 403, "Sign out", Form(http, forgery, DashboardGate.LogoutPath, "<p>This form is too old.</p><button>Sign out</button>"));
            await http.SignOutAsync(DashboardGate.Scheme);
            return Results.Redirect(DashboardGate.LoginPath);
        }).WithMetadata(new BehindDashboardGate()).ExcludeFromDescription();
    }

    private static async Task<IResult> LoginAsync(HttpContext http, IAntiforgery forgery, ITokenStore tokens, IAuditLog audit, TimeProvider clock)
    {
        if (!http.Request.HasFormContentType || !await forgery.IsRequestValidAsync(http)) return Page(http, forgery, 403, "This form is too old. Try again.");
        var form = await http.Request.ReadFormAsync(http.RequestAborted);
        var token = await Gate.FindAsync(tokens, clock, form["token"].ToString().Trim(), http.RequestAborted);
        if (token is null) return Page(http, forgery, 401, "This is no valid token.");
        if (token.Environments is not null) return Page(http, forgery, 403, "The dashboard shows all environments; this token is limited to some.");
        await audit.AppendAsync(new(0, clock.GetUtcNow(), token.Name, "dashboard.login", "dashboard", "succeeded"), http.RequestAborted);
        // The ticket names the token and holds nothing of its secret.
        await http.SignInAsync(DashboardGate.Scheme, new(new ClaimsIdentity([new(ClaimTypes.Name, token.Name)], DashboardGate.Scheme)), new() { IsPersistent = false, AllowRefresh = false });
        return Results.LocalRedirect(ReturnUrl(form["returnUrl"]));
    }

    /// <summary>Only back into the dashboard.</summary>
    internal static string ReturnUrl(string? wanted) => wanted is not null && wanted.Length <= 2000 && !wanted.Contains('\\') && !wanted.Any(char.IsControl)
        && new PathString("/" + wanted.Split('?', '#')[0].TrimStart('/')) is var path && wanted.StartsWith('/') && !wanted.StartsWith("//", StringComparison.Ordinal)
        && path.StartsWithSegments(DashboardGate.Root) && path != DashboardGate.LoginPath && path != DashboardGate.LogoutPath ? wanted : DashboardGate.Root;

    private static IResult Page(HttpContext http, IAntiforgery forgery, int status, string? wrong)
    {
        var back = http.Request.HasFormContentType && http.Request.Form["returnUrl"] is [{ } posted] ? posted : http.Query("returnUrl");
        return Html(http, status, "Sign in", Form(http, forgery, DashboardGate.LoginPath, $"""
            {(wrong is null ? "" : $"<p role=\"alert\">{Text(wrong)}</p>")}
            <input type="hidden" name="returnUrl" value="{Text(ReturnUrl(back))}">
            <label for="token">Token</label>
            <input type="password" id="token" name="token" autocomplete="off" autofocus required maxlength="200">
            <button>Sign in</button>
            <p>The first token is in <code>admin.token</code> of the service's state folder.</p>
            """));
    }

    private static string Form(HttpContext http, IAntiforgery forgery, string action, string inner)
    {
        var tokens = forgery.GetAndStoreTokens(http);
        return $"""<form method="post" action="{action}"><input type="hidden" name="{Text(tokens.FormFieldName)}" value="{Text(tokens.RequestToken!)}">{inner}</form>""";
    }

    private static IResult Html(HttpContext http, int status, string title, string body)
    {
        http.Response.Headers.ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
        return Results.Text($$"""
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{title}} – WeaveHypervisor</title>
            <style>body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:12vh auto;padding:0 1rem}input[type=password]{display:block;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0 1rem}button{padding:.5rem 1.5rem}[role=alert]{color:#b00020}</style>
            </head><body><h1>WeaveHypervisor</h1>{{body}}</body></html>
            """, "text/html; charset=utf-8", statusCode: status);
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
