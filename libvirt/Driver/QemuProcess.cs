using System.Globalization;

namespace WeaveHypervisor.Libvirt;

/// <summary>The process behind a running domain.</summary>
internal static class QemuProcess
{
    /// <summary>Its id, from libvirt's own note; null where the domain does not run or the note cannot be read.</summary>
    public static int? Find(string domain)
    {
        try
        {
            return int.TryParse(File.ReadAllText($"/run/libvirt/qemu/{domain}.pid").Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
