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

    private sealed class Files(IHostFiles inner, CallRecorder recorder) : PassingFiles(inner)
    {
        private T Note<T>(T done, params ReadOnlySpan<string> what)
        {
            if (recorder._on) recorder.Add(recorder.Stable("file " + string.Join(" ", what)));
            return done;
        }

        public override Task CreateFolderAsync(string folder, CancellationToken stop) => Note(base.CreateFolderAsync(folder, stop), "folder", folder);
        public override Task CopyAsync(string from, string to, CancellationToken stop) => Note(base.CopyAsync(from, to, stop), "copy", from, "->", to);
        public override Task LinkAsync(string existing, string link, CancellationToken stop) => Note(base.LinkAsync(existing, link, stop), "link", existing, "->", link);
        public override Task ReplaceAsync(string from, string to, CancellationToken stop) => Note(base.ReplaceAsync(from, to, stop), "replace", to, "by", from);
        public override Task DeleteAsync(string path, CancellationToken stop) => Note(base.DeleteAsync(path, stop), "delete", path);
        public override Task SetReadOnlyAsync(string path, bool readOnly, CancellationToken stop) => Note(base.SetReadOnlyAsync(path, readOnly, stop), "read-only", path, readOnly.ToString());
        public override Task GrantAsync(string path, Guid machine, CancellationToken stop) => Note(base.GrantAsync(path, machine, stop), "grant", path, "to", machine.ToString("D"));
        public override Task WriteAsync(string path, ReadOnlyMemory<byte> bytes, CancellationToken stop) => Note(base.WriteAsync(path, bytes, stop), "write", path, Encoding.UTF8.GetString(bytes.Span));
    }
}
