using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.Conformance.Stored;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.State.Tests;

/// <summary>An upgraded service reads what the one before it has written. The documents here were written by the version of 2026-11-24.</summary>
public class OldDocumentTests
{
    private const string OldWeave = """
        {"environment":"lab","id":"past","tag":"0102a0b0","state":"Running","createdAt":"2026-11-24T12:00:00+00:00",
        "origin":"snap-00000001000000000000000000000000","source":"main",
        "blueprint":{"schema":1,
        "machines":[{"name":"web","definition":"\u003Cdomain/\u003E","memoryBytes":1073741824,"virtualCpus":2,
        "volumes":[{"name":"vda","target":"vda","virtualSize":1073741824}],"nics":[{"mac":"52:54:00:00:00:01","network":"lan","addresses":["10.0.0.2"]}],"memoryRefusal":null}],
        "networks":[{"name":"lan","gateway":"10.0.0.1","prefixLength":24,"gatewayMac":null,"domainName":null,
        "dhcp":true,"dhcpStart":null,"dhcpEnd":null,"leaseSeconds":600,"hosts":[{"mac":null,"address":"10.0.0.2","names":["web"]}],"mtu":0}]},
        "machines":[{"name":"web","hypervisorName":"weave.lab.past.web","uuid":"00000001-0002-0003-0000-000000000000",
        "heads":[{"volume":"vda","layer":"layer-00000003000000000000000000000000"}],"runState":"Running","startedBy":"memory shared","memoryFrom":"snap-00000001000000000000000000000000"}],
        "uplink":"Nat","addresses":[{"machine":"web","mac":"52:54:00:00:00:01","inner":"10.0.0.2","outer":"100.64.7.10"}],
        "expiresAt":null,"drift":["web is gone"],"isMain":false}
        """;

    private const string OldSnapshot = """
        {"id":"snap-00000001000000000000000000000000","environment":"lab","weave":"main","parent":null,"at":"2026-11-24T12:00:00+00:00","label":"before","state":"Ready","consistency":"Machine",
        "blueprint":{"schema":1,
        "machines":[{"name":"web","definition":"\u003Cdomain/\u003E","memoryBytes":1073741824,"virtualCpus":2,
        "volumes":[{"name":"vda","target":"vda","virtualSize":1073741824}],"nics":[{"mac":"52:54:00:00:00:01","network":"lan","addresses":["10.0.0.2"]}],"memoryRefusal":null}],
        "networks":[{"name":"lan","gateway":"10.0.0.1","prefixLength":24,"gatewayMac":null,"domainName":null,
        "dhcp":true,"dhcpStart":null,"dhcpEnd":null,"leaseSeconds":600,"hosts":[{"mac":null,"address":"10.0.0.2","names":["web"]}],"mtu":0}]},
        "machines":[{"name":"web","runState":"Running","frozen":[{"volume":"vda","layer":"layer-00000001000000000000000000000000"}],
        "memory":{"flatPath":"/pool/web.ram","deviceStatePath":"/pool/web.state","ramBytes":1073741824,"storedBytes":1048576,"sharesBase":false,"mainBlock":"pc.ram"},
        "method":"background","reason":null,"pause":"00:00:00.0200000"}],"skew":"00:00:00.0010000"}
        """;

    private const string OldEnvironment = """
        {"id":"lab","host":"local","adoptedAt":"2026-11-24T12:00:00+00:00","activeWeave":"past","previousActive":"main",
        "state":"Managed","adoptedVolumes":[{"machine":"web","volume":"vda","layer":"layer-00000001000000000000000000000000","path":"/images/web.qcow2","format":"Qcow2"}]}
        """;

    private const string OldLayer = """
        {"id":"layer-00000001000000000000000000000000","environment":"lab","machine":"web","volume":"vda","parent":null,
        "path":"/images/web.qcow2","format":"Qcow2","virtualSize":1073741824,"state":"Frozen","adopted":true,"createdAt":"2026-11-24T12:00:00+00:00"}
        """;

    private const string OldRoute = """
        {"id":"route-00000001000000000000000000000000","environment":"lab","weave":null,"machine":"web",
        "protocol":"Tcp","listenAddress":"0.0.0.0","listenPort":8080,"targetPort":80,"createdAt":"2026-11-24T12:00:00+00:00"}
        """;

