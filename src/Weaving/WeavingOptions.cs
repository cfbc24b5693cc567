using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving;

/// <summary>Settings of the product's rules; checked at start by <see cref="Check"/>.</summary>
public sealed class WeavingOptions
{
    /// <summary>Name of the hypervisor host that this service manages, as it is recorded with environments. Where several hosts share PostgreSQL, each has its own.</summary>
    public string Host { get; set; } = "local";
    /// <summary>Bytes that must stay free in the pool after everything that an operation promises is written. At least 0.</summary>
    public long ReservedBytes { get; set; } = 512L << 20;
    /// <summary>Bytes that automatic snapshots leave free in the pool, for the machines' own writes and for what people ask for; at least <see cref="ReservedBytes"/>.</summary>
    public long FloorBytes { get; set; } = 2L << 30;
    /// <summary>Bytes set aside for each new layer when space is checked: its header, tables and first writes. At least 0.</summary>
    public long BytesPerLayer { get; set; } = 1L << 20;
    /// <summary>Layers of one disk, the adopted file among them, beyond which no further snapshot is taken, 2–190. QEMU and libvirt open chains of at most 200 files, and the adopted file may have backing files of its own.</summary>
    public int MaxChainLength { get; set; } = 128;
    /// <summary>Layers of one disk, the adopted file among them, from which on its chain is shortened, 4–128.</summary>
    public int CompactAt { get; set; } = 16;
    /// <summary>Bytes that are copied in a second, at each disk, while the chain of a running machine is shortened; 0: no limit.</summary>
    public long CompactBytesPerSecond { get; set; } = 256L << 20;
    /// <summary>First port that is given to a route which names none, 1024–65535.</summary>
    public int FirstPort { get; set; } = 20000;
    /// <summary>Last port that is given to a route which names none, at least <see cref="FirstPort"/>.</summary>
    public int LastPort { get; set; } = 29999;
    /// <summary>How long a machine may take to shut down when it is asked to, before the stop is refused.</summary>
    public TimeSpan ShutdownPatience { get; set; } = TimeSpan.FromSeconds(90);
    /// <summary>How long a guest may take to let go of a volume that is unplugged, up to 10 minutes.</summary>
    public TimeSpan UnplugPatience { get; set; } = TimeSpan.FromSeconds(30);
    /// <summary>How long the machines of a snapshot that is verified must run, where nothing of them can be asked; up to 10 minutes.</summary>
    public TimeSpan VerifyRunTime { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>What is wrong with these settings, a sentence each; empty where nothing.</summary>
    public IReadOnlyList<string> Check()
    {
        var wrong = new List<string>();
        if (!Ids.IsName(Host)) wrong.Add($"Weaving:Host {Ids.Quote(Host)} is not a name: use lower-case letters, digits and hyphens.");
        if (ReservedBytes < 0) wrong.Add("Weaving:ReservedBytes must be 0 or more.");
        if (FloorBytes < ReservedBytes) wrong.Add("Weaving:FloorBytes must be at least ReservedBytes.");
        if (BytesPerLayer < 0) wrong.Add("Weaving:BytesPerLayer must be 0 or more.");
        if (MaxChainLength is < 2 or > 190) wrong.Add("Weaving:MaxChainLength must be 2 to 190.");
        if (CompactAt is < 4 or > 128) wrong.Add("Weaving:CompactAt must be 4 to 128.");
        if (CompactBytesPerSecond < 0) wrong.Add("Weaving:CompactBytesPerSecond must be 0 or more.");
        if (FirstPort is < 1024 or > 65535) wrong.Add("Weaving:FirstPort must be 1024 to 65535.");
        if (LastPort < FirstPort || LastPort > 65535) wrong.Add("Weaving:LastPort must be at least FirstPort and at most 65535.");
        if (ShutdownPatience <= TimeSpan.Zero) wrong.Add("Weaving:ShutdownPatience must be longer than nothing.");
        if (UnplugPatience <= TimeSpan.Zero || UnplugPatience > TimeSpan.FromMinutes(10)) wrong.Add("Weaving:UnplugPatience must be longer than nothing and at most 10 minutes.");
        if (VerifyRunTime < TimeSpan.Zero || VerifyRunTime > TimeSpan.FromMinutes(10)) wrong.Add("Weaving:VerifyRunTime must be 0 to 10 minutes.");
        return wrong;
    }
}

/// <summary>Which process this is among those that share the state.</summary>
/// <param name="Name">Names it in leases: the same after a restart, and no other's.</param>
/// <param name="SeveralHosts">The state may be shared with services of other hosts; <see cref="WeavingOptions.Host"/> then says which environments are this one's.</param>
public sealed record ProcessPlace(string Name, bool SeveralHosts);

/// <summary>What every step works with.</summary>
/// <param name="Locks">For what is one for the whole host.</param>
internal sealed record Bench(IWeaveStore Store, IHypervisorDriver Driver, TimeProvider Clock, WeavingOptions Options, ISharedLocks Locks, ProcessPlace Place)
{
    /// <summary>The host of this service, where the state has several.</summary>
    public HostId? Host => Place.SeveralHosts ? HostId.Parse(Options.Host) : null;

    /// <summary>True for an environment on this service's host: only those are compared with it, published on it and looked after.</summary>
    public bool IsHere(ManagedEnvironment environment) => Host is not { } host || environment.Host == host;

    /// <summary>Holds what is one for this host, among all processes that work on it.</summary>
    public Task<IHeldLock> LockAsync(string what, CancellationToken stop) => Locks.TakeAsync(Host is { } host ? $"{what} on {host}" : what, stop);

    /// <summary>A layer that is to be made: id and path are chosen before the effect.</summary>
    public LayerRef ChooseLayer(EnvironmentId environment, FenceTag weave, long virtualSize)
    {
        var id = LayerId.New(Clock);
        return new(id, Driver.PlaceLayer(environment, weave, id), Driver.Capabilities.LayerFormat, virtualSize);
    }

    /// <summary>Now, at the precision of everything that is stored: milliseconds.</summary>
    public DateTimeOffset Now => Clock.GetUtcNow().ToMilliseconds();
}

internal static class Moments
{
    /// <summary>Cuts off what is finer than a millisecond, in UTC.</summary>
    public static DateTimeOffset ToMilliseconds(this DateTimeOffset time)
    {
        var utc = time.ToUniversalTime();
        return new(utc.Ticks - utc.Ticks % TimeSpan.TicksPerMillisecond, TimeSpan.Zero);
    }

    /// <summary>RFC 3339, UTC, milliseconds.</summary>
    public static string Rfc(this DateTimeOffset time) => time.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture);
}
