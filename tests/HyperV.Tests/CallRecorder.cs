using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Writes down the methods that are called, but for looks at disk files, and what is done with files; what differs from run to run is numbered in the order in which it is seen.</summary>
internal sealed partial class CallRecorder
{
    private readonly StringBuilder _text = new();
    private readonly Dictionary<string, string> _names = new(StringComparer.OrdinalIgnoreCase);
    private bool _on;

    public void Begin(string what)
    {
        _text.Append("== ").AppendLine(what);
        _on = true;
    }

    public void Pause() => _on = false;

    public ICimClient Listen(ICimClient client) => new Client(client, this);

    public IHostFiles Listen(IHostFiles files) => new Files(files, this);

    /// <summary>Compares with a golden file, which `WEAVE_GOLDEN=renew` writes anew.</summary>
    public async Task MatchAsync(string golden, CancellationToken stop, [CallerFilePath] string here = "")
    {
        var path = Path.Combine(Path.GetDirectoryName(here)!, "Golden", golden);
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew") await File.WriteAllTextAsync(path, _text.ToString(), stop);
        Assert.Equal(await File.ReadAllTextAsync(path, stop), _text.ToString());
    }

    private void Add(string line)
    {
        if (_on) _text.AppendLine(line);
    }

    private string Stable(string text) => Changing().Replace(text, m => _names.TryGetValue(m.Value, out var known) ? known : _names[m.Value] = $"#{_names.Count + 1}");

    /// <summary>Ids in every spelling, tags of fences, and serial numbers.</summary>
    [GeneratedRegex(@"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9a-f]{32}|(?<![0-9A-Za-z])w?[0-9a-f]{8}(?![0-9A-Za-z])|(\d{4}-){6}\d{4}", RegexOptions.CultureInvariant)]
    private static partial Regex Changing();

    private sealed class Client(ICimClient inner, CallRecorder recorder) : PassingClient(inner)
    {
        public override Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop)
        {
            if (recorder._on && call.Method is not ("GetErrorEx" or "GetVirtualHardDiskSettingData"))
            {
                recorder.Add($"{target.ClassName}.{call.Method}");
                foreach (var (name, value) in call.Arguments)
                    foreach (var element in value.Elements) recorder.Add($"  {name} = {recorder.Stable(element.ToString()!).Replace("<PROPERTY", "\n    <PROPERTY", StringComparison.Ordinal)}");
            }
            return base.InvokeAsync(target, call, stop);
        }
    }

    private sealed class Files(IHostFiles inner, CallRecorder recorder) : IHostFiles
    {
        private T Note<T>(T done, params ReadOnlySpan<string> what)
        {
            if (recorder._on) recorder.Add(recorder.Stable("file " + string.Join(" ", what)));
            return done;
        }

        public Task<HostFile?> FindAsync(string path, CancellationToken stop) => inner.FindAsync(path, stop);
        public Task<IReadOnlyList<HostFile>> ListAsync(string folder, bool below, CancellationToken stop) => inner.ListAsync(folder, below, stop);
        public Task CreateFolderAsync(string folder, CancellationToken stop) => Note(inner.CreateFolderAsync(folder, stop), "folder", folder);
        public Task CopyAsync(string from, string to, CancellationToken stop) => Note(inner.CopyAsync(from, to, stop), "copy", from, "->", to);
        public Task LinkAsync(string existing, string link, CancellationToken stop) => Note(inner.LinkAsync(existing, link, stop), "link", existing, "->", link);
        public Task ReplaceAsync(string from, string to, CancellationToken stop) => Note(inner.ReplaceAsync(from, to, stop), "replace", to, "by", from);
        public Task DeleteAsync(string path, CancellationToken stop) => Note(inner.DeleteAsync(path, stop), "delete", path);
        public Task SetReadOnlyAsync(string path, bool readOnly, CancellationToken stop) => Note(inner.SetReadOnlyAsync(path, readOnly, stop), "read-only", path, readOnly.ToString());
        public Task GrantAsync(string path, Guid machine, CancellationToken stop) => Note(inner.GrantAsync(path, machine, stop), "grant", path, "to", machine.ToString("D"));
        public Task<long> FreeBytesAsync(string path, CancellationToken stop) => inner.FreeBytesAsync(path, stop);
        public Task<byte[]?> ReadAsync(string path, CancellationToken stop) => inner.ReadAsync(path, stop);
        public Task WriteAsync(string path, ReadOnlyMemory<byte> bytes, CancellationToken stop) => Note(inner.WriteAsync(path, bytes, stop), "write", path, Encoding.UTF8.GetString(bytes.Span));
        public Task<IReadOnlyList<string>> NamesAsync(string path, CancellationToken stop) => inner.NamesAsync(path, stop);
        public Task<long?> MeasureAsync(string path, CancellationToken stop) => inner.MeasureAsync(path, stop);
        public string Local(string path) => inner.Local(path);
        public string Hosted(string local) => inner.Hosted(local);
    }
}
