using Microsoft.Management.Infrastructure;
using WeaveHypervisor.HyperV.Cim.Windows;

namespace WeaveHypervisor.HyperV.Cim.Tests.Values;

/// <summary>The conversions of values that can be tried without Windows; instances cannot be made there.</summary>
public sealed class MiValuesTests
{
    public static TheoryData<CimKind> PlainKinds => [.. Enum.GetValues<CimKind>().Where(k => k is not (CimKind.Reference or CimKind.Instance or CimKind.DateTime))];

    [Theory]
    [MemberData(nameof(PlainKinds))]
    public void A_kind_has_the_name_that_the_management_infrastructure_gives_it(CimKind kind)
    {
        var array = Array.CreateInstance(CimValue.TypeOf(kind), 1);
        if (kind == CimKind.String) array.SetValue("x", 0);
        Assert.Equal(kind.ToString(), MiValues.TypeOf(CimValue.Of(array.GetValue(0)!)).ToString());
        Assert.Equal(kind + "Array", MiValues.TypeOf(CimValue.Of(array)).ToString());
        Assert.Equal(CimValue.Of(array), MiValues.FromMi(MiValues.ToMi(CimValue.Of(array)), MiValues.TypeOf(CimValue.Of(array)), ""));
    }

    [Fact]
    public void Times_go_as_their_own_two_types()
    {
        var interval = CimTime.Lasting(TimeSpan.FromSeconds(5));
        var instant = CimTime.At(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
        Assert.Equal(TimeSpan.FromSeconds(5), MiValues.ToMi(interval));
        Assert.Equal(CimValue.Of(interval), MiValues.FromMi(MiValues.ToMi(interval), CimType.DateTime, ""));
        Assert.Equal(instant.Instant, MiValues.FromMi(MiValues.ToMi(instant), CimType.DateTime, "").As<CimTime>().Instant);
    }
}
