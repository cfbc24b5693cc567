using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Disks;

/// <summary>What `disk` is asked to do. The command line checks and explains the words for people; here they are only read.</summary>
internal sealed record DiskArguments
{
    public required string Verb { get; init; }
    public required IReadOnlyList<string> Files { get; init; }
    /// <summary>Of the files, in their order; one holds for all.</summary>
    public IReadOnlyList<DiskFormat> Formats { get; init; } = [];
    public IReadOnlyList<string> Allowed { get; init; } = [];
    public bool Json { get; init; }
    public bool Summary { get; init; }
    public bool Hex { get; init; }
    /// <summary>All extents or ranges are listed, also on a terminal.</summary>
    public bool All { get; init; }
    public int Granularity { get; init; } = DifferenceOptions.DefaultGranularity;

    /// <summary>InvalidRequest for words that mean nothing.</summary>
    public static DiskArguments Read(IReadOnlyList<string> words)
    {
        var arguments = new DiskArguments { Verb = words.FirstOrDefault() ?? "", Files = [] };
        var (files, formats, allowed) = (new List<string>(), new List<DiskFormat>(), new List<string>());
        var i = 1;
        for (; i < words.Count; i++)
            switch (words[i])
            {
                case "--json": arguments = arguments with { Json = true }; break;
                case "--summary": arguments = arguments with { Summary = true }; break;
                case "--hex": arguments = arguments with { Hex = true }; break;
                case "--all": arguments = arguments with { All = true }; break;
                case "--format": formats.Add(Format(Value())); break;
                case "--allow": allowed.Add(Value()); break;
                case "--granularity": arguments = arguments with { Granularity = int.TryParse(Value(), out var bytes) ? bytes : throw Wrong("--granularity needs a number of bytes.") }; break;
                // What follows are files, whatever they are called.
                case "--": files.AddRange(words.Skip(i + 1)); i = words.Count; break;
                case var word when word.StartsWith("--", StringComparison.Ordinal): throw Wrong($"There is no option {Ids.Quote(word)}.");
                default: files.Add(words[i]); break;
            }
        var wanted = arguments.Verb switch { "info" or "map" or "check" => 1, "diff" => 2, _ => throw Wrong($"There is no command 'disk' {Ids.Quote(arguments.Verb)}.") };
        if (files.Count != wanted) throw Wrong($"'disk {arguments.Verb}' takes {wanted} {(wanted == 1 ? "file" : "files")}.");
        return arguments with { Files = files, Formats = formats, Allowed = allowed };

        string Value() => ++i < words.Count ? words[i] : throw Wrong("An option has no value.");
    }

    /// <summary>The format of a file: as declared, or as its name ends; never what it begins with, because a guest may have written that. InvalidRequest where neither says.</summary>
    public DiskFormat FormatOf(int file) => Formats.Count > 0 ? Formats[Math.Min(file, Formats.Count - 1)] : Path.GetExtension(Files[file]).ToLowerInvariant() switch
    {
        ".qcow2" => DiskFormat.Qcow2,
        ".raw" or ".img" => DiskFormat.Raw,
        ".vhdx" or ".avhdx" => DiskFormat.Vhdx,
        _ => throw new WeaveException(Fault.InvalidRequest, $"The name of {Ids.QuotePath(Files[file])} does not tell its format, and formats are never guessed from content.", "Give it with --format raw, qcow2 or vhdx."),
    };

    private static DiskFormat Format(string name) => Qcow2OverlayWriter.FormatOf(name) ?? throw Wrong($"{Ids.Quote(name)} is no format.");
    private static WeaveException Wrong(string text) => new(Fault.InvalidRequest, text, "See `weave disk --help`.");
}
