namespace WeaveHypervisor.Fuzz;

/// <summary>A folder of one thread's own, in memory where the system has that, gone with the process; its files are made anew for each input.</summary>
internal sealed class Scratch
{
    private static readonly List<string> All = [];
    [ThreadStatic] private static Scratch? _mine;

    static Scratch() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        lock (All)
            foreach (var folder in All) Directory.Delete(folder, recursive: true);
    };

    private Scratch()
    {
        const string memory = "/dev/shm";
        Folder = Path.Combine(Directory.Exists(memory) ? memory : Path.GetTempPath(), $"weave-fuzz-{Environment.ProcessId}-{Environment.CurrentManagedThreadId}");
        Directory.CreateDirectory(Folder);
        lock (All) All.Add(Folder);
    }

    /// <summary>That of the present thread: to be taken once, since what is awaited goes on on others.</summary>
    public static Scratch Mine => _mine ??= new();

    public string Folder { get; }
    public string this[string name] => Path.Combine(Folder, name);

    /// <summary>Deletes all that an input has left.</summary>
    public Scratch Clear()
    {
        foreach (var file in Directory.GetFiles(Folder)) File.Delete(file);
        return this;
    }
}
