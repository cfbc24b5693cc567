using System.Collections.Concurrent;
using System.Xml.Linq;
using Hangfire;
using Hangfire.Dashboard;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;
using WeaveHypervisor.Service.Api;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Dashboard;

/// <summary>Hangfire's dashboard at /hangfire, behind the login of <see cref="DashboardGate"/>.</summary>
internal static class DashboardServices
{
    /// <summary>Pages of Hangfire's dashboard are registered for the process, once.</summary>
    private static readonly Lazy<bool> Pages = new(() =>
    {
        DashboardRoutes.Routes.AddRazorPage(OperationsPage.Path, _ => new OperationsPage());
        DashboardRoutes.Routes.Add(OperationsPage.RowsPath, new OperationRows());
        NavigationMenu.Items.Add(page => new MenuItem("Operations", page.Url.To(OperationsPage.Path)) { Active = page.RequestPath.StartsWith(OperationsPage.Path, StringComparison.Ordinal) });
        NavigationMenu.Items.Add(page => new MenuItem("Sign out", page.Url.To("/logout")));
        GlobalConfiguration.Configuration.UseJobDetailsRenderer(0, dto => new NonEscapedString(OperationsPage.Details(dto.Page.Context.GetHttpContext().RequestServices, OperationNames.IdOf(dto.JobDetails.Job))));
        return true;
    });

    public static IServiceCollection AddDashboard(this IServiceCollection services)
    {
        services.AddSingleton<OperationNames>();
        services.AddAuthentication().AddCookie(DashboardGate.Scheme, o =>
        {
            Harden(o.Cookie, "weave-dashboard");
            o.ExpireTimeSpan = LoginPages.Lifetime;
            o.SlidingExpiration = false;
        });
        services.AddAntiforgery(o => { Harden(o.Cookie, "weave-dashboard-form"); o.HeaderName = "X-CSRF-TOKEN"; o.SuppressXFrameOptionsHeader = true; });
        // Keys of cookies live as long as the process: a login does not outlast it, and nothing of it is on disk.
        services.Configure<KeyManagementOptions>(o => o.XmlRepository = new KeysInMemory());
        return services;
    }

    public static void MapDashboard(this WebApplication app)
    {
        _ = Pages.Value;
        LoginPages.Map(app);
        var names = app.Services.GetRequiredService<OperationNames>();
        app.MapHangfireDashboard(DashboardGate.Root, new DashboardOptions
        {
            DashboardTitle = "WeaveHypervisor", AppPath = null, DisplayStorageConnectionString = false, DisplayNameFunc = (_, job) => names.Of(job),
            Authorization = [new LoggedIn()], AsyncAuthorization = [], IsReadOnlyFunc = context => TokenOf(context) is not { Role: AccessRole.Admin },
        }, app.Services.GetRequiredService<JobStorage>()).WithMetadata(new BehindDashboardGate());
    }

    private static AccessToken? TokenOf(DashboardContext context) => context.GetHttpContext().Items.TryGetValue(typeof(AccessToken), out var token) ? (AccessToken?)token : null;

    private static void Harden(CookieBuilder cookie, string name)
    {
        (cookie.Name, cookie.Path, cookie.HttpOnly, cookie.IsEssential) = (name, DashboardGate.Root, true, true);
        (cookie.SameSite, cookie.SecurePolicy) = (SameSiteMode.Strict, CookieSecurePolicy.SameAsRequest);
    }

    /// <summary>The second lock: without the gate's word nothing is shown.</summary>
    private sealed class LoggedIn : IDashboardAuthorizationFilter
    {
        public bool Authorize(DashboardContext context) => TokenOf(context) is not null;
    }

    private sealed class OperationRows : IDashboardDispatcher
    {
        public Task Dispatch(DashboardContext context)
        {
            context.Response.ContentType = "text/html; charset=utf-8";
            return context.Response.WriteAsync(OperationsPage.Rows(context.GetHttpContext().RequestServices));
        }
    }

    private sealed class KeysInMemory : IXmlRepository
    {
        private readonly ConcurrentQueue<XElement> _keys = new();
        public IReadOnlyCollection<XElement> GetAllElements() => [.. _keys.Select(k => new XElement(k))];
        public void StoreElement(XElement element, string friendlyName) => _keys.Enqueue(new(element));
    }
}
