using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>What a machine of the Vagrant lab says of itself: its name, what only its memory knows, and the digest of its data volume (empty where it has none).</summary>
internal sealed record TinyAnswer(string Host, string Nonce, string Data)
{
    public static TinyAnswer Parse(string line) => line.Trim().Split(' ') is [var host, var nonce, .. var rest] ? new(host, nonce, rest.Length > 0 ? rest[0] : "") : throw new HttpRequestException($"no answer of a machine's: {line}");
}

/// <summary>
/// Two real machines that the real Vagrant makes (vagrant/tests), and a service of its own. All names start with <see cref="Prefix"/>; what an interrupted run has left under that name is removed first.
/// Vagrant's home is in the folder, so that the user's own labs and boxes are not touched.
/// </summary>
internal sealed class VagrantLab : IAsyncDisposable
{
    public const string Prefix = "we2v", Subnet = "10.94.41", Management = "10.94.42", ExportManagement = "10.94.43", Environment = "vlab";
    public const string Folder = "/var/lib/we2v", Lab = Folder + "/lab", Exports = Folder + "/exports", Pool = Folder + "/pool", OurPool = Folder + "/weave";
    private static readonly HttpClient Http = new(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(10) };

    private static readonly Dictionary<string, string> Settings = new()
    {
        ["VAGRANT_HOME"] = Folder + "/home", ["VAGRANT_DEFAULT_PROVIDER"] = "libvirt", ["VAGRANT_NO_COLOR"] = "1", ["VAGRANT_CHECKPOINT_DISABLE"] = "1",
        ["WEAVE_LAB_PREFIX"] = Prefix, ["WEAVE_LAB_SUBNET"] = Subnet, ["WEAVE_LAB_MANAGEMENT"] = Management, ["WEAVE_LAB_POOL"] = Prefix, ["WEAVE_LAB_BOX"] = Folder + "/box/tiny.box",
        ["WEAVE_EXPORT_DRIVER"] = "qemu", ["WEAVE_EXPORT_POOL"] = Prefix, ["WEAVE_EXPORT_MANAGEMENT"] = $"{Prefix}-exported {ExportManagement}.0/24",
    };

    private readonly ServiceProcess _service;

    private VagrantLab(ServiceProcess service) => _service = service;

    /// <summary>The host before anything of this was made.</summary>
    public required HostFootprint Empty { get; init; }

