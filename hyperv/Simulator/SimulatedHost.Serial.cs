using System.Security.Cryptography;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>
/// Serial ports of machines of the first generation, at named pipes of the host, and the one guest that is known to write to them: the boot sector of the driver's self-test, whose counter is the guest model's.
/// </summary>
public sealed partial class SimulatedHost
{
    /// <summary>Of that sector (SHA-256): any other one is a guest that says nothing.</summary>
    private const string CountingSector = "ED7E6F65F12F0B49339001D7432D38E171E2A86E8F9229D18ADD32CBC0BA1D8F";
    private const int SectorBytes = 512;

    /// <summary>What a machine boots from: the first disk of its first controller.</summary>
    private bool BootsCounter(Machine machine) => !machine.Own.IsSecondGeneration && machine.Own.DiskFiles is [var first, ..]
        && Convert.ToHexString(SHA256.HashData(Disks.ReadBytes(first, 0, SectorBytes))) == CountingSector;

    private static IEnumerable<string> PipesOf(Machine machine) => machine.Own.Resources.Where(r => r.ClassName == SerialPortSettingData.ClassName)
        .Select(r => r.List(SerialPortSettingData.Connection).FirstOrDefault()).OfType<string>().Where(p => p.Length > 0);

    /// <summary>A pipe has one owner.</summary>
    private void RequirePipes(Machine machine)
    {
        foreach (var pipe in PipesOf(machine))
            if (Machines.Exists(m => m != machine && !m.IsPlanned && RunState.HoldsDisks(m.State) && PipesOf(m).Contains(pipe, HostPath.Comparer))) throw new JobFailure(JobFailure.AccessDenied, $"The named pipe '{pipe}' of '{machine.Name}' is another machine's");
    }

    /// <summary>The line that the guest behind a pipe writes now; null where there is none that runs and says anything. The first port is COM1.</summary>
    internal string? SayAt(string pipe) => Behaviour.OpensPipes && Machines.Find(m => !m.IsPlanned && m.State == RunState.Running && HostPath.Comparer.Equals(PipesOf(m).FirstOrDefault(), pipe)) is { Guest: { SaysCount: true } guest }
        ? $"WEAVE {guest.Boot.ToString("N")[..8].ToUpperInvariant()} {guest.CountAt(Now):X8}\r\n" : null;
}
