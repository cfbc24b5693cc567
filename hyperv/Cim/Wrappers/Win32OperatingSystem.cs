// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Win32_OperatingSystem</c>.</summary>
public static class Win32OperatingSystem
{
    public const string ClassName = "Win32_OperatingSystem";
    public static readonly CimProperty<string> BuildNumber = new("BuildNumber");
    public static readonly CimProperty<string> Caption = new("Caption");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<string> Version = new("Version");
}
