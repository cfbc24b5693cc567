using System.Diagnostics;

namespace WeaveHypervisor.Disks.Tests;

/// <summary>A folder of one test's own, gone after it.</summary>
public sealed class TestFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("weave-disks").FullName;
    public string this[string name] => System.IO.Path.Combine(Path, name);
    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <summary>QEMU's tools as a second opinion; a test that needs them is skipped where they are missing.</summary>
public static class QemuImg
{
    public static string Run(params string[] arguments) => Start("/usr/bin/qemu-img", arguments);
    public static string Io(string path, string command) => Start("/usr/bin/qemu-io", "-f", "qcow2", "-c", command, path);
    public static string VhdxIo(string path, string command) => Start("/usr/bin/qemu-io", "-f", "vhdx", "-c", command, path);

    /// <summary>Several commands in one start: "-c", COMMAND, ….</summary>
    public static void IoAll(string path, params string[] commands)
    {
        if (commands.Length > 0) Start("/usr/bin/qemu-io", ["-f", "qcow2", .. commands, path]);
    }

    /// <summary>Whether qemu-img opens the image.</summary>
    public static bool Opens(string path)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/qemu-img"), "qemu-img is not installed.");
        var (code, _) = Execute("/usr/bin/qemu-img", "info", "-f", "qcow2", path);
        return code == 0;
    }

    /// <summary>Whether qemu-img does that; for images of which it is not known to do it.</summary>
    public static bool Does(params string[] arguments)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/qemu-img"), "qemu-img is not installed.");
        return Execute("/usr/bin/qemu-img", arguments).Code == 0;
    }

    /// <summary>Exit code and output of a program that may fail.</summary>
    public static (int Code, string Output) Try(string program, string[] arguments)
    {
        Assert.SkipUnless(File.Exists(program), $"{program} is not installed.");
        return Execute(program, arguments);
    }

    private static string Start(string program, params string[] arguments)
    {
        Assert.SkipUnless(File.Exists(program), $"{program} is not installed.");
        var (code, output) = Execute(program, arguments);
        Assert.True(code == 0, output);
        return output;
    }

    private static (int Code, string Output) Execute(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }
}
