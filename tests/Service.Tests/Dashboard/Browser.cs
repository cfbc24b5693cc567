using System.Net;
using System.Text.RegularExpressions;

namespace WeaveHypervisor.Service.Tests.Dashboard;

/// <summary>Keeps cookies and sends forms, as a browser does; follows no redirect by itself.</summary>
internal sealed partial class Browser : IDisposable
{
    private readonly HttpClient _http;

    public Browser(Uri address)
    {
        _http = new(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, CookieContainer = Cookies }) { BaseAddress = address, Timeout = TestService.Patience };
    }

    public CookieContainer Cookies { get; } = new();

    public Task<HttpResponseMessage> GetAsync(string path) => _http.GetAsync(path);

    public async Task<string> PageAsync(string path)
    {
        var answer = await GetAsync(path);
        Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{path}: {(int)answer.StatusCode}");
        return await answer.Content.ReadAsStringAsync();
    }

    public Task<HttpResponseMessage> PostAsync(string path, params (string Name, string Value)[] form) => _http.PostAsync(path, Form(form));

    /// <summary>A POST with the token that the dashboard's pages carry for their scripts, as those scripts send it.</summary>
    public async Task<HttpResponseMessage> CommandAsync(string path, params (string Name, string Value)[] form)
    {
        var page = await PageAsync("/hangfire");
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = Form(form) };
        request.Headers.Add(Meta(page, "csrf-header"), Meta(page, "csrf-token"));
        return await _http.SendAsync(request);
    }

    /// <summary>Fills in the login form; answers what the service said.</summary>
    public async Task<HttpResponseMessage> LogInAsync(string token, string returnUrl = "/hangfire")
    {
        var page = await PageAsync($"/hangfire/login?returnUrl={Uri.EscapeDataString(returnUrl)}");
        var fields = HiddenField().Matches(page).ToDictionary(m => m.Groups[1].Value, m => WebUtility.HtmlDecode(m.Groups[2].Value));
        return await PostAsync("/hangfire/login", [.. fields.Select(f => (f.Key, f.Value)), ("token", token)]);
    }

    public static async Task<Browser> LoggedInAsync(TestService service, string? token = null)
    {
        var browser = new Browser(service.Address);
        Assert.Equal(HttpStatusCode.Redirect, (await browser.LogInAsync(token ?? service.AdminToken)).StatusCode);
        return browser;
    }

    /// <summary>The hidden fields of the page's form.</summary>
    public static (string, string)[] Hidden(string page) => [.. HiddenField().Matches(page).Select(m => (m.Groups[1].Value, WebUtility.HtmlDecode(m.Groups[2].Value)))];

    private static string Meta(string page, string name) => Regex.Match(page, $"<meta name=\"{name}\" content=\"([^\"]+)\"") is { Success: true } m ? m.Groups[1].Value : throw new InvalidOperationException($"The page has no {name}.");
    private static FormUrlEncodedContent Form((string Name, string Value)[] form) => new(form.Select(f => KeyValuePair.Create(f.Name, f.Value)));
    public void Dispose() => _http.Dispose();

    [GeneratedRegex("<input type=\"hidden\" name=\"([^\"]+)\" value=\"([^\"]*)\">")]
    private static partial Regex HiddenField();
}
