using System.Text.Json;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Agents;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Capturing;

/// <summary>What guests say is read without trust.</summary>
public sealed class AgentAnswerTests
{
    [Fact]
    public void An_answer_is_its_return() => Assert.Equal((AgentCondition.Answers, "thawed"), GuestAgent.Read("""{"return":"thawed"}""") is var answer ? (answer.State, answer.Value.GetString()) : default);

    [Theory]
    [InlineData("")]
    [InlineData("}{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("17")]
    [InlineData("{}")]
    [InlineData("""{"error":{"class":"GenericError"}}""")]
    [InlineData("""{"return":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}""")]
    public void What_is_none_is_refused(string text) => Assert.Equal(AgentCondition.Refuses, GuestAgent.Read(text).State);

    [Fact]
    public void A_flood_is_not_even_read() => Assert.Equal(AgentCondition.Refuses, GuestAgent.Read($$"""{"return":"{{new string('x', 4_000_000)}}"}""").State);

    [Theory]
    [InlineData(VirErrorCode.AgentUnresponsive, "Guest agent is not responding: QEMU guest agent is not connected", AgentCondition.NotConnected)]
    [InlineData(VirErrorCode.AgentUnresponsive, "Guest agent is not responding: QEMU guest agent is not available due to an error", AgentCondition.Refuses)]
    [InlineData(VirErrorCode.AgentUnresponsive, "Guest agent is not responding: Guest agent not available for now", AgentCondition.Silent)]
    [InlineData(VirErrorCode.OperationTimeout, "Timed out during operation: cannot acquire state change lock", AgentCondition.Silent)]
    [InlineData(VirErrorCode.ArgumentUnsupported, "argument unsupported: QEMU guest agent is not configured", AgentCondition.NoChannel)]
    [InlineData(VirErrorCode.OperationInvalid, "Requested operation is not valid: domain is not running", AgentCondition.Off)]
    [InlineData(VirErrorCode.InternalError, "internal error: unable to execute QEMU agent command 'guest-fsfreeze-freeze': no\u001b[31m", AgentCondition.Refuses)]
    [InlineData(VirErrorCode.SystemError, "No complete agent response found in 10485760 bytes: Numerical result out of range", AgentCondition.Refuses)]
    public void Errors_of_libvirt_tell_what_is_the_matter_and_are_safe_to_print(VirErrorCode code, string message, AgentCondition state)
    {
        var answer = GuestAgent.Classify(new LibvirtException(code, VirErrorDomain.Qemu, VirErrorLevel.Error, message));
        Assert.Equal(state, answer.State);
        Assert.False(string.IsNullOrEmpty(answer.Reason) || answer.Reason.Any(char.IsControl));
    }

    [Theory]
    [InlineData("""[{"name":"vda1","type":"ext4"},{"name":"vdb","type":"xfs"}]""", 2)]
    [InlineData("""[{"name":"vda1","type":"ext4"},{"name":"vda1","type":"ext4"},{"name":"loop0","type":"squashfs"},{"name":"vda15","type":"vfat"}]""", 1)]
    [InlineData("""[null,7,{"name":7,"type":"ext4"},{"type":"ext4"},{"name":"x","type":[]},"text"]""", 0)]
    [InlineData("""{"name":"vda1","type":"ext4"}""", 0)]
    public void File_systems_that_can_be_frozen_are_counted_once(string list, int count) => Assert.Equal(count, Freezer.Count(JsonDocument.Parse(list).RootElement));

    [Theory]
    [InlineData("00:00:00.5")]
    [InlineData("00:05:01")]
    [InlineData("-00:00:10")]
    public void The_time_limit_of_agents_is_checked(string time) =>
        Assert.Contains("AgentPatience", Assert.Throws<WeaveException>(() => new LibvirtDriverOptions { AgentPatience = TimeSpan.Parse(time, System.Globalization.CultureInfo.InvariantCulture) }.Validate()).Message);
}
