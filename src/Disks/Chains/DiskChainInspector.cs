using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Chains;

/// <summary>Follows a disk file and its backing files from top to base, fail closed.</summary>
public static class DiskChainInspector
{
    /// <summary>The longest chain that QEMU and libvirt open.</summary>
    public const int MaxDepth = 200;

    /// <summary>
    /// All files from <paramref name="path"/> down to the base, each with its facts and its full path. Relative backing names are resolved in the folder
    /// of the file that states them. Refused: missing backing files, circles, chains over <see cref="MaxDepth"/>, backing files that are not of the stated
    /// format (DataLoss, naming the file and who points to it); a backing file of no stated or of an unknown format, which QEMU would guess (Unsupported).
    /// A backing file stated as raw is read as raw, whatever it begins with: a guest may have written that.
    /// </summary>
    public static IReadOnlyList<DiskImageFacts> Inspect(string path, DiskFormat format)
    {
        var chain = new List<DiskImageFacts>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var next = Path.GetFullPath(path);
        while (true)
        {
            DiskImageFacts facts;
            try
            {
                facts = DiskImageInspector.Inspect(next, format);
            }
            catch (WeaveException error) when (chain.Count > 0)
            {
                // What is wrong with a backing file is damage of the chain, but for what could not be read here anyway.
                var fault = error.Fault is Fault.NotFound or Fault.InvalidRequest ? Fault.DataLoss : error.Fault;
                throw new WeaveException(fault, $"The backing file {Ids.Quote(next)} of {Ids.Quote(chain[^1].Path)} cannot be used. {error.Message}", error.NextStep, error);
            }
            if (!seen.Add(facts.Identity))
                throw new WeaveException(Fault.DataLoss, $"The backing files of {Ids.Quote(path)} lead in a circle: {Ids.Quote(chain[^1].Path)} points to {Ids.Quote(next)} again.", "Rebase the image on its true base.");
            chain.Add(facts);
            if (facts.BackingName is not { } backing) return chain;
            if (chain.Count == MaxDepth)
                throw new WeaveException(Fault.Unsupported, $"The chain of {Ids.Quote(path)} has more than {MaxDepth} files.", "Merge layers with qemu-img commit or rebase.");
            var stated = facts.BackingFormat
                ?? throw new WeaveException(Fault.Unsupported, $"{Ids.Quote(next)} does not state the format of its backing file {Ids.Quote(backing)}, and formats are never guessed.", "State it with: qemu-img rebase -u -F FORMAT -b BACKING FILE");
            format = Qcow2OverlayWriter.FormatOf(stated)
                ?? throw new WeaveException(Fault.Unsupported, $"{Ids.Quote(next)} states {Ids.Quote(stated)} as the format of its backing file; raw and qcow2 are read.", "Convert the backing file.");
            next = Path.GetFullPath(backing, Path.GetDirectoryName(next)!);
        }
    }
}
