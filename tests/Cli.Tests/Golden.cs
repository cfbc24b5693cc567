using System.Runtime.CompilerServices;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>Outputs that people and scripts know, in the folder Golden beside this file. After a wanted change renew them with WEAVE_GOLDEN=renew and look at the difference.</summary>
internal static class Golden
{
    public static void Check(string name, string text, [CallerFilePath] string here = "")
    {
        // Escape sequences are shown, so that the files are text; so is the end of each line, which may have spaces before it.
        var shown = string.Concat(text.Replace("\e", "␛", StringComparison.Ordinal).Split('\n').SkipLast(1).Select(line => line + (line.EndsWith(' ') ? "␊" : "") + "\n"));
        Assert.EndsWith("\n", text);
        var path = Path.Combine(Path.GetDirectoryName(here)!, "Golden", name + ".txt");
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, shown);
        }
        Assert.True(File.Exists(path), $"{path} is not there. {How}");
        var golden = File.ReadAllText(path).ReplaceLineEndings("\n");
        Assert.True(golden == shown, $"The output is not as {path} says:\n{shown}\n{How}");
    }

    private const string How = "If it is wanted so, renew it: WEAVE_GOLDEN=renew dotnet run -c Release --project tests/Cli.Tests";
}
