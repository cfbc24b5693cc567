using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Exporting;

namespace WeaveHypervisor.Weaving.Tests.Exporting;

/// <summary>Which file is taken for the key of a machine of Vagrant's.</summary>
public sealed class ExportKeysTests : IDisposable
{
    private const string Key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    private static readonly MachineName Web = MachineName.Parse("web");
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-keys-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Place()
    {
        var path = ExportKeys.OriginalOf(_folder, Web);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        return path;
    }

    [Fact]
    public void The_key_that_Vagrant_has_made_is_found()
    {
        File.WriteAllText(Place(), Key);
        Assert.Equal(Key, Encoding.ASCII.GetString(ExportKeys.Read(_folder, Web)!));
    }

    [Fact]
    public void No_key_is_no_error()
    {
        Assert.Null(ExportKeys.Read(_folder, Web));
        Assert.Null(ExportKeys.Read(_folder + "/none", Web));
        Directory.CreateDirectory(Place());
        Assert.Null(ExportKeys.Read(_folder, Web));
    }

    [Theory]
    [InlineData("")]
    [InlineData("root:$6$salt$hash:19000:0:99999:7:::\n")]
    [InlineData("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")]
    public void What_is_no_key_is_not_taken(string text)
    {
        File.WriteAllText(Place(), text);
        Assert.Null(ExportKeys.Read(_folder, Web));
    }

    [Fact]
    public void What_is_too_long_for_a_key_is_not_taken()
    {
        File.WriteAllText(Place(), Key + new string('x', 32 << 10));
        Assert.Null(ExportKeys.Read(_folder, Web));
    }

    [Fact]
    public void A_key_of_somebody_else_is_not_taken_whatever_link_leads_to_it()
    {
        Assert.SkipUnless(Environment.UserName == "root", "Only root can give files away.");
        var other = Path.Combine(_folder, "id_rsa");
        File.WriteAllText(other, Key);
        File.CreateSymbolicLink(Place(), other);
        Assert.NotNull(ExportKeys.Read(_folder, Web));
        // The folder is a user's from now on, the key is still root's.
        DurableFile.Own(_folder, new(65534, 65534), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Assert.Null(ExportKeys.Read(_folder, Web));
        DurableFile.Own(other, new(65534, 65534));
        Assert.NotNull(ExportKeys.Read(_folder, Web));
    }
}
