using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>
/// Every method that a capture, a copy with memory, one that boots and their removal call, with all settings that are sent as text, as a golden file: nothing else tells what a real host is asked.
/// `WEAVE_GOLDEN=renew` writes it anew.
/// </summary>
public sealed partial class CallTextTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(Hosts.Kind.All)]
    [InlineData(Hosts.Kind.OnlySaved)]
    [InlineData(Hosts.Kind.OnlyFlat)]
    public async Task What_is_sent_is_as_it_was(Hosts.Kind kind)
    {
        Recorder? recorder = null;
        using var bench = Hosts.Core(kind, client: inner => recorder = new(inner));
        await bench.AdoptAsync(1);
        recorder!.Begin("capture with memory");
        var (request, result) = await bench.CaptureAsync(memory: true);
        foreach (var memory in new[] { true, false })
        {
            recorder.Pause();
            var copies = await bench.PlanCopyAsync(request, result, memory);
            recorder.Begin(memory ? "a copy from memory" : "a copy that boots");
            await bench.Parts.Starter.RunAsync(copies, null, Stop);
            recorder.Begin("its end");
            await bench.Parts.Owned.RetireAsync(copies.Machines[0].Machine.Uuid, Stop);
        }
        var now = recorder.Text;
        var golden = Path.Combine(Folder(), "Golden", $"sent-{kind.ToString().ToLowerInvariant()}.txt");
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew") await File.WriteAllTextAsync(golden, now, Stop);
        Assert.Equal(await File.ReadAllTextAsync(golden, Stop), now);
    }

    private static string Folder([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;

    /// <summary>Notes methods that are called; what differs from run to run is numbered in the order in which it is seen.</summary>
    private sealed partial class Recorder(ICimClient inner) : ICimClient
    {
        private readonly StringBuilder _text = new();
        private readonly Dictionary<string, string> _names = new(StringComparer.OrdinalIgnoreCase);
        private bool _on;

        public string Text => _text.ToString();

        public void Begin(string what)
        {
            _text.Append("== ").AppendLine(what);
            _on = true;
        }

        public void Pause() => _on = false;

        public Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop)
        {
            if (_on && call.Method != "GetErrorEx")
            {
                _text.Append(target.ClassName).Append('.').AppendLine(call.Method);
                foreach (var (name, value) in call.Arguments)
                    foreach (var element in value.Elements) _text.Append("  ").Append(name).Append(" = ").AppendLine(Stable(element.ToString()!).Replace("<PROPERTY", "\n    <PROPERTY", StringComparison.Ordinal));
            }
            return inner.InvokeAsync(target, call, stop);
        }

        private string Stable(string text) => Changing().Replace(text, m => _names.TryGetValue(m.Value, out var known) ? known : _names[m.Value] = $"#{_names.Count + 1}");

        public Task<CimObject> GetAsync(CimPath path, CancellationToken stop) => inner.GetAsync(path, stop);
        public Task<IReadOnlyList<CimObject>> QueryAsync(string @namespace, string wql, CancellationToken stop) => inner.QueryAsync(@namespace, wql, stop);
        public Task<IReadOnlyList<CimObject>> AssociatorsAsync(CimPath path, string? associationClass, string? resultClass, string? role, string? resultRole, CancellationToken stop) => inner.AssociatorsAsync(path, associationClass, resultClass, role, resultRole, stop);
        public Task<CimObject> CreateAsync(string @namespace, CimObject instance, CancellationToken stop) => inner.CreateAsync(@namespace, instance, stop);
        public Task DeleteAsync(CimPath path, CancellationToken stop) => inner.DeleteAsync(path, stop);
        public ValueTask DisposeAsync() => inner.DisposeAsync();

        /// <summary>Ids in every spelling, tags of fences, and serial numbers.</summary>
        [GeneratedRegex(@"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9a-f]{32}|(?<![0-9A-Za-z])w?[0-9a-f]{8}(?![0-9A-Za-z])|(\d{4}-){6}\d{4}", RegexOptions.CultureInvariant)]
        private static partial Regex Changing();
    }
}
