using System.Diagnostics;
using System.Runtime.InteropServices;

namespace WeaveHypervisor.Cli;

/// <summary>The service's own program: found beside this one, in a checkout, or where WEAVE_SERVICE_BIN says.</summary>
internal static partial class ServiceProgram
{
    private const string Name = "WeaveHypervisor.Service";

    /// <summary>
    /// Becomes the service where the system can replace a process by another, so that signals and the process id are the service's own; runs it as a child elsewhere.
    /// </summary>
    public static int Run(CliHost host, IReadOnlyList<string> arguments)
    {
        var program = Find(host) ?? throw new UsageException("The service's program was not found.", "Build it (`dotnet build src/Service`), or name it with WEAVE_SERVICE_BIN.");
        List<string> line = program.EndsWith(".dll", StringComparison.Ordinal) ? [DotnetPath(), program, .. arguments] : [program, .. arguments];
        if (!OperatingSystem.IsWindows())
        {
            host.Out.Flush();
            host.Error.Flush();
            var result = Execute(line[0], line);
            throw new UsageException($"'{line[0]}' cannot be run (error {result}).", "Name the service's program with WEAVE_SERVICE_BIN.");
        }
        var start = new ProcessStartInfo(line[0]) { UseShellExecute = false };
        foreach (var argument in line.Skip(1)) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        process.WaitForExit();
        return process.ExitCode;
    }

    internal static string? Find(CliHost host)
    {
        if (host.Environment("WEAVE_SERVICE_BIN") is { Length: > 0 } named) return File.Exists(named) ? Path.GetFullPath(named) : throw new UsageException($"WEAVE_SERVICE_BIN is '{named}', which is not there.");
        var here = AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar);
        List<string> places = [here, Path.Combine(here, "..", "service")];
        // A checkout: src/Cli/bin/CONFIGURATION/net10.0 beside src/Service/bin/CONFIGURATION/net10.0.
        for (var folder = new DirectoryInfo(here); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "WeaveHypervisor.sln")))
            {
                var configuration = Path.GetFileName(Path.GetDirectoryName(here)) is "Debug" ? "Debug" : "Release";
                places.Add(Path.Combine(folder.FullName, "src", "Service", "bin", configuration, "net10.0"));
            }
        foreach (var place in places)
            foreach (var file in new[] { Name + (OperatingSystem.IsWindows() ? ".exe" : ""), Name + ".dll" })
                if (Path.Combine(place, file) is var path && File.Exists(path) && (file.EndsWith(".dll", StringComparison.Ordinal) || File.Exists(Path.Combine(place, Name + ".dll")))) return Path.GetFullPath(path);
        return null;
    }

    private static string DotnetPath() => Environment.ProcessPath is { } self && Path.GetFileNameWithoutExtension(self) == "dotnet" ? self
        : Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root ? Path.Combine(root, "dotnet") : "/usr/bin/dotnet";

    /// <summary>execv(3): comes back only where it failed, with the error number.</summary>
    private static unsafe int Execute(string path, IReadOnlyList<string> line)
    {
        var pointers = new nint[line.Count + 1];
        for (var i = 0; i < line.Count; i++) pointers[i] = Marshal.StringToCoTaskMemUTF8(line[i]);
        fixed (nint* first = pointers) execv(path, (nint)first);
        return Marshal.GetLastPInvokeError();
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int execv(string path, nint arguments);
}
