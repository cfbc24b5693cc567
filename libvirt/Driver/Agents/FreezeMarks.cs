using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Agents;

/// <summary>
/// For each machine that a capture has asked to freeze, a file of its own below the root, written before the request and removed once an agent has said that all is thawed. What
/// has no mark was frozen by somebody else, and is left alone.
/// </summary>
internal sealed partial class FreezeMarks(DriverPaths paths)
{
    private readonly ConcurrentDictionary<Guid, bool> _atWork = [];
    private string Folder => Path.Combine(paths.Root, "frozen");

    public string PathOf(Guid machine) => Path.Combine(Folder, machine.ToString("D"));
    public bool Has(MachineRef machine) => File.Exists(PathOf(machine.Uuid));

    /// <summary>A capture of this process is at work on the machine, and thaws it itself.</summary>
    public bool IsAtWork(Guid machine) => _atWork.ContainsKey(machine);

    public void Begin(MachineRef machine)
    {
        _atWork[machine.Uuid] = true;
        DurableFile.CreateDirectory(Folder, DriverPaths.FolderMode);
        DurableFile.Write(PathOf(machine.Uuid), file => JsonSerializer.Serialize(file, new Mark(machine.Name.Text, machine.HypervisorName), MarkJson.Default.Mark));
    }

    /// <summary>The capture is over; a mark that still stands is <see cref="IHypervisorDriver.ThawAsync"/>'s.</summary>
    public void Leave(MachineRef machine) => _atWork.TryRemove(machine.Uuid, out _);

    public void Clear(MachineRef machine)
    {
        if (Has(machine)) DurableFile.Delete(PathOf(machine.Uuid));
    }

    /// <summary>Machines with a mark that no capture of this process is at work on.</summary>
    public IReadOnlyList<MachineRef> Left()
    {
        if (!Directory.Exists(Folder)) return [];
        var left = new List<MachineRef>();
        foreach (var path in Directory.EnumerateFiles(Folder))
            if (Guid.TryParseExact(Path.GetFileName(path), "D", out var uuid) && !IsAtWork(uuid) && Read(path) is { } mark && MachineName.TryCreate(mark.Machine, out var name)) left.Add(new(name, mark.Domain, uuid));
        return left;
    }

    private static Mark? Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), MarkJson.Default.Mark);
        }
        catch (Exception error) when (error is JsonException or IOException)
        {
            // It has just gone; a half-written one never has this name.
            return null;
        }
    }

    internal sealed record Mark(string Machine, string Domain);

    [JsonSerializable(typeof(Mark))]
    internal sealed partial class MarkJson : JsonSerializerContext;
}
