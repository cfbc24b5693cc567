using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Disks;

/// <summary>`disk info|map|check|diff`: looks at disk images, without a service, a database or QEMU. Reads only.</summary>
internal static class DiskCommand
{
    private const int Interrupted = 130;

    /// <summary>
    /// Exit code: 0 done, 1 a malformed image, or errors that a check has found, 2 usage, 3 no such file, 4 refused (a name that is not allowed, a kind of image that is not read, a file
    /// that is being written), 130 interrupted.
    /// </summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> words, DiskConsole console, CancellationToken stop)
    {
        try
        {
            var arguments = DiskArguments.Read(words);
            await using var first = await OpenAsync(arguments, 0, stop);
            if (arguments.Verb != "diff")
                return arguments.Verb switch { "info" => await DiskInfo.RunAsync(first, arguments, console, stop), "map" => await DiskMap.RunAsync(first, arguments, console, stop), _ => await DiskCheck.RunAsync(first, arguments, console, stop) };
            await using var second = await OpenAsync(arguments, 1, stop);
            return await DiskDiff.RunAsync(first, second, arguments, console, stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return Interrupted;
        }
        catch (WeaveException error)
        {
            return Problem(error, words.Contains("--json"), console);
        }
        finally
        {
            await console.Out.FlushAsync(CancellationToken.None);
        }
    }

    /// <summary>Names as QEMU and the options write them.</summary>
    public static string Name(DiskFormat format) => Qcow2OverlayWriter.NameOf(format);

    public static void Json<T>(T value, JsonTypeInfo<T> type, DiskConsole console) => console.Out.WriteLine(JsonSerializer.Serialize(value, type));

    private static async Task<DiskChain> OpenAsync(DiskArguments arguments, int file, CancellationToken stop)
    {
        var path = Path.GetFullPath(arguments.Files[file]);
        var format = arguments.FormatOf(file);
        try
        {
            return await DiskChain.OpenAsync(path, format, new FolderLocator(path, arguments.Allowed), stop);
        }
        catch (WeaveException error) when (error.Fault == Fault.InvalidRequest)
        {
            // The request was right: the file is not what its name or the option says.
            throw new WeaveException(Fault.DataLoss, error.Message, error.NextStep, error);
        }
    }

    private static int Problem(WeaveException error, bool json, DiskConsole console)
    {
        var fault = JsonNamingPolicy.CamelCase.ConvertName(error.Fault.ToString());
        if (json) Json(new Problem { Fault = fault, Detail = error.Message, NextStep = error.NextStep }, V1Json.Default.Problem, console);
        console.Error.WriteLine($"weave: {error.Message}");
        if (error.NextStep is { } next) console.Error.WriteLine($"  next: {next}");
        return Api.FaultTable.ExitCode(error.Fault);
    }
}
