using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Hosting;

namespace WeaveHypervisor.Service.Tests.Hosting;

/// <summary>Settings are checked at start, and a wrong one is named.</summary>
public sealed class OptionTests
{
    [Theory]
    [InlineData("Listen", "http://0.0.0.0:7700")]
    [InlineData("Listen", "ftp://127.0.0.1")]
    [InlineData("StatePath", "relative")]
    [InlineData("Driver", "vmware")]
    [InlineData("Storage:Postgres", "Host=db")]
    [InlineData("Libvirt:Uri", "qemu+ssh://other/system")]
    [InlineData("Libvirt:Root", "/")]
    [InlineData("Libvirt:Prefix", "Not-A-Prefix")]
    [InlineData("Weaving:ReservedBytes", "-1")]
    [InlineData("Weaving:FirstPort", "80")]
    [InlineData("Weaving:MaxChainLength", "500")]
    public void A_wrong_setting_is_refused_by_its_name_with_what_to_use(string name, string value)
    {
        var refusal = Assert.Throws<WeaveException>(() => Composition.ReadOptions([$"--Weave:{name}={value}"]));
        Assert.Contains(name.Split(':')[^1], refusal.Message);
        Assert.False(string.IsNullOrWhiteSpace(refusal.NextStep));
    }

    [Fact]
    public void Rules_of_the_product_can_be_set()
    {
        var options = Composition.ReadOptions(["--Weave:Weaving:ReservedBytes=7", "--Weave:Weaving:LastPort=30001", "--Weave:Weaving:ShutdownPatience=00:00:05"]);
        Assert.Equal((7, 30001, TimeSpan.FromSeconds(5)), (options.Weaving.ReservedBytes, options.Weaving.LastPort, options.Weaving.ShutdownPatience));
    }

    [Fact]
    public async Task An_address_at_which_somebody_else_listens_ends_the_start_with_a_sentence_and_an_exit_code()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var folder = Directory.CreateTempSubdirectory("weave-listen-test");
        try
        {
            // A process of its own: a service that has ended leaves what is one for a whole process (Hangfire's log) behind.
            using var service = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "WeaveHypervisor.Service"),
                ["serve", "--Weave:Driver=simulator", $"--Weave:Listen=http://{other.LocalEndpoint}", $"--Weave:StatePath={Path.Combine(folder.FullName, "state")}"]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            var said = service.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await service.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await service.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(5, service.ExitCode);
            Assert.Contains($"Somebody else listens where the service should: http://{other.LocalEndpoint}.", await said, StringComparison.Ordinal);
            // A stack trace would hide that sentence from who starts the service.
            Assert.DoesNotContain("\n         at ", await said, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
