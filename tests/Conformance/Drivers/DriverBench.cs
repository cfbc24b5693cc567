using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Conformance.Drivers;

/// <summary>
/// What the driver suite needs of a hypervisor under test: a driver, machines of a user's that may be adopted, and a client's view of them. One bench serves one test;
/// disposing it removes all that the test made. A bench on real guests may make few machines and take long; the suite asks for what it needs, never more.
/// </summary>
public abstract class DriverBench : IAsyncDisposable
{
    /// <summary>A driver; every call may give another one on the same host.</summary>
    public abstract IHypervisorDriver NewDriver();

    /// <summary>
    /// Gives <paramref name="count"/> running machines of a user's on one network, each with one NIC and one disk, that answer <see cref="AskAsync"/>. At most 2 are asked for.
    /// The first has a guest agent that works, the second has no channel for one.
    /// </summary>
    public abstract Task<IReadOnlyList<MachineRequest>> GiveMachinesAsync(int count, CancellationToken stop);

    /// <summary>A machine of the user's that must be refused for at least two reasons; null where the bench cannot make one.</summary>
    public virtual Task<MachineRequest?> GiveRefusedMachineAsync(CancellationToken stop) => Task.FromResult<MachineRequest?>(null);

    /// <summary>A machine of the user's that is off and whose firmware keeps variables (<see cref="StateKind.Nvram"/>), with one disk.</summary>
    public abstract Task<MachineRequest> GiveMachineWithStateAsync(CancellationToken stop);

    /// <summary>Marks the variables of a machine that is off: the text is part of <see cref="ReadState"/> from then on, and of no other machine's.</summary>
    public abstract Task MarkStateAsync(MachineRef machine, string text, CancellationToken stop);

    /// <summary>True where the text is in the variables of a machine, an original or a copy.</summary>
    public abstract Task<bool> HasMarkAsync(MachineRef machine, string text, CancellationToken stop);

    /// <summary>
    /// What the machine behind a host address (a machine's own, or an outer address of a fence) says of itself; null where nothing answers. Waits for a guest
    /// that is coming up as long as a guest of this bench may take; where nothing is expected (<paramref name="expected"/> false) only as long as an answer may take.
    /// </summary>
    public abstract Task<GuestAnswer?> AskAsync(string address, bool expected, CancellationToken stop);

    /// <summary>Has the machine behind an address write an order to its disk, durably.</summary>
    public abstract Task OrderAsync(string address, string order, CancellationToken stop);

    /// <summary>What answers at a published port of the host; null where nothing does.</summary>
    public abstract Task<GuestAnswer?> AskPortAsync(int port, bool expected, CancellationToken stop);

    /// <summary>The first part of the names that the driver wants for copies.</summary>
    public abstract string CopyPrefix { get; }

    /// <summary>An agent says how many file systems it froze. Where the hypervisor asks by itself, nobody is told.</summary>
    public virtual bool CountsFileSystems => true;

    /// <summary>A running machine's head can be put on another layer; where it cannot, that is refused (Conflict).</summary>
    public virtual bool PullsUnderRunningMachines => true;

    /// <summary>Port on which the guests' service answers.</summary>
    public abstract int ServicePort { get; }

    /// <summary>Two free ports of the host.</summary>
    public abstract (int, int) FreePorts { get; }

    /// <summary>Has a program of the host listen on a port till the bench is disposed; null where the bench cannot.</summary>
    public virtual int? TakePort() => null;

    /// <summary>Powers a machine off behind the driver's back.</summary>
    public abstract Task KillAsync(MachineRef machine, CancellationToken stop);

    /// <summary>What a foreign hand may do to a fence, each by itself.</summary>
    public abstract IReadOnlyList<(string What, Func<CancellationToken, Task> Do)> Damages(FenceTag fence);

    public abstract ValueTask DisposeAsync();
}

/// <param name="Nonce">Made at boot, kept in RAM: the same in a machine and its copies with memory.</param>
/// <param name="Orders">Orders that are on its disk.</param>
public sealed record GuestAnswer(string Nonce, IReadOnlyList<string> Orders);
