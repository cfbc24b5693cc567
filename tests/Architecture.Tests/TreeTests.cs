using System.Text.RegularExpressions;

namespace WeaveHypervisor.Architecture.Tests;

/// <summary>The rules of the tree that no compiler holds.</summary>
public sealed partial class TreeTests
{
    /// <summary>All folders of ours that a folder may reference.</summary>
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["src/Model"] = [],
        ["src/Disks"] = ["src/Model"],
        ["src/Drivers"] = ["src/Model"],
        ["src/Operations"] = ["src/Model"],
        ["src/Weaving"] = ["src/Model", "src/Disks", "src/Drivers", "src/Operations"],
        ["src/State"] = ["src/Model", "src/Operations", "src/Weaving"],
        ["src/Simulator"] = ["src/Model", "src/Drivers", "src/Disks"],
        ["src/Client"] = [],
        ["src/Service"] = ["src/Model", "src/Disks", "src/Drivers", "src/Operations", "src/Weaving", "src/State", "src/Simulator", "src/Client", "libvirt/Driver", "hyperv/Cim", "hyperv/Driver", "hyperv/Simulator"],
        ["src/Cli"] = ["src/Client"],
        ["libvirt/LibvirtSharp"] = [],
        ["libvirt/Driver"] = ["libvirt/LibvirtSharp", "src/Drivers", "src/Disks", "src/Model"],
        ["hyperv/Cim"] = [],
        ["hyperv/Driver"] = ["hyperv/Cim", "src/Drivers", "src/Disks", "src/Model"],
        ["hyperv/Simulator"] = ["hyperv/Cim", "src/Disks"],
    };

    /// <summary>Helpers that wait for a condition which nothing announces, and may therefore look again after a while.</summary>
    private static readonly string[] MayWait = ["tests/EndToEnd/Shell.cs", "tests/Conformance/Eventually.cs", "tests/Benchmarks/Hosts/Waiting.cs"];

    private static IEnumerable<string> Products => Repository.Projects.Keys.Where(p => !p.StartsWith("tests/", StringComparison.Ordinal));

    [Fact]
    public void Projects_reference_only_what_the_tree_allows() =>
        Assert.Empty(Products.SelectMany(p => Repository.References(p).Except(Allowed.GetValueOrDefault(p) ?? []).Select(r => $"{p} -> {r}")));

    [Fact]
    public void Every_project_is_in_the_tree() => Assert.Empty(Products.Except(Allowed.Keys));

    [Fact]
    public void No_product_references_a_test() => Assert.Empty(Products.SelectMany(Repository.References).Where(r => r.StartsWith("tests/", StringComparison.Ordinal)).ToList());

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var solution = Repository.Text("WeaveHypervisor.sln").Replace('\\', '/');
        Assert.Empty(Repository.Projects.Where(p => !solution.Contains($"{p.Key}/{Path.GetFileName(p.Value)}", StringComparison.Ordinal)).Select(p => p.Key));
    }

    [Fact]
    public void Every_project_folder_has_a_readme() => Assert.Empty(Products.Where(p => !File.Exists(Path.Combine(Repository.Root, p, "README.md"))).ToList());

    [Fact]
    public void No_source_file_is_over_600_lines() =>
        Assert.Empty(Repository.Sources("src", "libvirt", "hyperv", "tests").Where(f => !f.Contains("/Migrations/", StringComparison.Ordinal)).Where(f => Repository.Text(f).AsSpan().Count('\n') > 600).ToList());

    [Fact]
    public void Tests_wait_for_conditions_and_never_sleep() =>
        Assert.Empty(Repository.Sources("tests").Where(f => !MayWait.Contains(f) && !f.StartsWith("tests/Architecture.Tests/", StringComparison.Ordinal)).Where(f => Sleep().IsMatch(Repository.Text(f))).ToList());

    [Fact]
    public void Product_code_takes_its_time_from_a_TimeProvider() =>
        Assert.Empty(Repository.Sources("src", "libvirt", "hyperv").Where(f => WallClock().IsMatch(Repository.Text(f))).ToList());

    /// <summary>A file that gives HTTP statuses or exit codes by fault names every fault, so that none falls through to a default.</summary>
    [Theory]
    [InlineData("src/Service")]
    [InlineData("src/Cli")]
    public void A_table_by_fault_is_total(string folder)
    {
        var faults = FaultMember().Matches(Block().Match(Repository.Text("src/Model/Faults.cs")).Value).Select(m => m.Groups[1].Value).ToList();
        Assert.Equal(10, faults.Count);
        var tables = Repository.Sources(folder).Where(f => faults.Count(fault => Row(fault).IsMatch(Repository.Text(f))) >= 4).ToList();
        Assert.SkipWhen(tables.Count == 0, $"{folder} has no table by fault.");
        Assert.All(tables, f => Assert.Empty(faults.Where(fault => !Row(fault).IsMatch(Repository.Text(f))).Select(fault => $"{f}: {fault}")));
    }

    private static Regex Row(string fault) => new($"""(Fault\.{fault}\b|"{fault}"|"{char.ToLowerInvariant(fault[0]) + fault[1..]}"|nameof\(Fault\.{fault}\))""");

    [GeneratedRegex(@"\b(Thread\.Sleep|Task\.Delay)\s*\(")]
    private static partial Regex Sleep();

    [GeneratedRegex(@"\b(DateTime|DateTimeOffset)\.(UtcNow|Now)\b")]
    private static partial Regex WallClock();

    [GeneratedRegex(@"public enum Fault\s*\{.*?\n\}", RegexOptions.Singleline)]
    private static partial Regex Block();

    [GeneratedRegex(@"^    (\w+),", RegexOptions.Multiline)]
    private static partial Regex FaultMember();
}
