using System.Security.Cryptography;
using System.Xml.Linq;
using LibvirtSharp;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Libvirt.Starting;

namespace WeaveHypervisor.Libvirt.Tests.Starting;

/// <summary>How libvirt makes sure of a copy's processor, with QEMUs that run no guest.</summary>
public sealed class CopyCreationTests : IAsyncDisposable
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private readonly string _name = "wvt" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(2)) + "-cpu";
    private readonly CopyCreation _creation = new(NullLogger.Instance);
    private LibvirtConnection? _connection;

    [Theory]
    [InlineData("<cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>", true)]
    [InlineData("<cpu mode='custom' match='exact' check='none'><model>Haswell</model></cpu>", true)]
    [InlineData("<cpu mode='custom' match='exact' check='none'><model>EPYC-Rome</model><topology sockets='1' dies='1' cores='2' threads='1'/></cpu>", true)]
    [InlineData("<cpu mode='host-model'/>", true)]
    [InlineData("<cpu mode='maximum'/>", true)]
    // What is in a model-specific register the words of CPUID do not say.
    [InlineData("<cpu mode='custom' match='exact' check='none'><model>Haswell</model><feature policy='require' name='rdctl-no'/></cpu>", false)]
    public async Task A_copy_has_its_originals_processor_and_libvirt_asks_little_where_that_is_enough(string cpu, bool shortly)
    {
        _connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: Stop);
        var (asked, original) = await LiveAsync(await _connection.CreateDomainAsync(Definition(XElement.Parse(cpu)), DomainCreateFlags.StartPaused, Stop));
        for (var twice = 0; twice < 2; twice++)
        {
            var (live, command) = await LiveAsync(await _creation.CreateAsync(_connection, Definition(asked.Element("cpu")!), Stop));
            Assert.Equal(shortly, live.Elements(DomainText.Qemu + "capabilities").Any());
            Assert.Equal(asked.Element("cpu")!.ToString(), live.Element("cpu")!.ToString());
            // libvirt asks for what it has written, feature by feature; both copies, short or not, are asked for alike.
            var (_, plain) = await LiveAsync(await _connection.CreateDomainAsync(Definition(asked.Element("cpu")!), DomainCreateFlags.StartPaused, Stop));
            Assert.Equal(plain, command);
        }
        Assert.NotEmpty(original);
    }

    [Fact]
    public async Task A_definition_of_a_machine_that_was_off_and_one_that_cannot_be_started_are_as_without()
    {
        _connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: Stop);
        var (live, _) = await LiveAsync(await _creation.CreateAsync(_connection, Definition(XElement.Parse("<cpu mode='custom' match='exact' check='none'><model>Haswell</model></cpu>")), Stop));
        Assert.Empty(live.Elements(DomainText.Qemu + "capabilities"));
        Assert.Equal("full", (string?)live.Element("cpu")!.Attribute("check"));
        var xml = Definition(live.Element("cpu")!).Replace("<emulator>/usr/bin/qemu-system-x86_64", "<emulator>/usr/bin/no-such-qemu", StringComparison.Ordinal);
        var with = await Assert.ThrowsAsync<LibvirtException>(() => _creation.CreateAsync(_connection, xml, Stop));
        var without = await Assert.ThrowsAsync<LibvirtException>(() => _connection.CreateDomainAsync(xml, DomainCreateFlags.StartPaused, Stop));
        Assert.Equal((without.Code, without.Message), (with.Code, with.Message));
        // A failure of another cause is no reason to take the long way from then on.
        (live, _) = await LiveAsync(await _creation.CreateAsync(_connection, Definition(live.Element("cpu")!), Stop));
        Assert.NotEmpty(live.Elements(DomainText.Qemu + "capabilities"));
    }

    [Theory]
    [InlineData("<cpu mode='maximum' check='none' migratable='on'/>", true)]
    [InlineData("<cpu check='partial' migratable='on' mode='maximum'>\n</cpu>", true)]
    [InlineData("<cpu mode='maximum' check='none' migratable='on'><feature policy='disable' name='vmx'/></cpu>", false)]
    [InlineData("<cpu mode='maximum' check='none' migratable='off'/>", false)]
    [InlineData("<cpu mode='custom' check='none' migratable='on'/>", false)]
    public void A_processor_that_was_written_down_otherwise_is_another_one(string live, bool same) =>
        Assert.Equal(same, CopyCreation.IsSame(XElement.Parse("<cpu mode='maximum' check='none' migratable='on'/>"), XElement.Parse(live)));

    private string Definition(XElement cpu) => $"""
        <domain type='qemu'><name>{_name}</name><memory unit='MiB'>32</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><features><acpi/></features>{cpu}
        <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><video><model type='none'/></video><memballoon model='none'/></devices></domain>
        """;

    /// <summary>The live definition and the words of QEMU's command line on the processor; the machine has ended then.</summary>
    private async Task<(XElement Live, string Command)> LiveAsync(LibvirtDomain domain)
    {
        using (domain)
        {
            var live = XElement.Parse(await domain.GetXmlAsync(cancellationToken: Stop));
            var words = (await File.ReadAllTextAsync($"/proc/{(await File.ReadAllTextAsync($"/run/libvirt/qemu/{_name}.pid", Stop)).Trim()}/cmdline", Stop)).Split('\0');
            await domain.DestroyAsync(cancellationToken: Stop);
            return (live, words[Array.IndexOf(words, "-cpu") + 1]);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is null) return;
        try
        {
            using var left = await _connection.LookupDomainAsync(_name, default);
            await left.DestroyAsync(cancellationToken: default);
        }
        catch (LibvirtException e) when (e.Code == VirErrorCode.NoDomain)
        {
            // As it should be.
        }
        await _connection.DisposeAsync();
    }
}
