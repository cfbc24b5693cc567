using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>How a call goes wrong.</summary>
public enum CallFault
{
    /// <summary>The server refuses it; nothing was done.</summary>
    RefusedBefore,
    /// <summary>The connection is lost before the server got it; nothing was done.</summary>
    LostBefore,
    /// <summary>The connection is lost after it was done (or its job was started): the caller is not told.</summary>
    LostAfter,
    /// <summary>The management service restarts right after it was done: jobs vanish unfinished.</summary>
    RestartAfter,
    /// <summary>It never answers until it is cancelled; nothing was done.</summary>
    Hangs,
    /// <summary>Its job fails at its end without an effect (a call that has no job: as <see cref="RefusedBefore"/>).</summary>
    JobFails,
    /// <summary>Its job never ends.</summary>
    JobHangs,
    /// <summary>Its job is gone as soon as it has ended, with its effect done.</summary>
    JobVanishes,
}

/// <summary>
/// Which calls of a simulated host go wrong. Calls are named by their method (<c>CreateSnapshot</c>), or <c>Get</c>, <c>Query</c>, <c>Associators</c>, <c>Create</c>, <c>Delete</c>,
/// and those of files by <c>Files.Copy</c> and the like. The Nth call is counted from 1 per name. Thread-safe.
/// </summary>
public sealed class SimulatedFaults
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _calls = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Call, int Nth), CallFault> _rules = [];
    private int _effects, _fault, _last = int.MaxValue;
    private CallFault _how;

    /// <summary>True for the name of a call that changes nothing.</summary>
    public static bool IsLook(string call) => call is "Get" or "Query" or "Associators" or "Files.Find" or "Files.List" or "Files.Names" or "Files.Read" or "Files.Measure";

    /// <summary>The Nth call of that name goes wrong so.</summary>
    public void Add(string call, int nth, CallFault fault)
    {
        lock (_gate) _rules[(call, nth)] = fault;
    }

    /// <summary>The Nth call from now on that is no look goes wrong so, whatever its name.</summary>
    public void AddNext(int nth, CallFault fault)
    {
        lock (_gate) (_fault, _how) = (_effects + nth, fault);
    }

    /// <summary>From the Nth call on that is no look, all calls are lost before they are done, looks too: their caller has died.</summary>
    public void Cut(int nth)
    {
        lock (_gate) _last = _effects + nth;
    }

    /// <summary>Calls so far, by name.</summary>
    public IReadOnlyDictionary<string, int> Calls
    {
        get
        {
            lock (_gate) return new Dictionary<string, int>(_calls);
        }
    }

    /// <summary>Begins to count again.</summary>
    public void Forget()
    {
        lock (_gate)
        {
            _calls.Clear();
            _rules.Clear();
            (_effects, _fault, _last) = (0, 0, int.MaxValue);
        }
    }

    internal CallFault? Count(string call)
    {
        lock (_gate)
        {
            var nth = _calls[call] = _calls.GetValueOrDefault(call) + 1;
            var isLook = IsLook(call);
            if (!isLook) _effects++;
            if (_effects >= _last) return CallFault.LostBefore;
            if (!isLook && _effects == _fault) return _how;
            return _rules.TryGetValue((call, nth), out var fault) ? fault : null;
        }
    }

    internal static CimException Refused => new(CimStatus.Failed, "The call failed (injected).");
    internal static CimException LostBefore => new(CimStatus.ServerShuttingDown, "The RPC server is unavailable.", 0x800706BA);
    internal static CimException LostAfter => new(CimStatus.ServerShuttingDown, "The remote procedure call failed.", 0x800706BE);
}

/// <summary>A method that answers a code other than 0 and 4096; nothing was done.</summary>
internal sealed class Refusal(uint code, string why = "") : Exception(why.Length > 0 ? why : $"Refused with {code}.")
{
    public const uint Failed = 32768, AccessDenied = 32769, NotSupported = 32770, InvalidParameter = 32773, InUse = 32774, InvalidState = 32775;
    public uint Code { get; } = code;
}

/// <summary>A job that ends with an error, or a call that has none and fails with the same words.</summary>
internal sealed class JobFailure(uint windowsError, string text, uint code = Refusal.Failed) : Exception($"{text} (0x{windowsError:X8}).")
{
    public const uint FileNotFound = 0x80070002, AccessDenied = 0x80070005, SharingViolation = 0x80070020, FileExists = 0x80070050, DiskFull = 0x80070070, InvalidArgument = 0x80070057,
        ParentNotFound = 0xC03A000D, IdMismatch = 0xC03A000E, InvalidSize = 0xC03A0012, SizeMismatch = 0xC03A0017, Cycle = 0xC03A0018, ErrorInParent = 0xC03A0019, InvalidType = 0xC03A001B, InvalidState = 0xC03A001C,
        NotADisk = 0xC03A0014, UnknownTracking = 0xC03A0029, TrackingOff = 0xC03A002A;
    public uint Code { get; } = code;
    public uint WindowsError { get; } = windowsError;
}
