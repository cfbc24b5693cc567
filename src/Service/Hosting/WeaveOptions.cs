using WeaveHypervisor.HyperV;
using WeaveHypervisor.Libvirt;
using WeaveHypervisor.Model;
using WeaveHypervisor.State;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>Settings of the service, section `Weave`.</summary>
public sealed class WeaveOptions
{
    /// <summary>Where the service listens: http on a loopback address; anything else only with <see cref="AllowRemoteHttp"/>.</summary>
    public string Listen { get; set; } = "http://127.0.0.1:7700";
    public bool AllowRemoteHttp { get; set; }
    /// <summary>Folder of the database and the first token.</summary>
    public string StatePath { get; set; } = OperatingSystem.IsWindows() ? Path.Combine(ProgramData, "state") : Environment.IsPrivilegedProcess ? "/var/lib/weave"
        : Path.Combine(Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } x ? x : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local/state"), "weave");
    /// <summary>The product's folder on Windows.</summary>
    internal static string ProgramData => Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.CommonApplicationData), "WeaveHypervisor");

    /// <summary>One of <see cref="DriverNames"/>. Not set: hyperv on Windows, libvirt elsewhere.</summary>
    public string Driver { get; set; } = OperatingSystem.IsWindows() ? DriverNames.HyperV : DriverNames.Libvirt;
    public LibvirtDriverOptions Libvirt { get; set; } = new();
    public HyperVOptions HyperV { get; set; } = new();
    public StorageOptions Storage { get; set; } = new();
    /// <summary>The product's rules: reserve of the pool, range of ports, longest chain.</summary>
    public WeavingOptions Weaving { get; set; } = new();
    public Housekeeping.HousekeepingOptions Housekeeping { get; set; } = new();

    /// <summary>Throws InvalidRequest or Unsupported naming the first setting that is wrong.</summary>
    public void Validate()
    {
        if (!Uri.TryCreate(Listen, UriKind.Absolute, out var uri) || uri.Scheme != "http" || uri.AbsolutePath != "/")
            throw Wrong("Listen", Listen, "Use an address such as http://127.0.0.1:7700.");
        if (!AllowRemoteHttp && !uri.IsLoopback)
            throw Wrong("Listen", Listen, "Tokens would cross the network unencrypted: listen on 127.0.0.1 behind a TLS proxy, or set Weave:AllowRemoteHttp to true.");
        if (!Path.IsPathFullyQualified(StatePath)) throw Wrong("StatePath", StatePath, "Use an absolute path.");
        if (!DriverNames.All.Contains(Driver)) throw Wrong("Driver", Driver, $"Use one of {string.Join(", ", DriverNames.All)}.");
        if (Driver == DriverNames.HyperV && !OperatingSystem.IsWindows())
            throw new WeaveException(Fault.Unsupported, "Weave:Driver is hyperv, and this is not Windows: the driver talks to the Hyper-V of the machine that it runs on.",
                "Run the service on the Hyper-V host, or use hyperv-simulator, which has an imaginary one.");
        if (Driver == DriverNames.Libvirt && OperatingSystem.IsWindows()) throw new WeaveException(Fault.Unsupported, "Weave:Driver is libvirt, and this is Windows: libvirt and QEMU are on Linux.", "Use hyperv.");
        if (Housekeeping.Check() is [var (name, value, next), ..]) throw Wrong(name, value, next);
        if (Weaving.Check() is [{ } wrong, ..]) throw new WeaveException(Fault.InvalidRequest, $"Weave:{wrong}", "Correct it in /etc/weave/weave.json, the WEAVE_… variables or the command line.");
        if (Driver == DriverNames.Libvirt) Libvirt.Validate();
        if (DriverNames.IsHyperV(Driver)) HyperV.Validate();
        if (Storage.Postgres is not { Length: > 0 } postgres) return;
        try
        {
            StateOptions.CheckPostgres(postgres);
        }
        catch (WeaveException e)
        {
            throw new WeaveException(e.Fault, $"Weave:Storage:Postgres: {e.Message}", e.NextStep);
        }
        if (Weaving.Host == new WeavingOptions().Host)
            throw Wrong("Weaving:Host", Weaving.Host, "With PostgreSQL several hosts may share the state: give this one a name of its own, the same for all services on it, and never change it.");
    }

    private static WeaveException Wrong(string name, string value, string next) => new(Fault.InvalidRequest, $"Weave:{name} cannot be {Ids.Quote(value)}.", next);
}

/// <summary>Names of drivers, as the setting Driver has them.</summary>
public static class DriverNames
{
    /// <summary>libvirt and QEMU of this host; Linux.</summary>
    public const string Libvirt = "libvirt";
    /// <summary>Hyper-V of this host; Windows.</summary>
    public const string HyperV = "hyperv";
    /// <summary>An imaginary hypervisor.</summary>
    public const string Simulator = "simulator";
    /// <summary>The driver of Hyper-V on an imaginary host.</summary>
    public const string HyperVSimulator = "hyperv-simulator";

    public static IReadOnlyList<string> All { get; } = [Libvirt, HyperV, Simulator, HyperVSimulator];

    public static bool IsHyperV(string driver) => driver is HyperV or HyperVSimulator;
}

public sealed class StorageOptions
{
    /// <summary>Connection to a database of PostgreSQL, "Host=…;Database=…;Username=…"; not set: SQLite in the state folder.</summary>
    public string? Postgres { get; set; }
    /// <summary>This host has taken the place, the disks and the machines of the one that the database knows by its name. For one start only.</summary>
    public bool ReplaceHost { get; set; }
}
