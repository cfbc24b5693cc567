using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace WeaveHypervisor.EndToEnd;

/// <summary>A headless Chromium, driven by chromedriver (W3C WebDriver).</summary>
internal sealed class Chromium : IAsyncDisposable
{
    private readonly HttpClient _http;
    private readonly Process _driver;
    private readonly string _profile = Directory.CreateTempSubdirectory("weave-chromium").FullName;
    private string _session = "";

    private Chromium(Process driver, int port) => (_driver, _http) = (driver, new(new SocketsHttpHandler { UseProxy = false })
    {
        BaseAddress = new(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/")), Timeout = TimeSpan.FromMinutes(1),
    });

    public static async Task<Chromium> StartAsync()
    {
        var port = LabWorld.FreePort();
        var driver = Process.Start(new ProcessStartInfo("chromedriver", [string.Create(CultureInfo.InvariantCulture, $"--port={port}"), "--silent"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        driver.BeginOutputReadLine();
        driver.BeginErrorReadLine();
        var browser = new Chromium(driver, port);
        try
        {
            await Shell.UntilAsync("chromedriver is ready", async () => (await browser._http.GetAsync(new Uri("status", UriKind.Relative))).IsSuccessStatusCode);
            var args = new JsonArray("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1280,800", "--user-data-dir=" + browser._profile);
            var options = new JsonObject { ["binary"] = "/usr/bin/chromium", ["args"] = args };
            var session = await browser.SendAsync("session", new() { ["capabilities"] = new JsonObject { ["alwaysMatch"] = new JsonObject { ["goog:chromeOptions"] = options } } });
            browser._session = $"session/{session.GetProperty("sessionId").GetString()}/";
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    public Task OpenAsync(string url) => SendAsync(_session + "url", new() { ["url"] = url });

    public async Task TypeAsync(string selector, string text) => await SendAsync($"{_session}element/{await FindAsync(selector)}/value", new() { ["text"] = text });

    public async Task ClickAsync(string selector) => await SendAsync($"{_session}element/{await FindAsync(selector)}/click", []);

    /// <summary>The text of the page as a person sees it.</summary>
    public async Task<string> TextAsync() => (await SendAsync(_session + "execute/sync", new() { ["script"] = "return document.body.innerText", ["args"] = new JsonArray() })).GetString() ?? "";

    /// <summary>Waits until the page, by itself, shows this.</summary>
    public async Task ShowsAsync(string what, Func<string, bool> shows)
    {
        var seen = "";
        try
        {
            await Shell.UntilAsync($"the page shows {what}", async () => shows(seen = await TextAsync()));
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message} It shows:\n{seen}", e);
        }
    }

    private async Task<string> FindAsync(string selector) =>
        (await SendAsync(_session + "element", new() { ["using"] = "css selector", ["value"] = selector })).EnumerateObject().First().Value.GetString()!;

    private async Task<JsonElement> SendAsync(string path, JsonObject body)
    {
        using var content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        using var answer = await _http.PostAsync(new Uri(path, UriKind.Relative), content);
        var value = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("value");
        return answer.IsSuccessStatusCode ? value : throw new InvalidOperationException($"{path}: {value}");
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            if (_session.Length > 0) using (await _http.DeleteAsync(new Uri(_session.TrimEnd('/'), UriKind.Relative))) { }
        }
        finally
        {
            if (!_driver.HasExited) _driver.Kill(entireProcessTree: true);
            _driver.Dispose();
            _http.Dispose();
            Directory.Delete(_profile, recursive: true);
        }
    }
}
