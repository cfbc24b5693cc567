using System.Runtime.InteropServices;
using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <summary>A domain: one virtual machine, running or only defined.</summary>
public sealed unsafe partial class LibvirtDomain : IDisposable
{
    private readonly LibvirtConnection _connection;
    private readonly DomainHandle _handle;

    internal LibvirtDomain(LibvirtConnection connection, DomainHandle handle)
    {
        (_connection, _handle) = (connection, handle);
        // Sound: the handle is ours alone here, and libvirt needs 37 bytes for the text of a UUID.
        var uuid = stackalloc byte[37];
        Check.NotNegative(DomainNative.GetUuidString(handle.DangerousGetHandle(), uuid));
        Uuid = Guid.Parse(Marshal.PtrToStringUTF8((nint)uuid)!);
        Name = Check.Borrowed(DomainNative.GetName(handle.DangerousGetHandle()));
    }

    /// <summary>Gives up this reference; the object itself lives on in libvirt. Later calls throw <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => _handle.Dispose();

    /// <summary>Name at the time of lookup.</summary>
    public string Name { get; }

    /// <summary>UUID, which never changes.</summary>
    public Guid Uuid { get; }

    /// <summary>Number of the running domain, null while it is shut off.</summary>
    public Task<int?> GetIdAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => DomainNative.GetId(_handle) is var id && id == uint.MaxValue ? (int?)null : (int)id, cancellationToken);

    /// <summary>Starts the defined domain.</summary>
    public Task CreateAsync(DomainCreateFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.Create(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Stops the virtual processors.</summary>
    public Task SuspendAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => SuspendNow(), cancellationToken);

    /// <summary><see cref="SuspendAsync"/> on the calling thread, which it blocks.</summary>
    public void SuspendNow() => Check.NotNegative(DomainNative.Suspend(_handle));

    /// <summary>Lets the virtual processors go on.</summary>
    public Task ResumeAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => ResumeNow(), cancellationToken);

    /// <summary><see cref="ResumeAsync"/> on the calling thread, which it blocks.</summary>
    public void ResumeNow() => Check.NotNegative(DomainNative.Resume(_handle));

    /// <summary>Asks the guest to shut down; returns before it has.</summary>
    public Task ShutdownAsync(DomainShutdownFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.Shutdown(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Asks the guest to reboot; returns before it has.</summary>
    public Task RebootAsync(DomainRebootFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.Reboot(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Resets the machine as its reset button would.</summary>
    public Task ResetAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.Reset(_handle, 0)); }, cancellationToken);

    /// <summary>Ends the domain at once, as pulling the plug would.</summary>
    public Task DestroyAsync(DomainDestroyFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.Destroy(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Removes the definition.</summary>
    public Task UndefineAsync(DomainUndefineFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.Undefine(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Domain XML.</summary>
    public Task<string> GetXmlAsync(DomainXmlFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(DomainNative.GetXml(_handle, (uint)flags)), cancellationToken);

    /// <summary>State and its reason.</summary>
    public Task<DomainStateAndReason> GetStateAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(GetStateNow, cancellationToken);

    /// <summary><see cref="GetStateAsync"/> on the calling thread, which it blocks.</summary>
    public DomainStateAndReason GetStateNow()
    {
        Check.NotNegative(DomainNative.GetState(_handle, out var state, out var reason, 0));
        return new DomainStateAndReason((DomainState)state, reason);
    }

    /// <summary>Size and use.</summary>
    public Task<DomainInfo> GetInfoAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() =>
    {
        Check.NotNegative(DomainNative.GetInfo(_handle, out var info));
        return new DomainInfo((DomainState)info.State, info.MaxMemory.Value, info.Memory.Value, info.VirtualCpus, TimeSpan.FromTicks((long)(info.CpuTime / 100)));
    }, cancellationToken);

    /// <summary>True where the domain is defined.</summary>
    public Task<bool> IsPersistentAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Boolean(DomainNative.IsPersistent(_handle)), cancellationToken);

    /// <summary>True while it runs or is paused.</summary>
    public Task<bool> IsActiveAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Boolean(DomainNative.IsActive(_handle)), cancellationToken);

    /// <summary>Saves memory to a file and ends the domain.</summary>
    public Task SaveAsync(string path, string? xml = null, DomainSaveRestoreFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.Save(_handle, path, xml, (uint)flags)); }, cancellationToken);

    /// <summary>Adds a device.</summary>
    public Task AttachDeviceAsync(string xml, DomainDeviceModifyFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.AttachDevice(_handle, xml, (uint)flags)); }, cancellationToken);

    /// <summary>Asks the guest to let a device go; it is gone when the device-removed event comes.</summary>
    public Task DetachDeviceAsync(string xml, DomainDeviceModifyFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.DetachDevice(_handle, xml, (uint)flags)); }, cancellationToken);

    /// <summary>Changes a device.</summary>
    public Task UpdateDeviceAsync(string xml, DomainDeviceModifyFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.UpdateDevice(_handle, xml, (uint)flags)); }, cancellationToken);
}
