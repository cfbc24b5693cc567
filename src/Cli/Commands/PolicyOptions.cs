using System.CommandLine;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>The options that make a policy, for `policy set` and `env adopt`.</summary>
/// <param name="needed">Without one there is nothing to do; otherwise no policy is an answer, too.</param>
internal sealed class PolicyOptions(bool needed)
{
    private readonly Option<string?> _every = new("--every") { Description = "One point in each such slot of time, such as 30s, 5m or 1h; slots are counted in UTC, so that 5m means :00, :05, :10…", Required = needed };
    private readonly Option<int?> _keep = new("--keep-last") { Description = "Keep the newest so many automatic points.", Required = needed };
    private readonly Option<int?> _hourly = new("--hourly") { Description = "Also keep the newest point of each of the newest so many UTC hours that have one. Hours without a point do not count: time alone removes nothing." };
    private readonly Option<int?> _daily = new("--daily") { Description = "The same of UTC days." };
    private readonly Option<int?> _verify = new("--verify-every") { Description = "Of each so many slots revive one point in isolation, to see whether it comes to life; `snapshot show` tells the outcome." };
    private readonly Option<bool> _diskOnly = new("--disk-only") { Description = "Without memory: as after a power cut." };
    private readonly Option<bool> _quiesce = new("--quiesce") { Description = "Ask guest agents to freeze file systems first; for machines whose memory is not captured." };

    public Symbol[] Symbols => [_every, _keep, _hourly, _daily, _verify, _diskOnly, _quiesce];

    /// <summary>Refuses half a policy when the line is read.</summary>
    public void Check(Command command) => command.Validators.Add(result =>
    {
        bool Given(Option option) => result.GetResult(option) is { Implicit: false };
        Option[] all = [_every, _keep, _hourly, _daily, _verify, _diskOnly, _quiesce];
        if (all.Any(Given) && !(Given(_every) && Given(_keep))) result.AddError("A policy needs --every and --keep-last.");
    });

    /// <summary>Null where no policy was asked for.</summary>
    public PolicyBody? Read(ParseResult parsed) => parsed.GetValue(_every) is not { } every ? null : new()
    {
        Every = every, KeepLast = parsed.GetValue(_keep) ?? 0, Hourly = parsed.GetValue(_hourly), Daily = parsed.GetValue(_daily), VerifyEvery = parsed.GetValue(_verify),
        Memory = !parsed.GetValue(_diskOnly), Quiesce = parsed.GetValue(_quiesce),
    };
}
