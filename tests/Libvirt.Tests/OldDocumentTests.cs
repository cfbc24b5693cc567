using System.Text.Json;
using WeaveHypervisor.Conformance.Stored;
using WeaveHypervisor.Libvirt.Fences;

namespace WeaveHypervisor.Libvirt.Tests;

/// <summary>An upgraded driver reads what the one before it has left on the host.</summary>
public class OldDocumentTests
{
    [Fact]
    public void Members_that_came_later_have_their_defaults_in_documents_of_before() => OldDocuments.AssertDefaults(typeof(LibvirtDriver).Assembly);

    [Fact]
    public void No_member_that_came_later_is_demanded() => OldDocuments.AssertNothingNewIsDemanded(typeof(LibvirtDriver).Assembly);

    [Fact]
    public void The_fence_of_a_weave_of_before_2026_11_25_has_no_addresses_of_its_gateways_legs()
    {
        var record = JsonSerializer.Deserialize("""
            {
              "Tag": "0102a0b0",
              "Subnet": "100.64.7",
              "Addresses": [
                {
                  "Machine": "web",
                  "Mac": "52:54:00:00:00:01",
                  "Inner": "10.0.0.2",
                  "Outer": "100.64.7.10"
                }
              ],
              "HostAddress": "100.64.7.1",
              "GatewayAddress": "100.64.7.2"
            }
            """, FenceJson.Default.FenceRecord)!;
        Assert.Empty(record.GatewayMacs);
        Assert.Equal("100.64.7.10", Assert.Single(record.Addresses).Outer);
    }
}
