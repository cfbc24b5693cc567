using System.Diagnostics;
using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>How the memory of a machine is taken.</summary>
internal enum MemoryMethod
{
    /// <summary>Disks only.</summary>
    None,
    /// <summary>QEMU's background-snapshot: device state at once, RAM streamed while the guest runs.</summary>
    Background,
    /// <summary>RAM streamed while the guest runs; what it changed meanwhile, and the device state, while it is suspended.</summary>
    Live,
    /// <summary>The machine's own pages of a base that it maps, copied while it is suspended.</summary>
    Private,
    /// <summary>The machine was paused already, and stays so until its RAM has been written.</summary>
    Suspended,
}

/// <summary>One machine in a capture, with what has been done to it so far.</summary>
internal sealed class CaptureMember(CaptureMachine machine) : IDisposable
{
    public CaptureMachine Machine { get; } = machine;
    /// <summary>Null for a copy that is off.</summary>
    public LibvirtDomain? Domain { get; set; }
    public RunState Before { get; set; }
    public MemoryMethod Method { get; set; }
    public string? Reason { get; set; }
    /// <summary>KiB of RAM, as libvirt has it.</summary>
    public ulong Memory { get; set; }
    /// <summary>The definition of the machine as it is; null for a copy that is off.</summary>
    public XDocument? Definition { get; set; }
    /// <summary>Firmware and TPM state of the instant.</summary>
    public IReadOnlyList<HeldState> States { get; set; } = [];
    public string? SnapshotXml { get; set; }
    public CapturePipe? Pipe { get; set; }
    /// <summary>Its background snapshot has begun, and waits to write.</summary>
    public bool Begun { get; set; }
    public PrivatePath? Private { get; set; }
    /// <summary>Null: not asked for, or not known yet.</summary>
    public Quiescing? Quiescing { get; set; }
    /// <summary>Set between our suspend and the moment that the machine runs again.</summary>
    public bool HeldByUs { get; set; }
    public long SuspendStarted { get; set; }
    public long Suspended { get; set; }
    public long Resumed { get; set; }

    public bool Active => Domain is not null && Before != RunState.Off;
    public string Name => Machine.Machine.HypervisorName;
    public TimeSpan Pause => Resumed == 0 || SuspendStarted == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(SuspendStarted, Resumed);

    /// <summary>Adds to the reason why no better method was used.</summary>
    public void Because(string reason) => Reason = Reason is null ? reason : $"{Reason}; {reason}";

    public void Dispose()
    {
        Pipe?.Dispose();
        Private?.Dispose();
        Domain?.Dispose();
    }
}
