// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_Error</c>.</summary>
public static class Error
{
    public const string ClassName = "Msvm_Error";
    public static readonly CimProperty<uint> CIMStatusCode = new("CIMStatusCode");
    public static readonly CimProperty<string> CIMStatusCodeDescription = new("CIMStatusCodeDescription");
    public static readonly CimProperty<string> ErrorSource = new("ErrorSource");
    public static readonly CimProperty<ushort> ErrorSourceFormat = new("ErrorSourceFormat");
    public static readonly CimProperty<ushort> ErrorType = new("ErrorType");
    public static readonly CimProperty<string> Message = new("Message");
    public static readonly CimProperty<string[]> MessageArguments = new("MessageArguments");
    public static readonly CimProperty<string> MessageID = new("MessageID");
    public static readonly CimProperty<string> OtherErrorSourceFormat = new("OtherErrorSourceFormat");
    public static readonly CimProperty<string> OtherErrorType = new("OtherErrorType");
    public static readonly CimProperty<string> OwningEntity = new("OwningEntity");
    public static readonly CimProperty<ushort> PerceivedSeverity = new("PerceivedSeverity");
    public static readonly CimProperty<ushort> ProbableCause = new("ProbableCause");
    public static readonly CimProperty<string> ProbableCauseDescription = new("ProbableCauseDescription");
    public static readonly CimProperty<string[]> RecommendedActions = new("RecommendedActions");
}
