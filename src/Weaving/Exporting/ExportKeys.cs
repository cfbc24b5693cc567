using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Exporting;

/// <summary>
/// The private keys that Vagrant has put in place of its own well-known one (`.vagrant/machines/NAME/libvirt/private_key`, where `config.ssh.insert_key` is on, as it is unless told otherwise). Without
/// them nobody can log in to the exported machines, and `vagrant destroy` of the originals deletes them.
/// </summary>
internal static class ExportKeys
{
    /// <summary>An RSA key of 16384 bits takes 13 KiB.</summary>
    private const int Longest = 32 << 10;

    /// <summary>Where the key of a machine is in an exported folder.</summary>
    public static string PathOf(MachineName machine) => $"keys/{machine}";

    /// <summary>Where Vagrant has the key of a machine of the Vagrantfile in <paramref name="folder"/>.</summary>
    public static string OriginalOf(string folder, MachineName machine) => $"{folder}/.vagrant/machines/{machine}/libvirt/private_key";

    /// <summary>
    /// The key of a machine; null where there is none that can be read. The folder is a user's, who could have laid a link to somebody else's file there: only a file that belongs to whom the folder
    /// belongs to is taken, and only what is a key.
    /// </summary>
    public static byte[]? Read(string folder, MachineName machine)
    {
        try
        {
            var owner = FileFacts.Read(folder).Owner;
            var (handle, facts) = FileFacts.OpenRegular(OriginalOf(folder, machine));
            using (handle)
            {
                if (facts.Owner.User != owner.User || facts.Length is 0 or > Longest) return null;
                var text = new byte[facts.Length];
                var read = RandomAccess.Read(handle, text, 0);
                return read == text.Length && Encoding.ASCII.GetString(text) is var key && key.StartsWith("-----BEGIN ", StringComparison.Ordinal) && key.Contains("PRIVATE KEY-----", StringComparison.Ordinal) ? text : null;
            }
        }
        catch (Exception e) when (e is WeaveException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
