using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Fences;
using WeaveHypervisor.HyperV.Volumes;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>
/// Every text of settings that is sent to a host for a fence with its gateway and a volume, as a golden file: what differs would only be seen on a real host. `WEAVE_GOLDEN=renew` writes it anew.
/// </summary>
public sealed partial class SentTextTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static string Golden([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "Golden", "fence-and-volume.txt");

    [Fact]
    public async Task Settings_are_sent_as_they_were_agreed()
    {
        using var stand = new Stand();
        var sent = new StringBuilder();
        var context = new DriverContext(stand.Options, new Listening(stand.Host.Client, sent), stand.Host.Files, stand.Clock, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        using var keeper = new FenceKeeper(context);
        await stand.Drive(keeper.MakeAsync(new()
        {
            Tag = FenceTag.Parse("00000102"), Environment = EnvironmentId.Parse("shop"), Weave = WeaveId.Parse("one"), Uplink = UplinkMode.Nat,
            Networks = [new() { Name = NetworkName.Parse("lan"), Gateway = "192.168.7.1", PrefixLength = 24 }], Machines = [new(MachineName.Parse("web"), [new("00:15:5d:07:00:20", NetworkName.Parse("lan"), ["192.168.7.20"])])],
        }, Stop));
        var machine = await stand.MachineAsync("web");
        stand.MakeDisk(@"C:\Disks\data.vhdx");
        await stand.Drive(new VolumePlugger(context).AttachAsync(machine, new(VolumeName.Parse("data"), "scsi0-1", new(LayerId.New(stand.Clock), @"C:\Disks\data.vhdx", DiskFormat.Vhdx, Stand.Size)), Stop));
        var now = Ids().Replace(sent.ToString(), m => m.Value == m.Value.ToUpperInvariant() ? "ID" : "id");
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Golden())!);
            await File.WriteAllTextAsync(Golden(), now, Stop);
        }
        Assert.Equal(await File.ReadAllTextAsync(Golden(), Stop), now);
    }

    [GeneratedRegex("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")]
    private static partial Regex Ids();

    /// <summary>Writes down what is sent.</summary>
    private sealed class Listening(ICimClient inner, StringBuilder sent) : PassingClient(inner)
    {
        public override Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, CancellationToken stop)
        {
            sent.Append(target.ClassName).Append('.').Append(call.Method).Append('\n');
            foreach (var (name, value) in call.Arguments)
                foreach (var element in value.Elements) sent.Append("  ").Append(name).Append(" = ").Append(element).Append('\n');
            return base.InvokeAsync(target, call, stop);
        }

        public override Task<CimObject> CreateAsync(string @namespace, CimObject instance, CancellationToken stop)
        {
            sent.Append("create ").Append(EmbeddedInstance.Write(instance)).Append('\n');
            return base.CreateAsync(@namespace, instance, stop);
        }
    }
}
