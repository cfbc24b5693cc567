using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV;

/// <summary>Records of ours as JSON in small files of the host, which are whole or absent. Errors of the host are <see cref="HostException"/>s.</summary>
internal static class HostRecords
{
    /// <summary>Null where there is none. DataLoss where it is damaged.</summary>
    /// <param name="what">"record of fence 0102": for the message.</param>
    /// <param name="next">What helps then.</param>
    public static async Task<T?> ReadRecordAsync<T>(this IHostFiles files, string path, JsonTypeInfo<T> type, string what, string next, CancellationToken stop) where T : class
    {
        if (await files.ReadAsync(path, stop) is not { } bytes) return null;
        try
        {
            return JsonSerializer.Deserialize(bytes, type);
        }
        catch (JsonException e)
        {
            throw new WeaveException(Fault.DataLoss, $"The {what}, {Ids.QuotePath(path)}, is damaged: {e.Message}", next, e);
        }
    }

    /// <summary>An intent: null where there is none, and where it is damaged, because then nothing had begun.</summary>
    public static async Task<T?> ReadIntentAsync<T>(this IHostFiles files, string path, JsonTypeInfo<T> type, CancellationToken stop) where T : class
    {
        if (await files.ReadAsync(path, stop) is not { } bytes) return null;
        try
        {
            return JsonSerializer.Deserialize(bytes, type);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>In place of what was there; the folder is made.</summary>
    public static async Task WriteRecordAsync<T>(this IHostFiles files, string path, T record, JsonTypeInfo<T> type, CancellationToken stop)
    {
        await files.CreateFolderAsync(HostPath.Folder(path), stop);
        await files.WriteAsync(path, JsonSerializer.SerializeToUtf8Bytes(record, type), stop);
    }
}
