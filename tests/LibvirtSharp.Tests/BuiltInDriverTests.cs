using LibvirtSharp.Native;

namespace LibvirtSharp.Tests;

/// <summary>The bindings against libvirt's built-in test driver, which needs no daemon.</summary>
public sealed class BuiltInDriverTests
{
    private static string DomainXml(string name) => $"<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>";

    // Every connection to test:///default of one process shares one host, so each test makes its own domain.
    private static Task<LibvirtConnection> OpenAsync() => LibvirtConnection.OpenAsync("test:///default");

    [Fact]
    public async Task A_connection_tells_about_its_host()
    {
        await using var connection = await OpenAsync();
        Assert.True(await connection.IsAliveAsync());
        Assert.True(await connection.GetLibVersionAsync() >= new Version(6, 0));
        Assert.True((await connection.GetNodeInfoAsync()).Cpus > 0);
        Assert.Contains("<capabilities>", await connection.GetCapabilitiesAsync());
        Assert.Equal("test:///default", await connection.GetUriAsync());
        Assert.NotEmpty(await connection.GetHostnameAsync());
    }

    [Fact]
    public async Task A_domain_lives_from_definition_to_undefinition()
    {
        await using var connection = await OpenAsync();
        using var domain = await connection.DefineDomainAsync(DomainXml("wls-life"));
        await domain.CreateAsync();
        Assert.Equal(DomainState.Running, domain.GetStateNow().State);
        domain.SuspendNow();
        Assert.Equal(new DomainStateAndReason(DomainState.Paused, (int)DomainPausedReason.User), await domain.GetStateAsync());
        await domain.ResumeAsync();
        Assert.NotNull(await domain.GetIdAsync());
        using (var same = await connection.LookupDomainAsync(domain.Uuid))
        {
            Assert.Equal("wls-life", same.Name);
        }

        Assert.Contains("wls-life", await domain.GetXmlAsync());
        Assert.Equal(1024ul, (await domain.GetInfoAsync()).MaxMemoryKiB);
        await domain.DestroyAsync();
        Assert.Null(await domain.GetIdAsync());
        await domain.UndefineAsync();
        var failure = await Assert.ThrowsAsync<LibvirtException>(() => connection.LookupDomainAsync("wls-life"));
        Assert.Equal(VirErrorCode.NoDomain, failure.Code);
    }

    [Fact]
    public async Task Lifecycle_events_arrive_until_the_subscription_ends()
    {
        await using var connection = await OpenAsync();
        var suspended = new TaskCompletionSource<LifecycleEvent>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var subscription = await connection.SubscribeLifecycleAsync(e =>
        {
            if (e is { DomainName: "wls-events", Type: LifecycleEventType.Suspended })
            {
                suspended.TrySetResult(e);
            }

            throw new InvalidOperationException("a handler's exception stays out of native code");
        });
        using var domain = await connection.CreateDomainAsync(DomainXml("wls-events"));
        await domain.SuspendAsync();
        Assert.Equal(domain.Uuid, (await suspended.Task.WaitAsync(TimeSpan.FromSeconds(20))).DomainUuid);
        await domain.DestroyAsync();
    }

    [Fact]
    public async Task Networks_and_pools_are_listed_with_their_volumes()
    {
        await using var connection = await OpenAsync();
        using var network = await connection.LookupNetworkAsync("default");
        Assert.True(await network.IsActiveAsync());
        Assert.NotEmpty(await network.GetBridgeNameAsync());
        using var pool = await connection.LookupStoragePoolAsync("default-pool");
        Assert.True((await pool.GetInfoAsync()).Capacity > 0);
        using var volume = await pool.CreateVolumeAsync("<volume><name>wls-volume</name><capacity>1048576</capacity></volume>");
        Assert.Equal(1048576ul, (await volume.GetInfoAsync()).Capacity);
        using (var same = await connection.LookupStorageVolumeByPathAsync(await volume.GetPathAsync()))
        {
            Assert.Equal("wls-volume", same.Name);
        }

        await volume.DeleteAsync();
    }

    [Fact]
    public async Task A_disposed_object_or_connection_refuses_calls()
    {
        var connection = await OpenAsync();
        var domain = await connection.LookupDomainAsync("test");
        domain.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => domain.GetStateAsync());
        await connection.DisposeAsync();
        await connection.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => connection.IsAliveAsync());
    }

    [Fact]
    public async Task Two_hundred_calls_at_once_share_a_bounded_number_of_threads()
    {
        await using var connection = await OpenAsync();
        using var domain = await connection.LookupDomainAsync("test");
        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => domain.GetXmlAsync()));
        Assert.All(answers, a => Assert.Contains("<name>test</name>", a));
    }

    [Fact]
    public async Task A_cancelled_wait_ends_at_once_and_the_late_result_is_disposed()
    {
        using var scheduler = new NativeCallScheduler(1);
        using var gate = new ManualResetEventSlim();
        using var begun = new ManualResetEventSlim();
        using var cancel = new CancellationTokenSource();
        var late = new Late();
        var wait = scheduler.RunAsync(() =>
        {
            begun.Set();
            gate.Wait();
            return late;
        }, cancel.Token);
        begun.Wait();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait);
        gate.Set();
        await late.Disposed.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(1, scheduler.Threads);
    }

    [Fact]
    public void A_missing_library_is_named_together_with_what_to_install()
    {
        var failure = Assert.Throws<LibvirtMissingException>(() => LibvirtLibrary.Load(["libvirt-that-is-not-there.so.0"]));
        Assert.Contains("libvirt-that-is-not-there.so.0 was not found: install libvirt0", failure.Message);
    }

    private sealed class Late : IDisposable
    {
        public TaskCompletionSource Disposed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Dispose() => Disposed.TrySetResult();
    }
}
