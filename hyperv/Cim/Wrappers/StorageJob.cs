// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_StorageJob</c>.</summary>
public static class StorageJob
{
    public const string ClassName = "Msvm_StorageJob";
    public static readonly CimProperty<bool> Cancellable = new("Cancellable");
    public static readonly CimProperty<string> Child = new("Child");
    public static readonly CimProperty<bool> DeleteOnCompletion = new("DeleteOnCompletion");
    public static readonly CimProperty<CimTime> ElapsedTime = new("ElapsedTime");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> ErrorCode = new("ErrorCode");
    public static readonly CimProperty<string> ErrorDescription = new("ErrorDescription");
    public static readonly CimProperty<string> ErrorSummaryDescription = new("ErrorSummaryDescription");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<uint> JobCompletionStatusCode = new("JobCompletionStatusCode");
    public static readonly CimProperty<uint> JobRunTimes = new("JobRunTimes");
    public static readonly CimProperty<ushort> JobState = new("JobState");
    public static readonly CimProperty<string> JobStatus = new("JobStatus");
    public static readonly CimProperty<ushort> JobType = new("JobType");
    public static readonly CimProperty<ushort> LocalOrUtcTime = new("LocalOrUtcTime");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<string> Notify = new("Notify");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> OtherRecoveryAction = new("OtherRecoveryAction");
    public static readonly CimProperty<string> Owner = new("Owner");
    public static readonly CimProperty<string> Parent = new("Parent");
    public static readonly CimProperty<ushort> PercentComplete = new("PercentComplete");
    public static readonly CimProperty<uint> Priority = new("Priority");
    public static readonly CimProperty<ushort> RecoveryAction = new("RecoveryAction");
    public static readonly CimProperty<sbyte> RunDay = new("RunDay");
    public static readonly CimProperty<sbyte> RunDayOfWeek = new("RunDayOfWeek");
    public static readonly CimProperty<byte> RunMonth = new("RunMonth");
    public static readonly CimProperty<CimTime> RunStartInterval = new("RunStartInterval");
    public static readonly CimProperty<CimTime> ScheduledStartTime = new("ScheduledStartTime");
    public static readonly CimProperty<CimTime> StartTime = new("StartTime");
    public static readonly CimProperty<CimTime> TimeBeforeRemoval = new("TimeBeforeRemoval");
    public static readonly CimProperty<CimTime> TimeOfLastStateChange = new("TimeOfLastStateChange");
    public static readonly CimProperty<CimTime> TimeSubmitted = new("TimeSubmitted");
    public static readonly CimProperty<CimTime> UntilTime = new("UntilTime");

    public static CimCall GetError() =>
        CimCall.Of("GetError");

    /// <summary>What <see cref="GetError"/> answers.</summary>
    public static class GetErrorAnswer
    {
        public static readonly CimProperty<string> Error = new("Error");
    }

    public static CimCall GetErrorEx() =>
        CimCall.Of("GetErrorEx");

    /// <summary>What <see cref="GetErrorEx"/> answers.</summary>
    public static class GetErrorExAnswer
    {
        public static readonly CimProperty<string[]> Errors = new("Errors");
    }

    public static CimCall KillJob(bool? deleteOnKill = null) =>
        CimCall.Of("KillJob", ("DeleteOnKill", deleteOnKill));

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));
}
