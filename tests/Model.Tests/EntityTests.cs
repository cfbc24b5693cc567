namespace WeaveHypervisor.Model.Tests;

public sealed class EntityTests
{
    private static MachineBlueprint Machine(string name) => new() { Name = MachineName.Parse(name), Definition = "", MemoryBytes = 0, VirtualCpus = 1, Volumes = [], Nics = [] };

    [Fact]
    public void A_machine_is_found_by_its_name_and_a_refusal_lists_those_there_are()
    {
        var blueprint = new EnvironmentBlueprint { Machines = [Machine("web"), Machine("db")], Networks = [] };
        Assert.Same(blueprint.Machines[1], blueprint.Machine(MachineName.Parse("db")));
        var refusal = Assert.Throws<WeaveException>(() => blueprint.Machine(MachineName.Parse("DB")));
        Assert.Equal((Fault.NotFound, "Use one of: web, db."), (refusal.Fault, refusal.NextStep));
    }

    [Fact]
    public void Only_the_weave_of_the_originals_is_main()
    {
        Weave Named(string id) => new()
        {
            Environment = EnvironmentId.Parse("lab"), Id = WeaveId.Parse(id), Tag = FenceTag.New(), State = WeaveState.Running, CreatedAt = DateTimeOffset.UnixEpoch,
            Blueprint = new() { Machines = [], Networks = [] }, Machines = [],
        };
        Assert.True(Named("main").IsMain);
        Assert.False(Named("main-2").IsMain);
    }

    [Fact]
    public void A_layer_is_known_to_drivers_by_what_they_need_to_open_it()
    {
        var layer = new Layer
        {
            Id = LayerId.New(Clocks.Noon()), Environment = EnvironmentId.Parse("lab"), Machine = MachineName.Parse("web"), Volume = VolumeName.Parse("vda"), Path = "/pool/a.vhdx",
            Format = DiskFormat.Vhdx, VirtualSize = 4096, State = LayerState.Frozen, CreatedAt = DateTimeOffset.UnixEpoch,
        };
        Assert.Equal(new LayerRef(layer.Id, "/pool/a.vhdx", DiskFormat.Vhdx, 4096), layer.ToRef());
    }

    [Fact]
    public void A_new_blueprint_says_the_schema_of_this_version() => Assert.Equal(EnvironmentBlueprint.CurrentSchema, new EnvironmentBlueprint { Machines = [], Networks = [] }.Schema);
}
