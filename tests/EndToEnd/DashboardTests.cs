namespace WeaveHypervisor.EndToEnd;

/// <summary>The dashboard in a real browser, with its scripts and its content security policy.</summary>
[Collection("lab")]
public sealed class DashboardTests(LabWorld lab)
{
    [Fact]
    public async Task A_browser_sees_work_with_its_name_environment_and_progress_only_after_the_login()
    {
        await lab.AdoptedAsync();
        await using var browser = await Chromium.StartAsync();
        await browser.OpenAsync(lab.Service.Url + "/hangfire/operations");
        Assert.DoesNotContain("env.adopt", await browser.TextAsync());
        await browser.TypeAsync("#token", "weave_wrong");
        await browser.ClickAsync("form button");
        await browser.ShowsAsync("the refusal", t => t.Contains("no valid token", StringComparison.Ordinal));
        await browser.TypeAsync("#token", (await File.ReadAllTextAsync(Path.Combine(LabWorld.State, "admin.token"))).Trim());
        await browser.ClickAsync("form button");
        await browser.ShowsAsync("the adoption", t => t.Contains("adopt", StringComparison.OrdinalIgnoreCase) && t.Contains(LabWorld.Environment, StringComparison.Ordinal));

        // Without a reload: the page follows by itself.
        await lab.WeaveAsync("snapshot", LabWorld.Environment, "--label", "watched", "--no-wait");
        await browser.ShowsAsync("the snapshot at work or done", t => t.Contains("snapshot", StringComparison.OrdinalIgnoreCase));
        await browser.ShowsAsync("its end", t => t.Split('\n').Any(l => l.Contains("snapshot", StringComparison.OrdinalIgnoreCase) && l.Contains("succeeded", StringComparison.Ordinal)));
        // Hangfire notes the end of a job a moment later, and its own pages stay as they were opened.
        await Shell.UntilAsync("the job by its operation's name", async () =>
        {
            await browser.OpenAsync(lab.Service.Url + "/hangfire/jobs/succeeded");
            return (await browser.TextAsync()).Contains("snapshot lab", StringComparison.Ordinal);
        });
    }
}
