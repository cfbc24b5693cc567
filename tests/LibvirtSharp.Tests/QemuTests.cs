using System.Diagnostics;

namespace LibvirtSharp.Tests;

/// <summary>The bindings against a paused QEMU machine with one small disk; needs a libvirtd that answers on qemu:///system.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class QemuTests : IAsyncLifetime
{
    private readonly string _name = "wls-" + Guid.NewGuid().ToString("N")[..8];
    private readonly string _folder = Directory.CreateTempSubdirectory("wls-").FullName;
    private LibvirtConnection _connection = null!;
    private LibvirtDomain _domain = null!;

    public async ValueTask InitializeAsync()
    {
        File.SetUnixFileMode(_folder, (UnixFileMode)0b111_111_111);
        using (var qemuImg = Process.Start("qemu-img", ["create", "-q", "-f", "qcow2", $"{_folder}/base.qcow2", "4M"]))
        {
            await qemuImg.WaitForExitAsync();
        }

        _connection = await LibvirtConnection.OpenAsync("qemu:///system");
        _domain = await _connection.CreateDomainAsync($"""
            <domain type='qemu'><name>{_name}</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os>
            <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{_folder}/base.qcow2'/><target dev='vda' bus='virtio'/></disk></devices></domain>
            """, DomainCreateFlags.StartPaused);
    }

    public async ValueTask DisposeAsync()
    {
        if (_domain is not null)
        {
            await _domain.DestroyAsync();
            _domain.Dispose();
        }

        if (_connection is not null)
        {
            await _connection.DisposeAsync();
        }

        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task The_monitor_answers_and_takes_descriptors()
    {
        Assert.Contains("prelaunch", await _domain.MonitorCommandAsync("""{"execute":"query-status"}"""));
        using var file = File.OpenHandle($"{_folder}/state", FileMode.Create, FileAccess.Write);
        using var reply = _domain.MonitorCommandWithFilesNow("""{"execute":"add-fd","arguments":{"fdset-id":7}}""", [(int)file.DangerousGetHandle()]);
        Assert.Contains("\"fdset-id\":7", reply.Json);
        Assert.Contains("return", _domain.MonitorCommandNow("""{"execute":"remove-fd","arguments":{"fdset-id":7}}"""));
    }

    [Fact]
    public async Task An_external_snapshot_is_committed_and_pivoted_back()
    {
        var events = System.Threading.Channels.Channel.CreateUnbounded<BlockJobEvent>();
        using var subscription = await _connection.SubscribeBlockJobAsync(e => events.Writer.TryWrite(e));
        using (_domain.CreateSnapshotNow($"<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='{_folder}/top.qcow2'/></disk></disks></domainsnapshot>",
            SnapshotCreateFlags.DiskOnly | SnapshotCreateFlags.NoMetadata | SnapshotCreateFlags.Atomic))
        {
            Assert.Contains("top.qcow2", await _domain.GetXmlAsync());
        }

        Assert.Equal(4ul << 20, (await _domain.GetBlockInfoAsync("vda")).Capacity);
        await _domain.BlockCommitAsync("vda", flags: BlockCommitFlags.Active);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        BlockJobEvent ready;
        do
        {
            ready = await events.Reader.ReadAsync(deadline.Token);
        }
        while (ready.DomainUuid != _domain.Uuid);
        Assert.Equal(("vda", BlockJobStatus.Ready), (ready.Disk, ready.Status));
        await _domain.BlockJobAbortAsync("vda", BlockJobAbortFlags.Pivot);
        Assert.Null(await _domain.GetBlockJobInfoAsync("vda"));
        Assert.DoesNotContain("top.qcow2", await _domain.GetXmlAsync());
    }

    [Fact]
    public async Task A_network_runs_between_definition_and_undefinition()
    {
        using var network = await _connection.DefineNetworkAsync($"<network><name>{_name}</name><bridge name='{_name}'/></network>");
        try
        {
            await network.CreateAsync();
            Assert.True(await network.IsActiveAsync());
            Assert.Equal(_name, await network.GetBridgeNameAsync());
            Assert.Empty(await network.GetDhcpLeasesAsync());
            await network.DestroyAsync();
            Assert.False(await network.IsActiveAsync());
        }
        finally
        {
            await network.UndefineAsync();
        }
    }
}
