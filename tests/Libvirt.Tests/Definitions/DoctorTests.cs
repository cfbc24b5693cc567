using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Inspecting;

namespace WeaveHypervisor.Libvirt.Tests.Definitions;

/// <summary>What the doctor says of a host, asked of the real libvirt with machines that are only defined.</summary>
public sealed class DoctorTests
{
    [Fact]
    public async Task That_there_is_no_swtpm_matters_to_machines_with_an_emulated_TPM_alone_which_are_named()
    {
        var stop = TestContext.Current.CancellationToken;
        var prefix = "wvtd" + Guid.NewGuid().ToString("N")[..4];
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: stop);
        List<LibvirtDomain> domains = [];
        try
        {
            foreach (var (name, device) in new[] { ("plain", ""), ("tpm", "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>") })
                domains.Add(await connection.DefineDomainAsync($"<domain type='qemu'><name>{prefix}-{name}</name><memory>65536</memory><os><type machine='q35'>hvm</type></os><devices>{device}</devices></domain>", cancellationToken: stop));
            var findings = new List<Finding>();
            await HostInspector.MissTpmAsync(connection, findings, stop);
            var finding = Assert.Single(findings);
            Assert.Equal((FindingLevel.Warning, "swtpm"), (finding.Level, finding.Subject));
            Assert.Contains($"{prefix}-tpm", finding.Text, StringComparison.Ordinal);
            Assert.DoesNotContain($"{prefix}-plain", finding.Text, StringComparison.Ordinal);
        }
        finally
        {
            foreach (var domain in domains)
                using (domain) await domain.UndefineAsync(cancellationToken: default);
        }
    }
}
