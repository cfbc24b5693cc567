using CsCheck;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Cim.Tests.Text;

public sealed class EmbeddedInstanceTests
{
    private const string Disk = StorageAllocationSettingData.ClassName;

    [Fact]
    public void Settings_are_written_as_hosts_take_them()
    {
        var text = EmbeddedInstance.Write(new CimObject(VirtualSystemSettingData.ClassName)
            .With(VirtualSystemSettingData.InstanceID, "Microsoft:94C7DF21-8D54-4B8A-9E1F-D5C2C6B1B6A0")
            .With(VirtualSystemSettingData.ElementName, "R&D <\"web\"> 'é'\u0001\r\n")
            .With(VirtualSystemSettingData.UserSnapshotType, (ushort)5)
            .With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, false)
            .With(VirtualSystemSettingData.AutomaticStartupActionDelay, CimTime.Lasting(TimeSpan.FromSeconds(90)))
            .With(VirtualSystemSettingData.Notes, ["weave 1", ""]));
        Assert.Equal("""
            <INSTANCE CLASSNAME="Msvm_VirtualSystemSettingData">
            <PROPERTY NAME="AutomaticSnapshotsEnabled" TYPE="boolean"><VALUE>false</VALUE></PROPERTY>
            <PROPERTY NAME="AutomaticStartupActionDelay" TYPE="datetime"><VALUE>00000000000130.000000:000</VALUE></PROPERTY>
            <PROPERTY NAME="ElementName" TYPE="string"><VALUE>R&amp;D &lt;"web"&gt; 'é'&#x1;&#xD;
            </VALUE></PROPERTY>
            <PROPERTY NAME="InstanceID" TYPE="string"><VALUE>Microsoft:94C7DF21-8D54-4B8A-9E1F-D5C2C6B1B6A0</VALUE></PROPERTY>
            <PROPERTY.ARRAY NAME="Notes" TYPE="string"><VALUE.ARRAY><VALUE>weave 1</VALUE><VALUE /></VALUE.ARRAY></PROPERTY.ARRAY>
            <PROPERTY NAME="UserSnapshotType" TYPE="uint16"><VALUE>5</VALUE></PROPERTY></INSTANCE>
            """.Replace(">\n<", "><", StringComparison.Ordinal), text);
    }

    [Fact]
    public void What_was_written_is_read_again() => Gen.String[Gen.Char.Where(c => !char.IsSurrogate(c) && c is not ('\0' or '\uFFFE' or '\uFFFF')), 0, 20].Array[0, 4].Sample(texts =>
    {
        var written = new CimObject(Disk).With(StorageAllocationSettingData.HostResource, texts).With(StorageAllocationSettingData.Limit, 18446744073709551615).With(StorageAllocationSettingData.Access, (ushort)3);
        var read = EmbeddedInstance.Read(EmbeddedInstance.Write(written));
        return read.ClassName == Disk && read.Properties.SequenceEqual(written.Properties);
    });

    [Fact]
    public void The_text_of_System_Management_is_read()
    {
        var read = EmbeddedInstance.Read("""
            <INSTANCE CLASSNAME="Msvm_StorageAllocationSettingData">
            <QUALIFIER NAME="dynamic" PROPAGATED="true" TYPE="boolean" TOSUBCLASS="false"><VALUE>TRUE</VALUE></QUALIFIER>
            <QUALIFIER NAME="provider" TYPE="string"><VALUE>VmmsWmiInstanceAndMethodProvider</VALUE></QUALIFIER>
            <PROPERTY NAME="__PATH" CLASSORIGIN="___SYSTEM" TYPE="string"><VALUE>\\HV1\root\virtualization\v2:Msvm_StorageAllocationSettingData.InstanceID="x"</VALUE></PROPERTY>
            <PROPERTY NAME="__PROPERTY_COUNT" CLASSORIGIN="___SYSTEM" TYPE="sint32"><VALUE>38</VALUE></PROPERTY>
            <PROPERTY.ARRAY NAME="__DERIVATION" CLASSORIGIN="___SYSTEM" TYPE="string"><VALUE.ARRAY><VALUE>CIM_SettingData</VALUE></VALUE.ARRAY></PROPERTY.ARRAY>
            <PROPERTY NAME="Access" CLASSORIGIN="CIM_StorageAllocationSettingData" TYPE="uint16"><QUALIFIER NAME="read" TYPE="boolean"><VALUE>TRUE</VALUE></QUALIFIER><VALUE>3</VALUE></PROPERTY>
            <PROPERTY NAME="Address" CLASSORIGIN="CIM_ResourceAllocationSettingData" PROPAGATED="true" TYPE="string"></PROPERTY>
            <PROPERTY NAME="AutomaticAllocation" TYPE="boolean"><VALUE>TRUE</VALUE></PROPERTY>
            <PROPERTY.ARRAY NAME="HostResource" TYPE="string"><VALUE.ARRAY><VALUE>D:\a&amp;b.vhdx</VALUE></VALUE.ARRAY></PROPERTY.ARRAY>
            <PROPERTY.ARRAY NAME="Connection" TYPE="string"></PROPERTY.ARRAY>
            </INSTANCE>
            """);
        Assert.Equal(Disk, read.ClassName);
        Assert.Equal(["Access", "AutomaticAllocation", "HostResource"], read.Properties.Keys);
        Assert.Equal([@"D:\a&b.vhdx"], read.List(StorageAllocationSettingData.HostResource));
        Assert.True(read.Find(StorageAllocationSettingData.AutomaticAllocation));
    }

    [Fact]
    public void The_serializers_text_of_two_bytes_a_character_is_read()
    {
        var read = EmbeddedInstance.Read("\uFEFF<INSTANCE CLASSNAME=\"Msvm_VirtualHardDiskSettingData\"><PROPERTY NAME=\"Path\" TYPE=\"string\" MODIFIED=\"TRUE\"><VALUE>D:\\x.vhdx</VALUE></PROPERTY>"
            + "<PROPERTY NAME=\"ParentTimestamp\" TYPE=\"datetime\" MODIFIED=\"TRUE\"><VALUE>20260102030405.000000+000</VALUE></PROPERTY><PROPERTY NAME=\"Caption\" TYPE=\"string\"></PROPERTY></INSTANCE>\0");
        Assert.Equal(@"D:\x.vhdx", read.Get(VirtualHardDiskSettingData.Path));
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), read.Find(VirtualHardDiskSettingData.ParentTimestamp)!.Value.Instant);
        Assert.Null(read["Caption"]);
    }

    [Fact]
    public void Text_made_by_hand_within_a_whole_message_is_read()
    {
        var read = EmbeddedInstance.Read("""
            <?xml version="1.0"?><!DOCTYPE CIM SYSTEM "http://example.invalid/cim.dtd">
            <CIM CIMVERSION="2.0" DTDVERSION="2.0"><DECLARATION><DECLGROUP><VALUE.OBJECT><INSTANCE CLASSNAME="Msvm_MemorySettingData">
            <PROPERTY NAME="VirtualQuantity" TYPE="uint64"><VALUE><![CDATA[512]]></VALUE></PROPERTY></INSTANCE></VALUE.OBJECT></DECLGROUP></DECLARATION></CIM>
            """);
        Assert.Equal(512ul, read.Find(MemorySettingData.VirtualQuantity));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a name")]
    [InlineData("<INSTANCE/>")]
    [InlineData("<CLASS NAME=\"x\"/>")]
    [InlineData("<INSTANCE CLASSNAME=\"x\"><PROPERTY NAME=\"a\" TYPE=\"uint16\"><VALUE>3</VALUE></PROPERTY>")]
    [InlineData("<INSTANCE CLASSNAME=\"x\"><PROPERTY NAME=\"a\" TYPE=\"uint16\"><VALUE>70000</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"x\"><PROPERTY NAME=\"a\" TYPE=\"boolean\"><VALUE>yes</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"x\"><PROPERTY NAME=\"a\" TYPE=\"uint16\"><VALUE>1</VALUE><VALUE>2</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"x\"><PROPERTY NAME=\"a\"><VALUE>1</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"x\"><PROPERTY TYPE=\"string\"><VALUE>1</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"x\"><PROPERTY NAME=\"a\" TYPE=\"string\"><VALUE>1</VALUE></PROPERTY><PROPERTY NAME=\"A\" TYPE=\"string\"><VALUE>1</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<!DOCTYPE x [<!ENTITY a \"b\">]><INSTANCE CLASSNAME=\"x\"><PROPERTY NAME=\"a\" TYPE=\"string\"><VALUE>&a;</VALUE></PROPERTY></INSTANCE>")]
    public void Anything_else_is_refused(string text) => Assert.Throws<FormatException>(() => EmbeddedInstance.Read(text));

    [Fact]
    public void Text_that_is_cut_anywhere_is_refused()
    {
        var text = EmbeddedInstance.Write(new CimObject(Disk).With(StorageAllocationSettingData.HostResource, ["a"]).With(StorageAllocationSettingData.Access, (ushort)3));
        for (var i = 0; i < text.Length; i++) Assert.Throws<FormatException>(() => EmbeddedInstance.Read(text[..i]));
    }

    [Fact]
    public void Deep_nesting_does_not_end_the_process()
    {
        var deep = string.Concat(Enumerable.Repeat("<VALUE.ARRAY>", 100_000));
        Assert.Throws<FormatException>(() => EmbeddedInstance.Read($"<INSTANCE CLASSNAME=\"x\"><PROPERTY.ARRAY NAME=\"a\" TYPE=\"string\">{deep}"));
    }
}

