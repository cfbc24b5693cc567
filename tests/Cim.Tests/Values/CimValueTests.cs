using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Cim.Tests.Values;

public sealed class CimValueTests
{
    [Fact]
    public void A_value_has_the_kind_of_its_own_type()
    {
        Assert.Equal((CimKind.UInt16, false), (CimValue.Of((ushort)5).Kind, CimValue.Of((ushort)5).IsArray));
        Assert.Equal((CimKind.String, true), (CimValue.Of(new[] { "a" }).Kind, CimValue.Of(new[] { "a" }).IsArray));
        Assert.Throws<ArgumentException>(() => CimValue.Of(5m));
    }

    [Fact]
    public void Reading_another_type_names_both()
    {
        var error = Assert.Throws<InvalidCastException>(() => CimValue.Of(5).As<ushort>());
        Assert.Contains("sint32", error.Message);
        Assert.Contains("UInt16", error.Message);
    }

    [Fact]
    public void Arrays_are_equal_where_their_elements_are()
    {
        Assert.Equal(CimValue.Of(new ushort[] { 1, 2 }), CimValue.Of(new ushort[] { 1, 2 }));
        Assert.NotEqual(CimValue.Of(new ushort[] { 1, 2 }), CimValue.Of(new ushort[] { 2, 1 }));
        Assert.NotEqual(CimValue.Of(new ushort[] { 1 }), CimValue.Of((ushort)1));
    }

    [Theory]
    [InlineData("20260102030405.000006+060", "2026-01-02T03:04:05.0000060+01:00")]
    [InlineData("20260102030405.000000-480", "2026-01-02T03:04:05.0000000-08:00")]
    [InlineData("16010101000000.000000+000", "1601-01-01T00:00:00.0000000+00:00")]
    public void An_instant_has_25_characters(string text, string iso)
    {
        Assert.True(CimTime.TryParse(text, out var time));
        Assert.Equal(DateTimeOffset.Parse(iso), time.Instant);
        Assert.Equal(text, time.ToString());
    }

    [Fact]
    public void An_interval_has_25_characters()
    {
        var time = CimTime.Lasting(new TimeSpan(1, 2, 3, 4) + TimeSpan.FromMicroseconds(5));
        Assert.Equal("00000001020304.000005:000", time.ToString());
        Assert.True(CimTime.TryParse(time.ToString(), out var read));
        Assert.Equal(time, read);
    }

    [Theory]
    [InlineData("20261302030405.000000+000")]
    [InlineData("2026010203040*.000000+000")]
    [InlineData("00010101000000.000000+800")]
    [InlineData("99999999235959.999999:000")]
    [InlineData("20260102030405.000000")]
    [InlineData("")]
    public void What_is_no_time_is_refused(string text) => Assert.False(CimTime.TryParse(text, out _));

    [Fact]
    public void An_object_is_changed_by_copies()
    {
        var a = new CimObject(VirtualSystemSettingData.ClassName).With(VirtualSystemSettingData.ElementName, "web");
        var b = a.With(VirtualSystemSettingData.UserSnapshotType, (ushort)5).With(VirtualSystemSettingData.ElementName, null);
        Assert.Equal("web", a.Get(VirtualSystemSettingData.ElementName));
        Assert.Null(a.Find(VirtualSystemSettingData.UserSnapshotType));
        Assert.Equal((ushort)5, b.Find(VirtualSystemSettingData.UserSnapshotType));
        Assert.Null(b.Get(VirtualSystemSettingData.ElementName));
        Assert.Empty(b.List(VirtualSystemSettingData.Notes));
    }

    [Fact]
    public void A_call_has_the_schemas_names_and_text_for_settings()
    {
        var call = VirtualSystemManagementService.ModifyResourceSettings([new CimObject(StorageAllocationSettingData.ClassName).With(StorageAllocationSettingData.HostResource, [@"D:\a.vhdx"])]);
        Assert.Equal("ModifyResourceSettings", call.Method);
        Assert.Equal(["ResourceSettings"], call.Arguments.Keys);
        Assert.Equal(@"<INSTANCE CLASSNAME=""Msvm_StorageAllocationSettingData""><PROPERTY.ARRAY NAME=""HostResource"" TYPE=""string""><VALUE.ARRAY><VALUE>D:\a.vhdx</VALUE></VALUE.ARRAY></PROPERTY.ARRAY></INSTANCE>",
            Assert.Single(call.Arguments["ResourceSettings"].As<string[]>()));
    }
}
