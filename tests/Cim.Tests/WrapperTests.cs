namespace WeaveHypervisor.HyperV.Cim.Tests;

/// <summary>Names and types that code uses are those of the schema.</summary>
public sealed class WrapperTests
{
    private static readonly string Folder = Path.Combine(Tree.Root, "hyperv", "Cim", "Wrappers");

    [Fact]
    public void Wrappers_are_what_the_schema_says()
    {
        var wanted = WrapperWriter.All().ToDictionary(w => w.File, w => w.Text);
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew")
        {
            foreach (var old in Directory.EnumerateFiles(Folder)) File.Delete(old);
            foreach (var (file, text) in wanted) File.WriteAllText(Path.Combine(Folder, file), text);
        }
        Assert.Equal(wanted.Keys.Order(StringComparer.Ordinal), Directory.EnumerateFiles(Folder).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        Assert.All(wanted, w => Assert.Equal(w.Value, File.ReadAllText(Path.Combine(Folder, w.Key))));
    }

    [Fact]
    public void What_an_older_host_has_a_newer_one_has_too()
    {
        var newest = CimSchema.Of(HostProfile.Server23H2);
        Assert.Empty(from c in CimSchema.Of(HostProfile.Server2019).Classes
                     from name in c.Properties.Keys.Except(newest.Find(c.Name)?.Properties.Keys ?? []).Concat(c.Methods.Keys.Except(newest.Find(c.Name)?.Methods.Keys ?? []))
                     select $"{c.Name}.{name}");
    }
}

/// <summary>The source tree that these tests were built from.</summary>
internal static class Tree
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "WeaveHypervisor.sln"))) return folder.FullName;
        throw new InvalidOperationException($"No source tree above {AppContext.BaseDirectory}.");
    }
}
