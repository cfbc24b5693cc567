using Microsoft.Extensions.Logging.Abstractions;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Definitions;

/// <summary>Which interfaces are on one wire, asked of the real libvirt with machines and networks that are only defined.</summary>
public sealed class LanTests
{
    [Fact]
    public async Task What_is_one_wire_is_one_network_whatever_it_is_called_by()
    {
        var stop = TestContext.Current.CancellationToken;
        var prefix = "wvtl" + Guid.NewGuid().ToString("N")[..4];
        var folder = Directory.CreateTempSubdirectory("weave-lan").FullName;
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: stop);
        await using var driver = new LibvirtDriver(new LibvirtDriverOptions { Prefix = "wvtl", Root = folder + "/root" }, TimeProvider.System, NullLoggerFactory.Instance);
        List<LibvirtNetwork> networks = [];
        List<LibvirtDomain> domains = [];
        try
        {
            networks.Add(await connection.DefineNetworkAsync($"<network><name>{prefix}-nat</name><forward mode='nat'/><bridge name='{prefix}n'/><ip address='10.96.7.1' netmask='255.255.255.0'/></network>", stop));
            networks.Add(await connection.DefineNetworkAsync($"<network><name>{prefix}-lan</name><forward mode='bridge'/><bridge name='{prefix}b'/></network>", stop));
            string[] interfaces =
            [
                $"<interface type='network'><mac address='52:54:00:96:00:01'/><source network='{prefix}-nat'/></interface><interface type='bridge'><mac address='52:54:00:96:00:02'/><source bridge='{prefix}b'/></interface>",
                $"<interface type='bridge'><mac address='52:54:00:96:00:03'/><source bridge='{prefix}n'/></interface><interface type='network'><mac address='52:54:00:96:00:04'/><source network='{prefix}-lan'/></interface>",
                $"<interface type='bridge'><mac address='52:54:00:96:00:05'/><source bridge='{prefix}b'/><vlan><tag id='7'/></vlan><virtualport type='openvswitch'/></interface><interface type='direct'><mac address='52:54:00:96:00:06'/><source dev='{prefix}e' mode='bridge'/></interface>",
            ];
            for (var i = 0; i < interfaces.Length; i++)
                domains.Add(await connection.DefineDomainAsync($"<domain type='qemu'><name>{prefix}-{i}</name><memory>65536</memory><os><type>hvm</type></os><devices>{interfaces[i]}</devices></domain>", cancellationToken: stop));

            var examined = await driver.ExamineAsync([.. domains.Select((d, i) => new MachineRequest(MachineName.Parse($"m{i}"), d.Name))], stop);
            Assert.Empty(examined.Refusals);
            Assert.Equal([$"{prefix}-nat", $"{prefix}b", $"{prefix}b-vlan7", $"{prefix}e"], examined.Blueprint.Networks.Select(n => n.Name.Text));
            Assert.Equal([$"{prefix}-nat", $"{prefix}b", $"{prefix}-nat", $"{prefix}b", $"{prefix}b-vlan7", $"{prefix}e"], examined.Blueprint.Machines.SelectMany(m => m.Nics).Select(n => n.Network.Text));
            // Where the host has no address on a wire, nobody stands for its gateway.
            Assert.Equal(["10.96.7.1", null, null, null], examined.Blueprint.Networks.Select(n => n.Gateway));
        }
        finally
        {
            foreach (var domain in domains)
                using (domain) await domain.UndefineAsync(cancellationToken: default);
            foreach (var network in networks)
                using (network) await network.UndefineAsync(default);
            Directory.Delete(folder, recursive: true);
        }
    }
}