    private const string OldOperation = """
        {"id":"op-00000001000000000000000000000000","kind":"weave.create","version":1,"environment":"lab","subject":"lab/past","requestedBy":"admin","createdAt":"2026-11-24T12:00:00+00:00","startedAt":null,"endedAt":null,
        "state":"Undone",
        "plan":"{}","steps":[{"name":"reserve",
        "state":"Undone","startedAt":"2026-11-24T12:00:00+00:00","endedAt":"2026-11-24T12:00:00+00:00","note":"taken back","attempts":2}],
        "error":{"fault":"Conflict","message":"It exists.","nextStep":"Use another.","holders":["past"]},"result":null,"cancelRequested":false,"resumptions":0,"revision":0,"isEnded":true}
        """;

    private const string OldToken = """{"name":"ci","role":"Operator","environments":null,"createdAt":"2026-11-24T12:00:00+00:00","expiresAt":null,"revokedAt":null}""";

    /// <summary>Read, and read once more from what is written of it then.</summary>
    private static T Read<T>(string document, JsonTypeInfo<T> type)
    {
        var read = StateJson.Read(document, type);
        Assert.Equivalent(read, StateJson.Read(StateJson.Write(read, type), type), strict: true);
        return read;
    }

    [Fact]
    public void Members_that_came_later_have_their_defaults_in_documents_of_before() => OldDocuments.AssertDefaults(typeof(StateJson).Assembly);

    [Fact]
    public void No_member_that_came_later_is_demanded() => OldDocuments.AssertNothingNewIsDemanded(typeof(StateJson).Assembly);

    [Fact]
    public void A_weave_of_before_rules_kept_heads_and_state_files_has_none_and_its_drift_is_told_without_a_kind()
    {
        var weave = Read(OldWeave, StateJson.Default.Weave);
        Assert.Empty(weave.Kept);
        Assert.Null(weave.Verifies);
        Assert.Equal(new Drift(DriftKind.Other, "web is gone", DateTimeOffset.MinValue), Assert.Single(weave.Drift));
        Assert.Equal("100.64.7.10", Assert.Single(weave.Addresses).Outer);
        Assert.Empty(Assert.Single(weave.Machines).States);
        Assert.Empty(Assert.Single(weave.Blueprint.Machines).States);
        Assert.Equal(EnvironmentRules.None, weave.Blueprint.Rules);
        Assert.Equal(600, Assert.Single(weave.Blueprint.Networks).LeaseSeconds);
    }

    [Fact]
    public void A_snapshot_of_before_policies_and_verifications_is_the_users_own_and_was_never_tried()
    {
        var snapshot = Read(OldSnapshot, StateJson.Default.Snapshot);
        Assert.False(snapshot.IsAutomatic);
        Assert.False(snapshot.ForWeave);
        Assert.Null(snapshot.Verification);
        var machine = Assert.Single(snapshot.Machines);
        Assert.Empty(machine.States);
        Assert.Null(machine.Quiescing);
        Assert.Equal(EnvironmentRules.None, snapshot.Blueprint.Rules);
    }

    [Fact]
    public void An_environment_and_its_layers_routes_operations_and_tokens_of_before_read_as_they_were()
    {
        Assert.Null(Read(OldEnvironment, StateJson.Default.ManagedEnvironment).Policy);
        Assert.Null(Read(OldLayer, StateJson.Default.Layer).FrozenBytes);
        Assert.Equal(80, Read(OldRoute, StateJson.Default.Route).TargetPort);
        Assert.Null(Read(OldOperation, StateJson.Default.Operation).Host);
        Assert.Null(Read(OldToken, StateJson.Default.AccessToken).Environments);
    }

    /// <summary>As the first version with policies wrote it, of 2026-11-25.</summary>
    [Fact]
    public void A_policy_of_before_verifications_verifies_nothing()
    {
        var policy = """{"every":"01:00:00","memory":false,"quiesce":true,"keepLast":3,"hourly":24,"daily":7}""";
        var environment = Read(OldEnvironment[..OldEnvironment.LastIndexOf('}')] + ",\"policy\":" + policy + "}", StateJson.Default.ManagedEnvironment);
        Assert.Equal(new SnapshotPolicy { Every = TimeSpan.FromHours(1), Memory = false, Quiesce = true, KeepLast = 3, Hourly = 24, Daily = 7, VerifyEvery = 0 }, environment.Policy);
    }
}
