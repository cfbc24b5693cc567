using WeaveHypervisor.HyperV;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Windows;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>The Hyper-V host that the service manages: that of this machine, or an imaginary one.</summary>
/// <param name="Imaginary">Null where it is Windows' own Hyper-V.</param>
/// <param name="Temporary">A folder that goes with the imaginary host.</param>
internal sealed record HyperVHost(ICimClient Client, IHostFiles Files, ImaginaryHyperV? Imaginary = null, string? Temporary = null) : IAsyncDisposable
{
    /// <summary>Opens the host of the setting Driver. Unsupported where there is no Hyper-V to be had.</summary>
    /// <param name="aside">An imaginary host is one of its own, not that of the service.</param>
    public static HyperVHost Open(WeaveOptions options, bool aside = false)
    {
        if (options.Driver == DriverNames.HyperVSimulator)
        {
            var temporary = aside ? Directory.CreateTempSubdirectory("weave-hyperv").FullName : null;
            var imaginary = new ImaginaryHyperV(temporary ?? Path.Combine(options.StatePath, "hyperv-simulator"), TimeProvider.System);
            if (!aside) imaginary.Record(options.HyperV);
            return new(imaginary.Host.Client, imaginary.Host.Files, imaginary, temporary);
        }
        return OperatingSystem.IsWindows() ? new(new MiClient(), new WindowsHostFiles())
            : throw new WeaveException(Fault.Unsupported, "There is no Hyper-V here: this is not Windows.", "Run it on the Hyper-V host; or set Weave:Driver (WEAVE_Driver) to hyperv-simulator, which has an imaginary one.");
    }

    /// <summary>Settings of the driver; an imaginary host has an image of gateways.</summary>
    public HyperVOptions SettingsOf(WeaveOptions options) => Imaginary is null || options.HyperV.GatewayImage is not null ? options.HyperV : options.HyperV with { GatewayImage = ImaginaryHyperV.GatewayImage };

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        if (Temporary is not null) Directory.Delete(Temporary, recursive: true);
    }
}
