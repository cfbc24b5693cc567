using System.Text.Json;
using WeaveHypervisor.Conformance.Stored;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Exporting;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>An upgraded service goes on with what the one before it has begun.</summary>
public class OldDocumentTests
{
    /// <summary>A weave from now whose capture is over, as the version of 2026-11-24 wrote it.</summary>
    private const string OldPlan = """
        {"environment":"lab","weave":"now","tag":"0102a0b0","snapshot":"snap-00000001000000000000000000000000",
        "capture":{"environment":"lab","weave":"main","snapshot":"snap-00000001000000000000000000000000","label":null,"memory":true,"quiesce":false,
        "request":{"environment":"lab","snapshot":"snap-00000001000000000000000000000000",
        "machines":[{"machine":{"name":"web","hypervisorName":"web","uuid":"00000001-0002-0003-0000-000000000000"},"exists":true,
        "volumes":[{"volume":"vda","target":"vda","head":{"id":"layer-00000001000000000000000000000000","path":"/pool/1.qcow2","format":"Qcow2","virtualSize":1073741824},"newHead":{"id":"layer-00000002000000000000000000000000","path":"/pool/2.qcow2","format":"Qcow2","virtualSize":1073741824}}],
        "flatPath":"/pool/web.ram","deviceStatePath":"/pool/web.state","base":null}],"memory":true,"quiesce":false},
        "blueprint":{"schema":1,
        "machines":[{"name":"web","definition":"\u003Cdomain/\u003E","memoryBytes":1073741824,"virtualCpus":2,
        "volumes":[{"name":"vda","target":"vda","virtualSize":1073741824}],"nics":[{"mac":"52:54:00:00:00:01","network":"lan","addresses":["10.0.0.2"]}],"memoryRefusal":null}],
        "networks":[{"name":"lan","gateway":null,"prefixLength":0,"gatewayMac":null,"domainName":null,"dhcp":false,"dhcpStart":null,"dhcpEnd":null,"leaseSeconds":3600,"hosts":[],"mtu":0}]},
        "result":{"at":"2026-11-24T12:00:00+00:00","consistency":"Machine","skew":"00:00:00.0010000",
        "machines":[{"name":"web","runState":"Running","memory":{"flatPath":"/pool/web.ram","deviceStatePath":"/pool/web.state","ramBytes":1073741824,"storedBytes":1048576,"sharesBase":false,"mainBlock":"pc.ram"},"method":"background","reason":null,"pause":"00:00:00.0200000","nics":[{"mac":"52:54:00:00:00:01","network":"lan","addresses":["10.0.0.2"]}]}]},
        "recorded":{"snapshot":"snap-00000001000000000000000000000000","environment":"lab","weave":"main","at":"2026-11-24T12:00:00+00:00","consistency":"Machine","skewMs":1,"longestPauseMs":20,"storedBytes":1048576,
        "machines":[{"name":"web","runState":"Running","method":"background","reason":null,"pauseMs":20,"memoryBytes":1048576}]}},
        "start":"Resume","uplink":"None","createdAt":"2026-11-24T12:00:00+00:00","expiresAt":null,
        "machines":[{"name":"web","hypervisorName":"lab.now.web","uuid":"00000004-0005-0006-0000-000000000000","layers":[{"volume":"vda","parent":"layer-00000001000000000000000000000000","layer":{"id":"layer-00000003000000000000000000000000","path":"/pool/3.qcow2","format":"Qcow2","virtualSize":1073741824}}]}],"startTried":false,
        "result":null}
        """;

    /// <summary>As the version of 2026-11-25 wrote it that was the first to export.</summary>
    private const string OldManifest = """
        {"format":"weave-export/1","id":"0123abcd","provider":"libvirt","createdAt":"2026-11-25T12:00:00+00:00","environment":"lab","weave":"main","snapshot":"snap-00000001000000000000000000000000",
        "at":"2026-11-25T11:00:00+00:00","consistency":"crash","machines":[{"name":"web","memoryBytes":134217728,"virtualCpus":1,"firmware":"bios","box":{"path":"boxes/web.box","bytes":100,"sha256":"aa"},
        "volumes":[{"name":"vda","target":"vda","bus":"virtio","virtualSize":1073741824,"image":"disk1.img","bytes":90,"sha256":"bb"}],"nics":[]}],
        "networks":[{"name":"lan","prefixLength":0,"dhcp":false,"leaseSeconds":3600,"hosts":[],"mtu":0}],"notCarried":[],"files":[{"path":"Vagrantfile","bytes":10,"sha256":"cc"}]}
        """;

    [Fact]
    public void Members_that_came_later_have_their_defaults_in_documents_of_before() => OldDocuments.AssertDefaults(typeof(WeavingJson).Assembly);

    [Fact]
    public void No_member_that_came_later_is_demanded() => OldDocuments.AssertNothingNewIsDemanded(typeof(WeavingJson).Assembly);

    [Fact]
    public void A_weave_that_was_being_made_has_no_state_files_and_no_rules_of_its_own()
    {
        var plan = JsonSerializer.Deserialize(OldPlan, WeavingJson.Default.CreatePlan)!;
        Assert.Empty(Assert.Single(plan.Machines).States);
        Assert.Null(plan.Rules);
        Assert.Empty(Assert.Single(plan.Capture!.Request!.Machines).States);
        Assert.Empty(Assert.Single(plan.Capture.Result!.Machines).States);
        Assert.Empty(Assert.Single(plan.Capture.Blueprint!.Machines).States);
        Assert.Equal(EnvironmentRules.None, plan.Capture.Blueprint.Rules);
        Assert.Null(Assert.Single(plan.Capture.Recorded!.Machines).Quiescing);
    }

    [Fact]
    public void A_manifest_of_before_there_were_keys_has_none()
    {
        var manifest = JsonSerializer.Deserialize(OldManifest, ExportJson.Default.ExportManifest)!;
        Assert.Null(Assert.Single(manifest.Machines).Key);
        Assert.Equal("Vagrantfile", Assert.Single(manifest.Files).Path);
    }
}
