using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.Sequences;

/// <summary>A layer as the model knows it: where it is, and on what it stands.</summary>
internal sealed class ModelLayer(LayerRef layer, ModelLayer? parent, bool isAdopted = false)
{
    public LayerRef Ref { get; set; } = layer;
    public ModelLayer? Parent { get; set; } = parent;
    public bool IsAdopted => isAdopted;

    /// <summary>The layer and all below it.</summary>
    public IEnumerable<ModelLayer> Chain()
    {
        for (var at = this; at is not null; at = at.Parent) yield return at;
    }
}

/// <summary>What a disk holds at a few places, which are in two of its blocks.</summary>
internal sealed class Content
{
    public const int Slots = 16;
    private const int InBlock = 8, Sector = 512;
    private const long Block = 2 << 20;
    private readonly byte[] _bytes;

    public Content() => _bytes = new byte[Slots];
    private Content(byte[] bytes) => _bytes = bytes;

    public byte this[int slot]
    {
        get => _bytes[slot];
        set => _bytes[slot] = value;
    }

    public Content Copy() => new([.. _bytes]);

    public override string ToString() => Convert.ToHexString(_bytes);

    public static long OffsetOf(int slot) => slot / InBlock * Block + slot % InBlock * Sector;

    public static Content Read(Func<long, int, byte[]> read) =>
        new([.. Enumerable.Range(0, Slots / InBlock).SelectMany(block => read(block * Block, InBlock * Sector).Where((_, i) => i % Sector == 0))]);
}

/// <param name="name">In all lines the same.</param>
internal sealed class ModelVolume(VolumeName name, string target, ModelLayer head, Content content)
{
    public VolumeName Name => name;
    public string Target => target;
    public ModelLayer Head { get; set; } = head;
    public Content Content { get; } = content;
}

/// <summary>A machine, the user's own or a copy, as it must be.</summary>
internal sealed class ModelMachine(MachineRef machine)
{
    public MachineRef Ref => machine;
    /// <summary>In the order in which the host has them.</summary>
    public required List<ModelVolume> Volumes { get; init; }
    public RunState State { get; set; } = RunState.Off;
    /// <summary>Off for the contract, with the memory that it resumes from.</summary>
    public bool IsSaved { get; set; }
    /// <summary>The boot that its guest stems from; null where it has none, or it is not known yet.</summary>
    public Guid? Boot { get; set; }
    /// <summary>The least that its guest has counted to.</summary>
    public long Count { get; set; }
    public string Firmware { get; set; } = "";
    /// <summary>A copy's own state files.</summary>
    public IReadOnlyList<StateFile> States { get; init; } = [];
    /// <summary>Hyper-V's id; null where the host has no such machine.</summary>
    public Guid? Id { get; set; }

    public void TurnOff()
    {
        (State, IsSaved, Boot, Count) = (RunState.Off, false, null, 0);
    }
}

/// <summary>One line of existence: the user's machines, or the copies in a fence.</summary>
internal sealed class Line(string name, FenceTag tag, IReadOnlyList<ModelMachine> machines)
{
    public string Name => name;
    public FenceTag Tag => tag;
    public IReadOnlyList<ModelMachine> Machines => machines;
    /// <summary>Null for the user's machines.</summary>
    public FenceSpec? Fence { get; init; }
    public FenceFacts? Facts { get; set; }
    public bool IsMain => Fence is null;
}

/// <summary>A machine at an instant.</summary>
/// <param name="Least">What its guest had counted to at least, and at most.</param>
internal sealed record MomentMachine(MachineName Name, RunState State, IReadOnlyList<ModelVolume> Volumes, MemoryImage? Memory, IReadOnlyList<StateFile> States, string Firmware, Guid? Boot, long Least, long Most);

internal sealed record Moment(int Number, SnapshotId Id, CaptureRequest Request, IReadOnlyList<MomentMachine> Machines);
