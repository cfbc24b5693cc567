using System.Text.Json.Serialization;
using WeaveHypervisor.Service.Api;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>With an imaginary Hyper-V host its guests are asked here, because they are on no network: those that run, and the one behind a published port. Not part of the product's interface.</summary>
internal static class ImaginaryEndpoints
{
    public static void MapImaginaryHost(this WebApplication app)
    {
        var guests = app.MapGroup("/imaginary").WithMetadata(new Needs(AccessRole.Admin)).ExcludeFromDescription();
        guests.MapGet("/guests", (HyperVHost host) => Results.Json(host.Imaginary!.Guests(), ImaginaryJson.Default.IReadOnlyListImaginaryGuest));
        guests.MapGet("/ports/{port:int}", (int port, HyperVHost host) => Results.Json(host.Imaginary!.Behind(port), ImaginaryJson.Default.ImaginaryGuest));
        guests.MapPost("/ports/{port:int}/orders", (int port, HyperVHost host) => Results.Json(host.Imaginary!.Order(port), ImaginaryJson.Default.ImaginaryGuest));
    }
}

/// <summary>Asks the machines of an imaginary host: their addresses are nobody's on a network, and a request to one might leave this machine.</summary>
internal sealed class ImaginaryProber(HyperVHost host) : IProber
{
    /// <summary>At once: a modelled guest answers when it runs, at whatever port.</summary>
    public Task<string?> ProbeAsync(string address, ProbeSpec probe, CancellationToken stop) => Task.FromResult(host.Imaginary!.Host.Behind(address) is null ? "connection refused" : null);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ImaginaryGuest))]
[JsonSerializable(typeof(IReadOnlyList<ImaginaryGuest>))]
internal sealed partial class ImaginaryJson : JsonSerializerContext;
