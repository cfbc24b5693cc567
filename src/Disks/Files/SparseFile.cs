using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>Where a sparse file has data.</summary>
public static class SparseFile
{
    /// <summary>
    /// Ranges (start, end) that may hold data, ascending, everything between them reads as zeros. Where the file system cannot tell, one range is the whole file.
    /// Moves the file offset; positioned reads do not mind.
    /// </summary>
    public static IEnumerable<(long Start, long End)> DataRanges(SafeFileHandle file, long length)
    {
        if (OperatingSystem.IsWindows())
        {
            if (length > 0) yield return (0, length);
            yield break;
        }
        for (long at = 0; at < length;)
        {
            if (Posix.SeekData(file, at, $"read the map of a file") is not { } start || start >= length) yield break;
            var end = Math.Min(length, Posix.SeekHole(file, start, $"read the map of a file"));
            yield return (start, end);
            at = end;
        }
    }
}
