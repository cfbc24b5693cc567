namespace WeaveHypervisor.Cli;

/// <summary>Exit codes of the command, and the one table from faults to them.</summary>
internal static class ExitCodes
{
    public const int Done = 0, Failed = 1, Usage = 2, NotFound = 3, Refused = 4, Unavailable = 5, Interrupted = 130;
    /// <summary>Rules do not allow the connection that was asked about: an answer, and no failure.</summary>
    public const int NotAllowed = 6;

    /// <summary>Names of faults as the interface writes them.</summary>
    public static readonly IReadOnlyDictionary<string, int> Table = new Dictionary<string, int>(StringComparer.Ordinal)
    {
        ["invalidRequest"] = Usage,
        ["notFound"] = NotFound,
        ["alreadyExists"] = Refused,
        ["conflict"] = Refused,
        ["busy"] = Unavailable,
        ["unsupported"] = Refused,
        ["exhausted"] = Refused,
        ["unavailable"] = Unavailable,
        ["dataLoss"] = Failed,
        ["internal"] = Failed,
    };

    public static int Of(string fault) => Table.GetValueOrDefault(fault, Failed);
}
