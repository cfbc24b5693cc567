using CsCheck;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Cim.Tests.Values;

public sealed class CimPathTests
{
    private const string V2 = @"root\virtualization\v2";

    [Fact]
    public void A_path_is_written_with_its_keys_in_the_order_of_their_names() => Assert.Equal(
        @"\\HV1\root\virtualization\v2:Msvm_ComputerSystem.CreationClassName=""Msvm_ComputerSystem"",Name=""94C7DF21-8D54-4B8A-9E1F-D5C2C6B1B6A0""",
        CimPath.To("HV1", "root/virtualization/v2", ComputerSystem.ClassName, ("Name", "94C7DF21-8D54-4B8A-9E1F-D5C2C6B1B6A0"), ("CreationClassName", ComputerSystem.ClassName)).ToString());

    [Fact]
    public void Backslashes_and_quotes_within_a_key_have_a_backslash_before_them() => Assert.Equal(
        @"\\.\root\virtualization\v2:Msvm_StorageAllocationSettingData.InstanceID=""Microsoft:A\\83F8638B\\0\\0\\L \""x\""""",
        CimPath.To(null, V2, StorageAllocationSettingData.ClassName, ("InstanceID", @"Microsoft:A\83F8638B\0\0\L ""x""")).ToString());

    [Fact]
    public void Whatever_a_key_holds_comes_back() => Gen.String[Gen.Char, 0, 30].Sample(value =>
        CimPath.Parse(CimPath.To("H", V2, "Msvm_X", ("InstanceID", value)).ToString())["InstanceID"] == value);

    [Fact]
    public void A_reference_within_a_path_comes_back()
    {
        var inner = CimPath.To("HV1", V2, ComputerSystem.ClassName, ("CreationClassName", ComputerSystem.ClassName), ("Name", "A"));
        var outer = new CimPath("HV1", V2, "Msvm_SettingsDefineState", [new("ManagedElement", CimValue.Of(inner)), new("SettingData", CimValue.Of("x"))]);
        Assert.Equal(inner, CimPath.Parse(CimPath.Parse(outer.ToString())["ManagedElement"]!));
        Assert.Equal(outer, CimPath.Parse(outer.ToString()));
    }

    [Theory]
    [InlineData(@"\\HV1\root\virtualization\v2:Msvm_X.InstanceID=""a""")]
    [InlineData(@"\\.\ROOT\Virtualization\V2:msvm_x.INSTANCEID=""A""")]
    [InlineData(@"//hv1/root/virtualization/v2:Msvm_X.InstanceID=""a""")]
    [InlineData(@"root/virtualization/v2:Msvm_X.InstanceID=""a""")]
    public void All_spellings_of_one_object_are_equal(string text)
    {
        var plain = CimPath.To(null, V2, "Msvm_X", ("InstanceID", "a"));
        Assert.Equal(plain, CimPath.Parse(text));
        Assert.Equal(plain.GetHashCode(), CimPath.Parse(text).GetHashCode());
    }

    [Theory]
    [InlineData("")]
    [InlineData(@"\\")]
    [InlineData(@"\\HV1")]
    [InlineData(@"\\HV1\Msvm_X.A=""a""")]
    [InlineData(@"root:Msvm_X.")]
    [InlineData(@"root:Msvm_X.A")]
    [InlineData(@"root:Msvm_X.A=")]
    [InlineData(@"root:Msvm_X.A=""a")]
    [InlineData(@"root:Msvm_X.A=""a\")]
    [InlineData(@"root:Msvm_X.A=""a"",")]
    [InlineData(@"root:Msvm_X.A=""a"",A=""b""")]
    [InlineData(@"root:Msvm_X.A=""a""B=""b""")]
    [InlineData(@"root:Msvm_X.A=word")]
    [InlineData(@"root:Msvm X.A=""a""")]
    [InlineData(@"C:\VMs\disk.vhdx")]
    public void What_is_no_path_is_refused(string text) => Assert.False(CimPath.TryParse(text, out _));

    [Fact]
    public void Numbers_and_truths_as_keys_stay_what_they_are()
    {
        var path = CimPath.Parse("root:Msvm_X.A=5,B=TRUE");
        Assert.Equal(CimValue.Of(5L), path.Keys[0].Value);
        Assert.Equal(CimValue.Of(true), path.Keys[1].Value);
        Assert.Equal(@"\\.\root:Msvm_X.A=5,B=TRUE", path.ToString());
    }

    [Fact]
    public void Paths_of_any_text_never_crash() => Gen.String[Gen.Char[@"\/:.,=""abM_1 "], 0, 40].Sample(text => { CimPath.TryParse(text, out _); });
}
