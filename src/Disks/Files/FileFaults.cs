namespace WeaveHypervisor.Disks;

/// <summary>Lets tests fail a file operation as a disk would. Without a test it is one look at a field.</summary>
internal static class FileFaults
{
    private static readonly Lock Gate = new();
    private static Func<string, string, int>? _hook;

    /// <summary>Before each operation on a file: its name, the file's path; the errno with which it is to fail, or 0. Hooks look at their own folders only, since tests run at once.</summary>
    public static IDisposable Hook(Func<string, string, int> hook)
    {
        lock (Gate) _hook += hook;
        return new Ending(() => { lock (Gate) _hook -= hook; });
    }

    /// <summary>Throws as .NET does on Unix, with the errno in HResult.</summary>
    public static void Pass(string operation, string path)
    {
        if (_hook is not { } hooks) return;
        foreach (var hook in hooks.GetInvocationList().Cast<Func<string, string, int>>())
            if (hook(operation, path) is var error and not 0) throw new IOException($"{operation} {path} fails by a test.", error);
    }

    private sealed class Ending(Action act) : IDisposable
    {
        public void Dispose() => act();
    }
}
