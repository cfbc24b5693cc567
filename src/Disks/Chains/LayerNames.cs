using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>What locators have in common: names become full paths, without looking at the file system.</summary>
internal static class LayerNames
{
    /// <summary>
    /// The full paths that the names of a link mean, in their order, seen from the child's folder. Names of VHDX images may be written with backslashes; those with a drive
    /// or a volume mean nothing outside of Windows and are left out. Unsupported where a name is a protocol and not a file.
    /// </summary>
    public static IReadOnlyList<string> Candidates(string child, ParentLink link)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(child))!;
        var paths = new List<string>();
        foreach (var written in link.Names)
        {
            var name = written;
            if (link.Format == DiskFormat.Vhdx && !OperatingSystem.IsWindows())
            {
                if (name.StartsWith(@"\\", StringComparison.Ordinal) || name is [_, ':', ..]) continue;
                name = name.Replace('\\', '/');
            }
            if (name.Length == 0 || name.Contains('\0')) throw Refused(child, written, "is no file name");
            if (Qcow2Header.HasProtocol(name) && !(OperatingSystem.IsWindows() && name is [_, ':', ..])) throw Refused(child, written, "is not a file but a protocol");
            paths.Add(Path.GetFullPath(name, folder));
        }
        return paths;
    }

    public static DiskFormat StatedFormat(string child, ParentLink link) => link.Format
        ?? throw new WeaveException(Fault.Unsupported, $"{Ids.QuotePath(child)} does not state the format of its backing file {Ids.Quote(link.Names.FirstOrDefault())}, and formats are never guessed.",
            "State it with: qemu-img rebase -u -F FORMAT -b BACKING FILE");

    public static WeaveException Refused(string child, string name, string why) =>
        new(Fault.Unsupported, $"The parent {Ids.QuotePath(name)} of {Ids.QuotePath(child)} is not opened: it {why}.", "Allow its folder, or rebase the image on the file that is meant.");
}
