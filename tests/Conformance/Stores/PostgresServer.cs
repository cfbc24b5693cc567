using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace WeaveHypervisor.Conformance.Stores;

/// <summary>
/// A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, on a socket there and a free port of 127.0.0.1, run as the user `postgres`. A shell stands between it and this process:
/// when this process ends, in whatever way, it stops the server and removes the folder.
/// </summary>
public sealed class PostgresServer : IDisposable
{
    private const string Programs = "/usr/lib/postgresql";
    private static readonly Lazy<PostgresServer> Only = new(() => new PostgresServer());
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly string _bin = Directory.Exists(Programs) ? Path.Combine(Directory.GetDirectories(Programs).Order(StringComparer.Ordinal).Last(), "bin") : throw new InvalidOperationException("PostgreSQL is not installed: apt-get install postgresql.");
    private readonly List<Process> _shells = [];
    private readonly bool _durable;
    private int _made;

    /// <param name="durable">With fsync, as for real data: the server of a test that is not about power cuts is faster without.</param>
    public PostgresServer(bool durable = false)
    {
        _durable = durable;
        Folder = Directory.CreateTempSubdirectory("weave-pg-").FullName;
        Port = FreePort();
        Run("bash", "-c", $"chmod 711 {Folder} && {As}mkdir -m 700 {Folder}/data 2> /dev/null || {{ chown postgres {Folder} && {As}mkdir -m 700 {Folder}/data; }}");
        Run("bash", "-c", $"{As}{_bin}/initdb -D {Folder}/data -U postgres --auth=trust --no-sync -E UTF8 --locale=C.UTF-8 > {Folder}/initdb.log 2>&1 || {{ cat {Folder}/initdb.log >&2; exit 1; }}");
        Start();
    }

    /// <summary>One for all tests of this process, which gets databases of its own from it.</summary>
    public static PostgresServer Shared => Only.Value;

    public string Folder { get; }
    public int Port { get; }

    private static string As => Environment.IsPrivilegedProcess ? "setpriv --reuid postgres --regid postgres --init-groups " : "";

    /// <summary>Starts it (again) and waits until it lets in.</summary>
    public void Start()
    {
        // The shell waits for the end of its input, which is ours.
        var server = $"{As}{_bin}/postgres -D {Folder}/data -k {Folder} -p {Port} -c listen_addresses=127.0.0.1 -c max_connections=300 -c fsync={(_durable ? "on" : "off")} -c shared_buffers=64MB";
        var start = new ProcessStartInfo("bash", ["-c", $"exec 3<&0; {server} < /dev/null 3<&- >> {Folder}/log 2>&1 & pid=$!; exec 2> /dev/null; cat <&3 > /dev/null; kill -INT $pid 2> /dev/null; wait; rm -rf {Folder}"]) { RedirectStandardInput = true, WorkingDirectory = "/" };
        _shells.Add(Process.Start(start)!);
        var began = TimeProvider.System.GetTimestamp();
        while (Try($"{_bin}/pg_isready", "-q", "-h", Folder, "-p", Text(Port), "-t", "1").Exit != 0)
            if (TimeProvider.System.GetElapsedTime(began) > Patience) throw new InvalidOperationException("PostgreSQL does not start:\n" + File.ReadAllText(Path.Combine(Folder, "log")));
    }

    /// <summary>SIGKILL of the server itself, and waits until the last process that it had has gone with it.</summary>
    public void Kill()
    {
        using var server = Process.GetProcessById(int.Parse(File.ReadLines(Path.Combine(Folder, "data", "postmaster.pid")).First(), CultureInfo.InvariantCulture));
        server.Kill();
        var began = TimeProvider.System.GetTimestamp();
        while (Try("bash", "-c", $"for d in /proc/[0-9]*; do [ \"$(readlink $d/cwd 2> /dev/null)\" = {Folder}/data ] && exit 0; done; exit 1").Exit == 0)
            if (TimeProvider.System.GetElapsedTime(began) > Patience) throw new InvalidOperationException("PostgreSQL's processes do not end.");
    }

    /// <summary>Makes a database, empty or a copy of another to which nobody is connected; its connection.</summary>
    public string NewDatabase(string? template = null, string more = "")
    {
        var name = $"t{Interlocked.Increment(ref _made)}";
        Sql("postgres", $"CREATE DATABASE {name}{(template is null ? "" : " TEMPLATE " + template)}");
        return Connection(name) + more;
    }

    public string Connection(string database) => $"Host={Folder};Port={Text(Port)};Database={database};Username=postgres";

    /// <summary>Runs SQL past the product, as a foreign hand; what it answers, a line for each row. An exception with the server's words where it refuses.</summary>
    public string Sql(string database, string text)
    {
        var (exit, output, error) = Try($"{_bin}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", Folder, "-p", Text(Port), "-U", "postgres", "-d", database, "-c", text);
        return exit == 0 ? output.Trim() : throw new InvalidOperationException(error.Trim());
    }

    public void Dispose()
    {
        foreach (var shell in _shells)
        {
            shell.StandardInput.Close();
            shell.WaitForExit();
            shell.Dispose();
        }
        _shells.Clear();
    }

    private static void Run(string program, params string[] arguments)
    {
        var (exit, _, error) = Try(program, arguments);
        if (exit != 0) throw new InvalidOperationException(error);
    }

    private static (int Exit, string Output, string Error) Try(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.GetAwaiter().GetResult());
    }

    private static int FreePort()
    {
        using var socket = new TcpListener(IPAddress.Loopback, 0);
        socket.Start();
        return ((IPEndPoint)socket.LocalEndpoint).Port;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
