using System.CommandLine;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>disk: images as files. The service's program reads them; no service need run.</summary>
internal static class DiskCommands
{
    public static void AddTo(RootCommand root, Verb verb) => root.Subcommands.Add(verb.Make("disk",
        "Look at disk images (raw, qcow2, VHDX) and what is below them. Reads only; needs neither a service nor QEMU. The format is told by the file's name (.qcow2, .raw, .img, .vhdx, .avhdx) or by --format, never by its content. Names of parent images are followed within the file's folder, and within those given with --allow.",
        ["weave disk info web.qcow2", "weave disk map web.qcow2 --allow /var/lib/images", "weave disk check web.qcow2", "weave disk diff before.qcow2 after.qcow2 --summary"],
        Info(verb), Map(verb), Check(verb), Diff(verb)));

    private static Command Info(Verb verb) => Make(verb, "info", "What an image is: format, capacity, layers, features, internal snapshots, bitmaps.", ["weave disk info web.qcow2", "weave disk info /dev/shm/disk --format raw --json"], 1);

    private static Command Map(Verb verb) => Make(verb, "map", "Which layer answers for which range of the disk: a picture, sums and ranges on a terminal, a line for each range in a pipe. With --json the same as `qemu-img map --output=json`.",
        ["weave disk map web.qcow2", "weave disk map web.qcow2 --json", "weave disk map web.qcow2 | awk '$3 == \"data\"'"], 1, All("ranges"));

    private static Command Check(Verb verb) => Make(verb, "check", "Whether the structures of an image and of all below it agree with each other, and whether they belong together. Leaks are space that nothing uses; errors endanger data: then the exit code is 1. Nothing is repaired.",
        ["weave disk check web.qcow2", "weave disk check web.qcow2 --json"], 1);

    private static Command Diff(Verb verb)
    {
        var granularity = new Option<int?>("--granularity") { Description = "Bytes that count as one: a power of two from 512 to 1048576; 4096 unless told." };
        return Make(verb, "diff", "In what two disks differ, and which of them has changed it since the nearest layer that both have. What is equal after all does not count. Disks without a common layer are compared in full.",
            ["weave disk diff before.qcow2 after.qcow2", "weave disk diff a.qcow2 b.qcow2 --summary", "weave disk diff a.img b.img --hex --granularity 512", "weave disk diff a.qcow2 b.vhdx --json"], 2,
            new Option<bool>("--summary") { Description = "Sums only." }, new Option<bool>("--hex") { Description = "Show the bytes, up to 64 KiB of them." }, All("ranges"), granularity);
    }

    private static Option<bool> All(string what) => new("--all") { Description = $"List all {what}, also on a terminal." };

    private static Command Make(Verb verb, string name, string description, string[] examples, int files, params Option[] options)
    {
        List<Argument<string>> named = files == 1 ? [new("FILE") { Description = "The image." }] : [new("LEFT") { Description = "One image." }, new("RIGHT") { Description = "The other image." }];
        var format = new Option<string[]>("--format") { Description = files == 1 ? "Format of the file: raw, qcow2 or vhdx." : "Format of both files, or given twice of each: raw, qcow2 or vhdx." };
        format.AcceptOnlyFromAmong("raw", "qcow2", "vhdx");
        var allow = new Option<string[]>("--allow") { Description = "A further folder in which parent images may be; may be given several times." };
        var command = verb.Make(name, description, examples, [.. named, .. options, format, allow]);
        command.SetAction(parsed =>
        {
            List<string> words = ["disk", name];
            if (parsed.GetValue(verb.Json)) words.Add("--json");
            foreach (var option in options)
                if (option is Option<bool> flag)
                {
                    if (parsed.GetValue(flag)) words.Add(flag.Name);
                }
                else if (option is Option<int?> number && parsed.GetValue(number) is { } value) words.AddRange([number.Name, $"{value}"]);
            foreach (var one in parsed.GetValue(format) ?? []) words.AddRange(["--format", one]);
            foreach (var folder in parsed.GetValue(allow) ?? []) words.AddRange(["--allow", folder]);
            try
            {
                return verb.Host.RunService([.. words, "--", .. named.Select(parsed.GetRequiredValue)]);
            }
            catch (UsageException e)
            {
                return new Output(verb.Host, parsed.GetValue(verb.Json)).Problem(new ApiException(new Problem { Fault = "unavailable", Detail = e.Message, NextStep = e.NextStep }));
            }
        });
        return command;
    }
}
