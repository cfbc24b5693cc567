using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <summary>A host as it was at one moment, with its files: to begin again from there any number of times.</summary>
public sealed class HostCheckpoint
{
    internal HostCheckpoint() { }

    internal IReadOnlyList<SimulatedMachine> Machines { get; init; } = [];
    internal IReadOnlyDictionary<NetworkName, NetworkBlueprint> Networks { get; init; } = new Dictionary<NetworkName, NetworkBlueprint>();
    internal IReadOnlyDictionary<FenceTag, SimulatedFence> Fences { get; init; } = new Dictionary<FenceTag, SimulatedFence>();
    internal IReadOnlyList<PublishedEndpoint> Published { get; init; } = [];
    internal IReadOnlyDictionary<string, List<string>> Content { get; init; } = new Dictionary<string, List<string>>();
    internal IReadOnlyDictionary<string, string> Below { get; init; } = new Dictionary<string, string>();
    internal IReadOnlyList<string> ForeignListeners { get; init; } = [];
    internal string Folder { get; init; } = "";
}

public sealed partial class SimulatedHost
{
    /// <summary>Keeps all that the host is now; its files are copied to <paramref name="folder"/>, which must not exist.</summary>
    public HostCheckpoint Save(string folder) => Locked(() =>
    {
        Copy(Root, folder);
        return new HostCheckpoint
        {
            Machines = [.. Machines.Values.Select(m => m.Clone())], Networks = new Dictionary<NetworkName, NetworkBlueprint>(Networks), Fences = new Dictionary<FenceTag, SimulatedFence>(Fences),
            Published = [.. Published], Content = Content.ToDictionary(c => c.Key, c => c.Value.ToList()), Below = new Dictionary<string, string>(Below),
            ForeignListeners = [.. ForeignListeners], Folder = folder,
        };
    });

    /// <summary>Makes the host what it was at <paramref name="checkpoint"/> of the same host. Nothing may be using it.</summary>
    public void Restore(HostCheckpoint checkpoint) => Locked(() =>
    {
        Directory.Delete(Root, recursive: true);
        Copy(checkpoint.Folder, Root);
        Refill(Machines, checkpoint.Machines.Select(m => KeyValuePair.Create(m.Ref.Uuid, m.Clone())));
        Refill(Networks, checkpoint.Networks);
        Refill(Fences, checkpoint.Fences);
        Damages.Clear();
        Refill(Content, checkpoint.Content.Select(c => KeyValuePair.Create(c.Key, c.Value.ToList())));
        Refill(Below, checkpoint.Below);
        Published = [.. checkpoint.Published];
        ForeignListeners.Clear();
        ForeignListeners.UnionWith(checkpoint.ForeignListeners);
    });

    private static void Refill<TKey, TValue>(Dictionary<TKey, TValue> target, IEnumerable<KeyValuePair<TKey, TValue>> source) where TKey : notnull
    {
        target.Clear();
        foreach (var (key, value) in source) target[key] = value;
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        foreach (var folder in Directory.EnumerateDirectories(from)) Copy(folder, Path.Combine(to, Path.GetFileName(folder)));
    }
}
