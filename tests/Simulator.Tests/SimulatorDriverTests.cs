using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator.Tests;

/// <summary>The simulator keeps the driver contract.</summary>
public sealed class SimulatorDriverTests : DriverContract
{
    protected override DriverBench NewBench() => new SimulatorBench();

    internal sealed class SimulatorBench : DriverBench
    {
        private readonly SimulatedHost _host = new();

        public override IHypervisorDriver NewDriver() => new SimulatedHypervisor(_host);
        public override string CopyPrefix => "weave";
        public override int ServicePort => 80;
        public override (int, int) FreePorts => (8001, 8002);

        public override Task<IReadOnlyList<MachineRequest>> GiveMachinesAsync(int count, CancellationToken stop)
        {
            var machines = Enumerable.Range(1, count).Select(i => _host.AddUserMachine($"m{i}", $"10.20.30.{i + 10}")).ToList();
            _host.GiveAgent(machines[0].Uuid, SimulatedAgent.Works);
            return Task.FromResult<IReadOnlyList<MachineRequest>>([.. machines.Select(m => new MachineRequest(m.Name, m.HypervisorName))]);
        }

        public override Task<MachineRequest?> GiveRefusedMachineAsync(CancellationToken stop)
        {
            var machine = _host.AddUserMachine("odd", "10.20.30.99");
            _host.RefuseAdoption("odd", "it has a passed-through GPU");
            _host.RefuseAdoption("odd", "its disk is encrypted");
            return Task.FromResult<MachineRequest?>(new(machine.Name, machine.HypervisorName));
        }

        public override Task<MachineRequest> GiveMachineWithStateAsync(CancellationToken stop)
        {
            var machine = _host.AddUserMachine("uefi", "10.20.30.98", running: false);
            _host.GiveNvram(machine.Uuid, "factory");
            return Task.FromResult(new MachineRequest(machine.Name, machine.HypervisorName));
        }

        public override Task MarkStateAsync(MachineRef machine, string text, CancellationToken stop)
        {
            _host.WriteNvram(machine.Uuid, text);
            return Task.CompletedTask;
        }

        public override Task<bool> HasMarkAsync(MachineRef machine, string text, CancellationToken stop) => Task.FromResult(_host.ReadNvram(machine.Uuid).Contains(text, StringComparison.Ordinal));

        public override Task<GuestAnswer?> AskAsync(string address, bool expected, CancellationToken stop) => Task.FromResult(Answer(_host.Reach(address, ServicePort)));
        public override Task<GuestAnswer?> AskPortAsync(int port, bool expected, CancellationToken stop) => Task.FromResult(Answer(_host.AskPort(port)));

        public override Task OrderAsync(string address, string order, CancellationToken stop)
        {
            _host.Order(_host.Ask(address)!.Uuid, order);
            return Task.CompletedTask;
        }

        public override int? TakePort()
        {
            _host.ForeignListeners.Add("tcp 8009");
            return 8009;
        }

        public override Task KillAsync(MachineRef machine, CancellationToken stop)
        {
            _host.KillMachine(machine.Uuid);
            return Task.CompletedTask;
        }

        public override IReadOnlyList<(string What, Func<CancellationToken, Task> Do)> Damages(FenceTag fence) =>
        [
            ("a part is gone", _ =>
            {
                _host.DamageFence(fence, "its name server does not run");
                return Task.CompletedTask;
            }),
        ];

        public override ValueTask DisposeAsync()
        {
            _host.Dispose();
            return default;
        }

        private static GuestAnswer? Answer(SimulatedAnswer? answer) => answer is null ? null : new(answer.Nonce, answer.Orders);
    }
}

/// <summary>Exports and imports of the simulator: an image is a text file of the lines that guests wrote.</summary>
public sealed class SimulatorTransferTests : TransferContract
{
    protected override DriverBench NewBench() => new SimulatorDriverTests.SimulatorBench();

    protected override async Task<bool> HoldsAsync(string image, DiskFormat format, string order, CancellationToken stop) => (await File.ReadAllLinesAsync(image, stop)).Contains(order);
}
