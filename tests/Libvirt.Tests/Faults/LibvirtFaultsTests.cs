using LibvirtSharp;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Faults;

public sealed class LibvirtFaultsTests
{
    [Theory]
    [InlineData(VirErrorCode.SystemError, "Unable to read from monitor: Connection reset by peer", Fault.Unavailable, "The QEMU process ended")]
    [InlineData(VirErrorCode.SystemError, "Unable to write to monitor: Broken pipe", Fault.Unavailable, "The QEMU process ended")]
    [InlineData(VirErrorCode.InternalError, "internal error: qemu unexpectedly closed the monitor", Fault.Unavailable, "The QEMU process ended")]
    [InlineData(VirErrorCode.InternalError, "internal error: End of file from qemu monitor", Fault.Unavailable, "The QEMU process ended")]
    [InlineData(VirErrorCode.OperationFailed, "unable to write: No space left on device", Fault.Exhausted, "Free space")]
    [InlineData(VirErrorCode.SystemError, "Cannot recv data: Connection reset by peer", Fault.Unavailable, "Start libvirtd")]
    [InlineData(VirErrorCode.NoDomain, "Domain not found", Fault.NotFound, null)]
    [InlineData(VirErrorCode.InternalError, "something new", Fault.Internal, null)]
    public void An_error_of_libvirts_becomes_a_fault_that_says_what_was_tried_and_what_to_do_next(VirErrorCode code, string message, Fault fault, string? next)
    {
        var told = LibvirtFaults.Translate(new(code, VirErrorDomain.Qemu, VirErrorLevel.Error, message), "merge layers");
        Assert.Equal(fault, told.Fault);
        Assert.Equal($"Could not merge layers: {message}", told.Message);
        if (next is null) Assert.Null(told.NextStep);
        else Assert.StartsWith(next, told.NextStep, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_code_that_the_bindings_know_has_a_fault() => Assert.DoesNotContain(Enum.GetValues<VirErrorCode>(), c => !LibvirtFaults.Table.ContainsKey(c));
}
