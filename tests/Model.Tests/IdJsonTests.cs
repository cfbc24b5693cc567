using System.Text.Json;

namespace WeaveHypervisor.Model.Tests;

public sealed class IdJsonTests
{
    private sealed record Document(WeaveId Weave, SnapshotId? Origin, IReadOnlyDictionary<MachineName, FenceTag> Tags);

    private static readonly JsonSerializerOptions Web = new(JsonSerializerDefaults.Web);

    [Fact]
    public void Ids_are_written_as_strings_and_as_keys_and_read_back_equal()
    {
        var origin = SnapshotId.New(Clocks.Noon());
        var document = new Document(WeaveId.Parse("past"), origin, new Dictionary<MachineName, FenceTag> { [MachineName.Parse("Web.1")] = FenceTag.Parse("0123abcd") });
        var json = JsonSerializer.Serialize(document, Web);
        Assert.Equal($$$"""{"weave":"past","origin":"{{{origin}}}","tags":{"Web.1":"0123abcd"}}""", json);
        Assert.Equivalent(document, JsonSerializer.Deserialize<Document>(json, Web), strict: true);
    }

    [Fact]
    public void An_id_that_is_not_there_stays_absent() =>
        Assert.Null(JsonSerializer.Deserialize<Document>("""{"weave":"past","origin":null,"tags":{}}""", Web)!.Origin);

    [Theory]
    [InlineData("""{"weave":"PAST","tags":{}}""")]
    [InlineData("""{"weave":"","tags":{}}""")]
    [InlineData("""{"weave":null,"tags":{}}""")]
    [InlineData("""{"weave":"past","origin":"snap-1","tags":{}}""")]
    [InlineData("""{"weave":"past","tags":{"../web":"0123abcd"}}""")]
    [InlineData("""{"weave":"past","tags":{"":"0123abcd"}}""")]
    [InlineData("""{"weave":"past","tags":{"web":"0123ABCD"}}""")]
    public void A_text_that_is_no_id_is_refused_as_the_request_that_it_came_in(string json) =>
        Assert.Equal(Fault.InvalidRequest, Assert.Throws<WeaveException>(() => JsonSerializer.Deserialize<Document>(json, Web)).Fault);

    [Theory]
    [InlineData("""{"weave":1,"tags":{}}""")]
    [InlineData("""{"weave":["past"],"tags":{}}""")]
    [InlineData("""{"weave":{},"tags":{}}""")]
    public void What_is_no_string_is_malformed_JSON_and_no_crash(string json) => Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<Document>(json, Web));

    /// <summary>The whole of the entity with the most members, in and out again: a member that the serialiser cannot set would be lost in the database.</summary>
    [Fact]
    public void A_weave_is_read_back_as_it_was_written()
    {
        var layer = LayerId.New(Clocks.Noon());
        var weave = new Weave
        {
            Environment = EnvironmentId.Parse("lab"), Id = WeaveId.Parse("past"), Tag = FenceTag.Parse("0123abcd"), State = WeaveState.Paused, CreatedAt = Clocks.Noon().GetUtcNow(),
            Origin = SnapshotId.New(Clocks.Noon()), Source = Weave.Main, Uplink = UplinkMode.Nat, ExpiresAt = Clocks.Noon().GetUtcNow().AddHours(1), Drift = [new(DriftKind.Gone, "web is gone", Clocks.Noon().GetUtcNow())],
            Addresses = [new(MachineName.Parse("web"), "52:54:00:00:00:01", "10.0.0.2", "100.64.1.2")],
            Machines = [new() { Name = MachineName.Parse("web"), HypervisorName = "w.lab.past.web", Uuid = Guid.Parse("00000000-0000-0000-0000-000000000001"), Heads = [new(VolumeName.Parse("vda"), layer)], RunState = RunState.Paused, StartedBy = "memory shared" }],
            Blueprint = new()
            {
                Machines = [new() { Name = MachineName.Parse("web"), Definition = "<domain>&</domain>", MemoryBytes = 1L << 40, VirtualCpus = 2, Volumes = [new() { Name = VolumeName.Parse("vda"), Target = "vda", VirtualSize = long.MaxValue }], Nics = [new("52:54:00:00:00:01", NetworkName.Parse("n"), ["10.0.0.2"])], MemoryRefusal = "a host device" }],
                Networks = [new() { Name = NetworkName.Parse("n"), Gateway = "10.0.0.1", PrefixLength = 24, Dhcp = true, Hosts = [new(null, "10.0.0.9", ["db"])], Mtu = 9000 }],
            },
        };
        Assert.Equivalent(weave, JsonSerializer.Deserialize<Weave>(JsonSerializer.Serialize(weave, Web), Web), strict: true);
    }

    [Fact]
    public void Drift_that_an_earlier_version_wrote_is_read_and_a_kind_that_a_later_one_knows_is_no_error()
    {
        Assert.Equal(new Drift(DriftKind.Other, "web is gone", DateTimeOffset.MinValue), JsonSerializer.Deserialize<Drift>("\"web is gone\"", Web));
        Assert.Equal(DriftKind.Other, JsonSerializer.Deserialize<Drift>("""{"kind":"Bewitched","text":"t","foundAt":"2030-01-01T12:00:00Z"}""", Web)!.Kind);
    }
}
