using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Capturing;

/// <summary>One machine of a capture, and what became of it so far.</summary>
internal sealed class CaptureMember(CaptureMachine request, HostMachine machine, MachineParts parts)
{
    public CaptureMachine Request => request;
    public HostMachine Machine => machine;
    public MachineParts Parts => parts;
    public RunState Before => machine.RunState;
    public bool Ran => machine.State == MachineStates.Running;

    /// <summary>How its memory is taken; null: not at all.</summary>
    public CaptureRoute? Route { get; set; }
    /// <summary>Why it is less than what was asked for.</summary>
    public string? Reason { get; set; }
    public Quiescing? Quiescing { get; set; }

    /// <summary>The settings of the checkpoint that froze its disks.</summary>
    public CimObject? Checkpoint { get; set; }
    /// <summary>Where the saved machine was exported to.</summary>
    public string? Export { get; set; }
    /// <summary>When it stood still at the latest.</summary>
    public DateTimeOffset? Still { get; set; }
    /// <summary>When it was first asked to.</summary>
    public DateTimeOffset? Asked { get; set; }
    public TimeSpan Pause { get; set; }
    public MemoryImage? Memory { get; set; }
    public List<StateFile> States { get; } = [];

    public string Method => Before == RunState.Off ? "off" : Memory is null ? "disk" : Before == RunState.Paused ? "suspended" : "live";
}
