using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace WeaveHypervisor.Disks;

/// <summary>What Windows tells of a file and .NET does not.</summary>
[SupportedOSPlatform("windows")]
internal static partial class WindowsFiles
{
    private const uint ShareAll = 7, OpenExisting = 3, BackupSemantics = 0x02000000;

    /// <summary>Equal for two paths exactly where they lead to one file: volume and number of the file. Opened for its attributes only, which no sharing mode forbids.</summary>
    public static string Identify(string path)
    {
        using var file = CreateFile(path, 0, ShareAll, 0, OpenExisting, BackupSemantics, 0);
        if (file.IsInvalid || !GetFileInformationByHandle(file, out var facts)) throw new IOException(new Win32Exception(Marshal.GetLastPInvokeError()).Message, Marshal.GetHRForLastWin32Error());
        return string.Create(CultureInfo.InvariantCulture, $"{facts.VolumeSerial}:{facts.IndexHigh}:{facts.IndexLow}");
    }

    /// <summary>BY_HANDLE_FILE_INFORMATION.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Facts
    {
        public uint Attributes;
        public uint CreatedLow, CreatedHigh, ReadLow, ReadHigh, WrittenLow, WrittenHigh;
        public uint VolumeSerial, SizeHigh, SizeLow, Links, IndexHigh, IndexLow;
    }

    [LibraryImport("kernel32.dll", EntryPoint = "CreateFileW", StringMarshalling = StringMarshalling.Utf16, SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static partial SafeFileHandle CreateFile(string path, uint access, uint share, nint security, uint disposition, uint flags, nint template);

    [LibraryImport("kernel32.dll", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetFileInformationByHandle(SafeFileHandle file, out Facts facts);
}
