using System.Xml.Linq;

namespace WeaveHypervisor.Architecture.Tests;

/// <summary>The source tree that these tests were built from.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>Source folders with a project: "src/Disks" and its file.</summary>
    public static IReadOnlyDictionary<string, string> Projects { get; } = new[] { "src", "libvirt", "hyperv", "tests" }
        .Select(top => Path.Combine(Root, top)).Where(Directory.Exists)
        .SelectMany(top => Directory.EnumerateDirectories(top)).SelectMany(folder => Directory.EnumerateFiles(folder, "*.csproj"))
        .ToDictionary(file => Relative(Path.GetDirectoryName(file)!));

    /// <summary>Folders of ours that a project references.</summary>
    public static IEnumerable<string> References(string project) => XDocument.Load(Projects[project]).Descendants("ProjectReference")
        .Select(r => Relative(Path.GetDirectoryName(Path.GetFullPath(r.Attribute("Include")!.Value.Replace('\\', '/'), Path.GetDirectoryName(Projects[project])!))!));

    /// <summary>All C# files below the given folders, without what builds make.</summary>
    public static IEnumerable<string> Sources(params string[] tops) => tops.Select(top => Path.Combine(Root, top)).Where(Directory.Exists)
        .SelectMany(top => Directory.EnumerateFiles(top, "*.cs", SearchOption.AllDirectories)).Select(Relative)
        .Where(file => !file.Split('/').Any(part => part is "bin" or "obj"));

    public static string Text(string file) => File.ReadAllText(Path.Combine(Root, file));

    private static string Relative(string path) => Path.GetRelativePath(Root, path).Replace('\\', '/');

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "WeaveHypervisor.sln"))) return folder.FullName;
        throw new InvalidOperationException($"No source tree above {AppContext.BaseDirectory}.");
    }
}
