using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Cim.Tests.Text;

public sealed class WqlTests
{
    [Fact]
    public void A_query_without_conditions_selects_all() => Assert.Equal("SELECT * FROM Msvm_ComputerSystem", Wql.From(ComputerSystem.ClassName).ToString());

    [Fact]
    public void Conditions_are_joined_and_written_by_their_types() => Assert.Equal(
        "SELECT * FROM Msvm_ResourcePool WHERE Primordial = TRUE AND ResourceType = 31 AND ResourceSubType = 'Microsoft:Hyper-V:Virtual Hard Disk'",
        Wql.From(ResourcePool.ClassName).Where(ResourcePool.Primordial, true).Where(ResourcePool.ResourceType, (ushort)31).Where(ResourcePool.ResourceSubType, "Microsoft:Hyper-V:Virtual Hard Disk").ToString());

    [Fact]
    public void A_text_cannot_leave_its_quotes() => Assert.Equal(
        @"SELECT * FROM Msvm_VirtualSystemSettingData WHERE ElementName = 'a\' OR \'1\'=\'1 \""b\"" C:\\d\\'",
        Wql.From(VirtualSystemSettingData.ClassName).Where(VirtualSystemSettingData.ElementName, @"a' OR '1'='1 ""b"" C:\d\").ToString());

    [Fact]
    public void Patterns_are_meant_literally() => Assert.Equal(
        @"SELECT * FROM Msvm_ProcessorSettingData WHERE InstanceID LIKE 'Microsoft:100[%][_][[]x]\\%' AND InstanceID LIKE '%\\Default'",
        Wql.From(ProcessorSettingData.ClassName).WhereStarts(ProcessorSettingData.InstanceID, @"Microsoft:100%_[x]\").WhereEnds(ProcessorSettingData.InstanceID, @"\Default").ToString());
}
