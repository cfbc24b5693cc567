using System.CommandLine;
using System.Text.Json;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>export and import.</summary>
internal static class ExportCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        root.Subcommands.Add(Export(verb));
        root.Subcommands.Add(Import(verb));
    }

    private static Command Export(Verb verb)
    {
        var what = new Argument<string>("WHAT") { Description = "A snapshot's id, or ENV/WEAVE as it is now; ENV means its active weave." };
        var folder = new Option<string>("--vagrant") { Description = "The folder to make, on the service's host: not there yet or empty, and where only root (or the service's user) can write.", Required = true };
        var provider = new Option<string>("--provider") { Description = "Vagrant's provider: libvirt, or hyperv (VHDX boxes; only libvirt's can be imported again).", DefaultValueFactory = _ => "libvirt" };
        var command = verb.Make("export", "Write a snapshot, or a weave as it is now, as a Vagrant lab: a Vagrantfile, a box for each machine with all its volumes, and a manifest with checksums that says what could not be carried. Machines run on; other operations of the environment wait until it has ended.",
            ["weave export snap-0199… --vagrant /srv/labs/shop", "weave export shop/main --vagrant /srv/labs/shop-now"], what, folder, provider);
        verb.Begins(command, (parsed, client, stop) =>
        {
            var name = parsed.GetRequiredValue(what);
            var body = new ExportBody { Folder = Path.GetFullPath(parsed.GetRequiredValue(folder)), Provider = parsed.GetValue(provider) };
            if (name.StartsWith("snap-", StringComparison.Ordinal) && !name.Contains('/')) return client.ExportSnapshotAsync(name, body, stop);
            var (environment, weave) = Verb.Pair(name.Contains('/') ? name : name + "/active");
            return client.ExportAsync(environment, weave, body, stop);
        }, (operation, output) =>
        {
            var result = operation.Result!.Value;
            output.Line($"{operation.Subject} as of {Times.Show(result.GetProperty("at").GetDateTimeOffset(), verb.Host.Zone)}: exported to {result.GetProperty("folder").GetString()}: {result.GetProperty("machines").GetArrayLength()} boxes, {Times.Bytes(result.GetProperty("bytes").GetInt64())} ({Verb.Took(operation)}); next: vagrant up --no-parallel there");
            Missing(result, output);
        });
        return command;
    }

    private static Command Import(Verb verb)
    {
        var folder = new Argument<string>("DIR") { Description = "A folder that `weave export` made, on the service's host." };
        var name = new Option<string?>("--name") { Description = "Name of the new environment; that of the exported one where it is left out." };
        var command = verb.Make("import", "Make machines of an exported folder, with all checksums compared, and adopt them. They are off, and stay when the environment is released.",
            ["weave import /srv/labs/shop", "weave import /srv/labs/shop --name shop-again"], folder, name);
        verb.Begins(command, (parsed, client, stop) => client.ImportAsync(new ImportBody { Folder = Path.GetFullPath(parsed.GetRequiredValue(folder)), Name = parsed.GetValue(name) }, stop), (operation, output) =>
        {
            var result = operation.Result!.Value;
            output.Line($"{operation.Subject}: imported as of {Times.Show(result.GetProperty("at").GetDateTimeOffset(), verb.Host.Zone)} as {string.Join(", ", result.GetProperty("domains").EnumerateArray().Select(d => d.GetString()))} ({Verb.Took(operation)}); next: weave start {operation.Subject}/main");
            Missing(result, output);
        });
        return command;
    }

    private static void Missing(JsonElement result, Output output)
    {
        foreach (var missing in result.GetProperty("notCarried").EnumerateArray()) output.Note($"  not carried: {missing.GetString()}");
    }
}
