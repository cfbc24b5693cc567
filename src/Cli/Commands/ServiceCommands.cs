using System.CommandLine;
using System.Reflection;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>doctor, serve, token, version.</summary>
internal static class ServiceCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        root.Subcommands.Add(Doctor(verb));
        root.Subcommands.Add(Repair(verb));
        root.Subcommands.Add(Serve(verb));
        root.Subcommands.Add(verb.Make("token", "Manage tokens for the interface.", ["weave token list"], TokenList(verb), TokenCreate(verb), TokenRevoke(verb)));
        root.Subcommands.Add(Version(verb));
    }

    private static Command Doctor(Verb verb)
    {
        var repair = new Option<bool>("--repair") { Description = "Remove what is left over, publish routes again, make broken fences whole." };
        var hyperv = new Option<bool>("--hyperv")
        {
            Description = "On a Hyper-V host, elevated: find out what it can do by trying it on machines of the test's own (64 MB, some minutes), and keep that for the service. All of it is removed again.",
        };
        var command = verb.Make("doctor", "Check the host, and compare it with what the service knows. Works without a service, too.", ["weave doctor", "weave doctor --repair", "weave doctor --json", "weave doctor --hyperv"], repair, hyperv);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            DoctorView doctor;
            try
            {
                doctor = parsed.GetValue(repair) ? await client.ReconcileAsync(true, stop) : await client.DoctorAsync(stop);
            }
            catch (ApiException e) when (e.Fault == "unavailable" && !parsed.GetValue(repair))
            {
                output.Note("weave: no service answers; the host is checked without it");
                return ServiceProgram.Run(verb.Host, output.IsJson ? ["doctor", "--json"] : ["doctor"]);
            }
            if (output.IsJson) output.Json(doctor, V1Json.Default.DoctorView);
            else
            {
                output.Facts([("hypervisor", $"{doctor.Hypervisor} {doctor.Version}"), .. doctor.Details.Select(d => (d.Key, (string?)d.Value))]);
                output.Table(["LEVEL", "SUBJECT", "FOUND", "NEXT"], doctor.Findings.Select(f => new[] { f.Level, f.Subject, f.Text, f.NextStep ?? "" }));
                foreach (var line in doctor.Repaired) output.Line($"repaired: {line}");
            }
            return doctor.Findings.Any(f => f.Level == "error") ? ExitCodes.Failed : ExitCodes.Done;
        }, parsed => !parsed.GetValue(hyperv) ? null : parsed.GetValue(repair) ? throw new UsageException("--hyperv and --repair do not go together.", "Give one of them.")
            : parsed.GetValue(verb.Json) ? ["doctor", "--hyperv", "--json"] : ["doctor", "--hyperv"]);
        return command;
    }

    private static Command Repair(Verb verb)
    {
        var scope = new Argument<string?>("ENV[/WEAVE]") { Description = "Only this environment or weave; without: all, and what belongs to none.", Arity = ArgumentArity.ZeroOrOne };
        var dry = new Option<bool>("--dry-run") { Description = "Say what would be done, and change nothing on the host." };
        var command = verb.Make("repair", "Make the host what the service knows: fences whole, routes published, left-overs gone, stopped machines taken note of. Says what was done, and what cannot be repaired and why; exit code 1 where something remains.",
            ["weave repair --dry-run", "weave repair shop/audit", "weave repair --json"], scope, dry);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var named = parsed.GetValue(scope)?.Split('/');
            if (named is { Length: > 2 } || named?.Any(n => n.Length == 0) == true) throw new UsageException($"'{parsed.GetValue(scope)}' names neither an environment nor a weave.", "Write ENV or ENV/WEAVE, for example lab/main.");
            var report = await client.ReconcileAsync(!parsed.GetValue(dry), stop, named?[0], named?.ElementAtOrDefault(1));
            var remains = report.Findings.Where(f => f.Level is "warning" or "error").ToList();
            if (output.IsJson) output.Json(report, V1Json.Default.DoctorView);
            else
            {
                foreach (var line in report.Repaired) output.Line($"done: {line}");
                foreach (var line in report.Repairable) output.Line($"would: {line}");
                if (named is null && report.Busy.Count > 0) output.Line($"not looked at, because operations are at work: {string.Join(", ", report.Busy)}");
                if (remains.Count > 0) output.Table([parsed.GetValue(dry) ? "FOUND IN" : "REMAINS IN", "WHAT", "NEXT"], remains.Select(f => new[] { f.Subject, f.Text, f.NextStep ?? "" }));
                else output.Line(report.Repaired.Count > 0 ? "all is well now" : report.Repairable.Count > 0 ? "nothing else was found" : "all is well: nothing to repair");
            }
            return remains.Count > 0 || report.Busy.Count > 0 ? ExitCodes.Failed : ExitCodes.Done;
        });
        return command;
    }

    private static Command Serve(Verb verb)
    {
        var rest = new Argument<string[]>("SETTINGS") { Description = "Settings for the service, as --Section:Name=value.", Arity = ArgumentArity.ZeroOrMore };
        var driver = new Option<string?>("--driver") { Description = "libvirt (Linux), hyperv (Windows), or an imaginary host for a first look: simulator, hyperv-simulator. Without: the setting Weave:Driver, else the system's own." };
        driver.AcceptOnlyFromAmong("libvirt", "hyperv", "simulator", "hyperv-simulator");
        var command = verb.Make("serve", "Run the service in the foreground. It reads /etc/weave/weave.json (on Windows %ProgramData%\\WeaveHypervisor\\weave.json) and variables that begin with WEAVE_.",
            ["weave serve", "weave serve --Weave:Listen=http://127.0.0.1:7800", "weave serve --driver hyperv-simulator"], rest, driver);
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(parsed =>
        {
            try
            {
                return ServiceProgram.Run(verb.Host, ["serve", .. parsed.GetValue(driver) is { } name ? new[] { $"--Weave:Driver={name}" } : [], .. parsed.GetValue(rest) ?? [], .. parsed.UnmatchedTokens]);
            }
            catch (UsageException e)
            {
                return new Output(verb.Host, false).Problem(new ApiException(new Problem { Fault = "unavailable", Detail = e.Message, NextStep = e.NextStep }));
            }
        });
        return command;
    }

    private static Command TokenList(Verb verb)
    {
        var command = verb.Make("list", "List tokens; secrets are not known any more.", ["weave token list"]);
        verb.Does(command, async (_, client, output, stop) =>
        {
            var all = await client.ListTokensAsync(stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.TokenView);
            else output.Table(["ID", "NAME", "ROLE", "ENVIRONMENTS", "CREATED", "EXPIRES", "REVOKED"], all.Select(t => new[]
            {
                t.Id, t.Name, t.Role, t.Environments is null ? "all" : string.Join(", ", t.Environments), Times.Show(t.CreatedAt, verb.Host.Zone), t.ExpiresAt is { } e ? Times.Show(e, verb.Host.Zone) : "", t.Revoked ? "yes" : "",
            }));
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command TokenCreate(Verb verb)
    {
        var name = new Argument<string>("NAME") { Description = "For whom or what." };
        var role = new Option<string>("--role") { Description = "viewer, operator or admin.", DefaultValueFactory = _ => "viewer" };
        role.AcceptOnlyFromAmong("viewer", "operator", "admin");
        var environments = new Option<string[]>("--env") { Description = "Only for this environment; may be given several times. Without: for all." };
        var ttl = new Option<string?>("--ttl") { Description = "How long it is good, for example 30d." };
        var command = verb.Make("create", "Make a token. Its secret is shown once.", ["weave token create ci --role operator --env shop --ttl 30d"], name, role, environments, ttl);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var only = parsed.GetValue(environments);
            var token = await client.CreateTokenAsync(new TokenBody { Name = parsed.GetRequiredValue(name), Role = parsed.GetValue(role)!, Environments = only is { Length: > 0 } ? only : null, Ttl = parsed.GetValue(ttl) }, stop);
            if (output.IsJson) output.Json(token, V1Json.Default.TokenView);
            else output.Line(token.Secret ?? token.Id);
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command TokenRevoke(Verb verb)
    {
        var id = new Argument<string>("ID") { Description = "Id of the token, from `weave token list`." };
        var command = verb.Make("revoke", "Revoke a token at once.", ["weave token revoke 4f…"], id);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            await client.RevokeTokenAsync(parsed.GetRequiredValue(id), stop);
            if (!output.IsJson) output.Line("revoked");
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Version(Verb verb)
    {
        var command = verb.Make("version", "Tell the version of the command and of the service.", ["weave version"]);
        verb.Does(command, async (_, client, output, stop) =>
        {
            var mine = typeof(ServiceCommands).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";
            var service = await client.VersionAsync(stop);
            if (output.IsJson) output.Json(service, V1Json.Default.VersionView);
            else output.Facts([("command", mine), ("service", service.Version), ("driver", service.Driver)]);
            return ExitCodes.Done;
        });
        return command;
    }
}