    /// <summary>The folder of this repository that holds the lab's Vagrantfile and its box's script.</summary>
    private static string Source => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(LabWorld.Need("WEAVE_LAB"))!, "..", "..", "vagrant", "tests"));

    /// <summary>Box, pool and service; no machine yet.</summary>
    public static async Task<VagrantLab> StartAsync()
    {
        await SweepAsync();
        foreach (var folder in (string[])[Folder, Lab, Exports, Pool]) Directory.CreateDirectory(folder);
        File.SetUnixFileMode(Folder, (UnixFileMode)Convert.ToInt32("711", 8));
        var empty = await HostFootprint.TakeAsync(OurPool);
        (await Shell.RunAsync(Path.Combine(Source, "build-box"), Folder + "/box")).Succeeded("build-box");
        File.Copy(Path.Combine(Source, "Vagrantfile"), Lab + "/Vagrantfile");
        await VirshAsync("pool-create-as", Prefix, "dir", "--target", Pool);
        var lab = new VagrantLab(new(LabWorld.Need("WEAVE_BIN"), Folder + "/state", OurPool, Prefix, LabWorld.FreePort())) { Empty = empty };
        try
        {
            await lab._service.StartAsync();
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        // Where a test has failed, weaves and routes are still there, which only the service knows all of.
        if (_service.Running)
            foreach (var environment in (string[])[Environment, Imported]) await TryWeaveAsync("env", "release", environment, "--force");
        await _service.DisposeAsync();
        await SweepAsync();
    }

    public static async Task<string> VirshAsync(params string[] arguments) => (await Shell.RunAsync("virsh", ["-q", "-c", "qemu:///system", .. arguments])).Succeeded("virsh " + string.Join(' ', arguments)).Output;

    /// <summary>Runs Vagrant in a folder; a failure has all that it said.</summary>
    public static async Task<string> VagrantAsync(string folder, params string[] arguments) =>
        (await Shell.RunAsync("vagrant", arguments, Settings, TimeSpan.FromMinutes(4), folder: folder)).Succeeded($"vagrant {string.Join(' ', arguments)} in {folder}").Output;

    /// <summary>`vagrant status`: state of each machine.</summary>
    public static async Task<IReadOnlyDictionary<string, string>> StatusAsync(string folder) =>
        (await VagrantAsync(folder, "status", "--machine-readable")).Split('\n').Select(l => l.Trim().Split(',')).Where(w => w is [_, _, "state", _, ..]).ToDictionary(w => w[1], w => w[3]);

    /// <summary>Runs a command in a machine, by Vagrant's own login.</summary>
    public static async Task<string> InsideAsync(string folder, string machine, string command) => (await VagrantAsync(folder, "ssh", machine, "-c", command)).Trim();

    /// <summary>Writes a line at the beginning of db's data volume, onto the disk.</summary>
    public static Task MarkAsync(string text) => InsideAsync(Lab, "db", $"printf '%-512s' '{text}' | dd of=/dev/vdb conv=notrunc 2>/dev/null; sync");

    /// <summary>The digest that a machine computes of its data volume, without the network of the lab.</summary>
    public static async Task<string> DataInsideAsync(string folder) => (await InsideAsync(folder, "db", "md5sum < /dev/vdb")).Split(' ')[0];

    /// <summary>What the web server of a machine answers, as soon as it does.</summary>
    public static async Task<TinyAnswer> AskAsync(string endpoint)
    {
        TinyAnswer? answer = null;
        await Shell.UntilAsync($"{endpoint} answers", async () => (answer = TinyAnswer.Parse(await Http.GetStringAsync(new Uri($"http://{endpoint}/cgi-bin/data")))) is not null);
        return answer!;
    }

    public Task<Shell.Result> TryWeaveAsync(params string[] arguments) => Shell.RunAsync(_service.Program, arguments, _service.ClientSettings, TimeSpan.FromMinutes(5));
    public async Task<string> WeaveAsync(params string[] arguments) => (await TryWeaveAsync(arguments)).Succeeded("weave " + string.Join(' ', arguments)).Output;
    public async Task<OperationView> OperationAsync(params string[] arguments) => LabWorld.Read<OperationView>(await WeaveAsync([.. arguments, "--json"]));

    public async Task<SnapshotView> NewestSnapshotAsync() => LabWorld.Read<TimelineView>(await WeaveAsync("timeline", Environment, "--json")).Snapshots.OrderBy(s => s.At).Last();

    /// <summary>Publishes the web server of a weave's machine; where to connect to.</summary>
    public async Task<string> RouteAsync(string weave, string machine) => (await OperationAsync("route", $"{Environment}/{weave}", "80", "--machine", machine)).Result!.Value.GetProperty("connect").GetString()!;

    /// <summary>Domains, networks and volumes of libvirt that bear a name of this lab's, or of an export's.</summary>
    public static async Task<IReadOnlyList<string>> LeftAsync() =>
    [
        .. (await OursAsync("list", "--all", "--name")).Select(n => "domain " + n), .. (await OursAsync("net-list", "--all", "--name")).Select(n => "network " + n),
        .. (await VirshAsync("vol-list", Prefix)).Split('\n').Select(l => l.Trim().Split(' ')[0]).Where(n => n.Length > 0).Select(n => "volume " + n),
    ];

    private static async Task<IEnumerable<string>> OursAsync(params string[] list) => (await VirshAsync(list)).Split('\n').Select(l => l.Trim())
        .Where(l => l.StartsWith(Prefix, StringComparison.Ordinal) || l.StartsWith(Environment + "-", StringComparison.Ordinal) || l.StartsWith(Imported + "-", StringComparison.Ordinal));

    /// <summary>Name of the environment that is made of an export.</summary>
    public const string Imported = "vagain";

    /// <summary>Removes what was made of these names, and only that.</summary>
    public static async Task RemoveMachinesAsync()
    {
        static Task<Shell.Result> Virsh(params string[] a) => Shell.RunAsync("virsh", ["-q", "-c", "qemu:///system", .. a]);
        foreach (var domain in await OursAsync("list", "--all", "--name"))
        {
            await Virsh("destroy", domain);
            await Virsh("undefine", domain, "--nvram");
        }
        foreach (var network in await OursAsync("net-list", "--all", "--name"))
        {
            await Virsh("net-destroy", network);
            await Virsh("net-undefine", network);
        }
    }

    private static async Task SweepAsync()
    {
        await RemoveMachinesAsync();
        await LabWorld.SweepHostAsync(Prefix);
        await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "pool-destroy", Prefix);
        await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "pool-undefine", Prefix);
        if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
    }
}
