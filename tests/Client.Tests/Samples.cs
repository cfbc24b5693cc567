using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Client.Tests;

internal static class Samples
{
    public static readonly DateTimeOffset Noon = new(2030, 1, 1, 12, 0, 0, TimeSpan.Zero);

    public static OperationView Operation(string state, ProgressView? progress = null, string id = "op-1") => new()
    {
        Id = id, Kind = "snapshot", Environment = "lab", Subject = "lab/main", RequestedBy = "me", State = state, CreatedAt = Noon, Progress = progress,
        Steps = [new("prepare", "done", Noon, Noon.AddMilliseconds(5), null), new("capture", "doing", Noon, null, null)],
    };
}
