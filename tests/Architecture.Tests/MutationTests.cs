using System.Text.Json;
using System.Text.RegularExpressions;

namespace WeaveHypervisor.Architecture.Tests;

/// <summary>The list of <c>tests/Mutations</c> fits the code: whether its mistakes are caught is seen by its own run alone.</summary>
public sealed class MutationTests
{
    private static readonly JsonSerializerOptions CamelCase = new(JsonSerializerDefaults.Web) { RespectRequiredConstructorParameters = true };

    private sealed record Mutation(string Name, string File, string Old, string New, IReadOnlyDictionary<string, string[]> Tests);

    private static IReadOnlyList<Mutation> All { get; } = JsonSerializer.Deserialize<Mutation[]>(Repository.Text("tests/Mutations/mutations.json"), CamelCase)!;

    [Fact]
    public void Each_mistake_changes_a_text_that_occurs_once() =>
        Assert.Empty(All.Where(m => m.Old == m.New || Regex.Count(Repository.Text(m.File), Regex.Escape(m.Old)) != 1).Select(m => $"{m.Name}: {m.File}"));

    [Fact]
    public void Each_mistake_has_a_name_of_its_own_and_a_test_that_is_there()
    {
        Assert.Equal(All.Count, All.Select(m => m.Name).Distinct(StringComparer.OrdinalIgnoreCase).Count());
        var sources = All.SelectMany(m => m.Tests.Keys).Distinct().ToDictionary(p => p, p => string.Concat(Repository.Sources($"tests/{p}", "tests/Conformance").Select(Repository.Text)));
        bool Has(string project, string test) => test.Split('.') is [var type, var method] && Regex.IsMatch(sources[project], $@"\bclass {type}\b") && Regex.IsMatch(sources[project], $@"\b{method}\(");
        Assert.Empty(All.Where(m => m.Tests.Count == 0).Select(m => m.Name));
        Assert.Empty(from m in All from project in m.Tests from test in project.Value where !Has(project.Key, test) select $"{m.Name}: {project.Key} {test}");
    }
}
