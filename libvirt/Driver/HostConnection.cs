using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>
/// A connection to libvirtd: one that all parts of the driver share, and those of <see cref="Agents.GuestAgent"/>. Opened by the first call, opened anew by the next call after libvirtd died.
/// </summary>
/// <param name="threads">Calls that may be under way at once; null: as many as the bindings take by themselves.</param>
internal sealed class HostConnection(string uri, int? threads = null) : IAsyncDisposable
{
    private static readonly TimeSpan OpenPatience = TimeSpan.FromSeconds(15);
    private readonly SemaphoreSlim _gate = new(1);
    // Calls of others may still be under way on a lost connection, so it is closed only with the driver.
    private readonly List<LibvirtConnection> _lost = [];
    private LibvirtConnection? _connection;
    private bool _disposed;

    /// <summary>The live connection. Unavailable, with what to do, where libvirtd does not answer or libvirt is not installed.</summary>
    public async Task<LibvirtConnection> OpenAsync(CancellationToken stop)
    {
        await _gate.WaitAsync(stop).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_connection is { } known)
            {
                if (await IsAliveAsync(known, stop).ConfigureAwait(false)) return known;
                _lost.Add(known);
                _connection = null;
            }
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
            patience.CancelAfter(OpenPatience);
            try
            {
                return _connection = await LibvirtConnection.OpenAsync(uri, maxThreads: threads, cancellationToken: patience.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!stop.IsCancellationRequested)
            {
                throw LibvirtFaults.Dead(uri, "it did not answer in time");
            }
            catch (LibvirtException error)
            {
                throw LibvirtFaults.Dead(uri, error.Message, error);
            }
            catch (LibvirtMissingException error)
            {
                throw LibvirtFaults.Translate(error);
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>
    /// Runs <paramref name="call"/> on the connection and translates libvirt's errors. <paramref name="tried"/> completes "Could not …", for example "pause machine 'web'".
    /// </summary>
    public async Task<T> CallAsync<T>(string tried, Func<LibvirtConnection, Task<T>> call, CancellationToken stop)
    {
        var connection = await OpenAsync(stop).ConfigureAwait(false);
        try
        {
            return await call(connection).ConfigureAwait(false);
        }
        catch (LibvirtException error)
        {
            throw LibvirtFaults.Translate(error, tried);
        }
        catch (LibvirtMissingException error)
        {
            throw LibvirtFaults.Translate(error);
        }
    }

    /// <inheritdoc cref="CallAsync{T}"/>
    public Task CallAsync(string tried, Func<LibvirtConnection, Task> call, CancellationToken stop) => CallAsync(tried, async connection =>
    {
        await call(connection).ConfigureAwait(false);
        return true;
    }, stop);

    /// <summary>
    /// The domain of that UUID, which the caller disposes; null where there is none. Where its name is another than <paramref name="machine"/> says: Conflict.
    /// </summary>
    public async Task<LibvirtDomain?> FindDomainAsync(MachineRef machine, CancellationToken stop)
    {
        var domain = await CallAsync($"look up machine {Ids.Quote(machine.HypervisorName)}", async connection =>
        {
            try
            {
                return await connection.LookupDomainAsync(machine.Uuid, stop).ConfigureAwait(false);
            }
            catch (LibvirtException error) when (error.Code == VirErrorCode.NoDomain)
            {
                return null;
            }
        }, stop).ConfigureAwait(false);
        if (domain is null || domain.Name == machine.HypervisorName) return domain;
        var name = domain.Name;
        domain.Dispose();
        throw new WeaveException(Fault.Conflict, $"The domain with UUID {machine.Uuid} is called {Ids.Quote(name)}, not {Ids.Quote(machine.HypervisorName)}.", "Rename the domain back: its name is part of what was adopted.");
    }

    /// <summary>As <see cref="FindDomainAsync"/>; NotFound where there is none.</summary>
    public async Task<LibvirtDomain> GetDomainAsync(MachineRef machine, CancellationToken stop) => await FindDomainAsync(machine, stop).ConfigureAwait(false)
        ?? throw new WeaveException(Fault.NotFound, $"libvirt has no domain {Ids.Quote(machine.HypervisorName)} with UUID {machine.Uuid}.", "Look at `virsh list --all`; a copy that is off has no domain.");

    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_disposed) return;
            _disposed = true;
            if (_connection is { } last) _lost.Add(last);
            _connection = null;
            foreach (var connection in _lost) await connection.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            _gate.Release();
        }
    }

    private static async Task<bool> IsAliveAsync(LibvirtConnection connection, CancellationToken stop)
    {
        try
        {
            return await connection.IsAliveAsync(stop).ConfigureAwait(false);
        }
        catch (LibvirtException)
        {
            return false;
        }
    }
}
