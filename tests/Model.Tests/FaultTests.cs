namespace WeaveHypervisor.Model.Tests;

public sealed class FaultTests
{
    /// <summary>Every fault must be here: a new one has to be thought of.</summary>
    public static TheoryData<Fault, bool> Transience => new()
    {
        { Fault.InvalidRequest, false }, { Fault.NotFound, false }, { Fault.AlreadyExists, false }, { Fault.Conflict, false }, { Fault.Busy, true },
        { Fault.Unsupported, false }, { Fault.Exhausted, false }, { Fault.Unavailable, true }, { Fault.DataLoss, false }, { Fault.Internal, false },
    };

    [Theory]
    [MemberData(nameof(Transience))]
    public void Only_what_may_pass_by_itself_is_transient(Fault fault, bool transient) => Assert.Equal(transient, new WeaveException(fault, "m").IsTransient);

    [Fact]
    public void Every_fault_is_classified() => Assert.Equal(Enum.GetValues<Fault>().Order(), Transience.Select(row => row.Data.Item1).Order());

    [Fact]
    public void What_was_not_said_is_empty_and_not_invented()
    {
        var bare = new WeaveException(Fault.Busy, "m");
        Assert.Equal(("m", null, null), (bare.Message, bare.NextStep, bare.InnerException));
        Assert.Empty(bare.Holders);
        var inner = new IOException("disk");
        var full = new WeaveException(Fault.Conflict, "m", "Do this.", inner, ["lab/past"]);
        Assert.Equal(("Do this.", inner, Fault.Conflict), (full.NextStep, full.InnerException, full.Fault));
        Assert.Equal(["lab/past"], full.Holders);
    }
}
