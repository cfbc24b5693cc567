using System.Text.Json;
using WeaveHypervisor.Conformance.Stored;
using WeaveHypervisor.HyperV.Examining;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Traffic;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>An upgraded driver reads what the one before it has left on the host.</summary>
public class OldDocumentTests
{
    [Fact]
    public void Members_that_came_later_have_their_defaults_in_documents_of_before() => OldDocuments.AssertDefaults(typeof(HyperVDriver).Assembly);

    [Fact]
    public void No_member_that_came_later_is_demanded() => OldDocuments.AssertNothingNewIsDemanded(typeof(HyperVDriver).Assembly);

    /// <summary>As the first version with a record wrote it, of 2026-11-25.</summary>
    [Fact]
    public void What_a_self_test_found_before_it_listened_to_guests_is_not_proven_and_tells_no_answers()
    {
        var record = JsonSerializer.Deserialize("""
            {"schema":1,"testedAt":"2026-11-25T09:00:00+00:00","build":"20348","resumes":["Saved"],"savesPaused":true,"checksPaused":false,"takesAvhdxAsParent":false,"production":"BySetting",
            "exportSuspendsMerges":false,"grantsParents":true,"keepsIdentity":true}
            """, CapabilityJson.Default.CapabilityRecord)!;
        Assert.Empty(record.Proven);
        Assert.Empty(record.Answers);
        Assert.Equal(CaptureRoute.Saved, record.Route(outageAllowed: true));
    }

    [Fact]
    public void Ports_that_were_published_before_there_were_access_policies_are_open_to_all()
    {
        var endpoints = JsonSerializer.Deserialize("""
            [{"id":"route-00000001000000000000000000000000","protocol":"Tcp","listenAddress":"0.0.0.0","listenPort":8080,"targetAddress":"100.64.7.10","targetPort":80}]
            """, PublishedJson.Default.IReadOnlyListPublishedEndpoint)!;
        Assert.Null(Assert.Single(endpoints).Sources);
    }

    [Fact]
    public void A_definition_of_before_rules_of_ports_were_kept_has_none() =>
        Assert.Null(JsonSerializer.Deserialize("""{"settings":"a","parts":["b"]}""", DefinitionJson.Default.MachineDefinition)!.Rules);
}
