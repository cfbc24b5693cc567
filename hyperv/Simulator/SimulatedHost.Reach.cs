using System.Net;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Machines;
using WeaveHypervisor.HyperV.Simulator.Networks;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>Whom the host, and others by its published ports, reach in its machines.</summary>
public sealed partial class SimulatedHost
{
    /// <summary>
    /// The running machine that answers at an address which the host itself asks: one on an internal switch on which the host has an address of the same network, or one that a gateway on such a switch leads to.
    /// Null where none does, or more than one would.
    /// </summary>
    public Guid? Behind(string address)
    {
        lock (Gate)
        {
            Advance();
            if (!IPAddress.TryParse(address, out var ip)) return null;
            var found = new List<Machine>();
            foreach (var (place, network) in Network.HostAddresses())
            {
                if (!network.Contains(ip)) continue;
                foreach (var machine in Machines.Where(m => !m.IsPlanned && m.State == RunState.Running))
                    foreach (var (on, mac) in Network.Ports(machine).Where(p => p.Switch.Equals(place)).ToList())
                    {
                        if (!Network.IsAlone(place, mac)) continue;
                        if (GuestAddresses.TryGetValue(mac, out var own) && own.Address == address) found.Add(machine);
                        if (Forwards(machine) is { } gateway && gateway.UplinkMac.Equals(mac, StringComparison.OrdinalIgnoreCase) && gateway.Outer.TryGetValue(address, out var inner) && Inside(machine, gateway, inner) is { } target) found.Add(target);
                    }
            }
            return found is [var only] ? only.Id : null;
        }
    }

    /// <summary>The machine that answers at a published port of the host; null where none does.</summary>
    public Guid? BehindPort(int port, bool udp = false)
    {
        (string Address, int Port)? target;
        lock (Gate)
        {
            Advance();
            target = Network.MappedTo(port, udp);
        }
        return target is var (address, _) ? Behind(address) : null;
    }

    /// <summary>A program of the host listens on a TCP port.</summary>
    public void TakePort(int port)
    {
        lock (Gate) Network.TakenPorts.Add((ushort)port);
    }

    /// <summary>True where a machine may begin connections to the outside through its gateway: the gateway lets it, and the host translates for the gateway.</summary>
    public bool ReachesOutside(Guid machine)
    {
        lock (Gate)
        {
            Advance();
            var inner = MachineNamed(machine);
            return Machines.Where(m => m != inner && !m.IsPlanned && m.State == RunState.Running).Any(m => Forwards(m) is { Egress: true } gateway && gateway.Legs.Any(l => Network.Meet(m, l.Mac, inner))
                && Network.HostAddresses().Any(h => Network.Ports(m).Any(p => p.Switch.Equals(h.Switch) && p.Mac.Equals(gateway.UplinkMac, StringComparison.OrdinalIgnoreCase))) && Network.Translates(gateway.Address));
        }
    }

    private GatewayGuest? Forwards(Machine machine)
    {
        if (machine.Own.DiskFiles is not [_, var settings, ..]) return null;
        try
        {
            return GatewayGuest.Read(Disks.ReadBytes(settings, 0, (int)Math.Min(GatewayGuest.MostBytes, Disks.Read(settings).Size)));
        }
        catch (JobFailure)
        {
            return null;
        }
    }

    private Machine? Inside(Machine machine, GatewayGuest gateway, string inner) =>
        IPAddress.TryParse(inner, out var ip) ? Machines.Find(m => m != machine && !m.IsPlanned && m.State == RunState.Running && gateway.Legs.Any(l => l.Network.Contains(ip) && Network.Meet(machine, l.Mac, m, inner))) : null;
}
