using WeaveHypervisor.Client;
using WeaveHypervisor.Cli.Vagrant;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>What is read of a Vagrant folder, and what is refused of one.</summary>
public sealed class VagrantFolderTests : IDisposable
{
    private static readonly Guid Web = Guid.Parse("cd0c76ed-c9b5-4104-b645-71cfd47abf6e"), Db = Guid.Parse("3b91d432-5c2c-4e34-80ee-0e98cad7e75e");
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-vagrant").FullName;
    private readonly Dictionary<string, string> _environment = [];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Machine(string name, string? id, string provider = "libvirt", string book = ".vagrant")
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, book, "machines", name, provider)).FullName;
        File.WriteAllText(Path.Combine(folder, "vagrant_cwd"), _folder);
        if (id is not null) File.WriteAllText(Path.Combine(folder, "id"), id);
    }

    private void Vagrantfile(string text) => File.WriteAllText(Path.Combine(_folder, "Vagrantfile"), text);

    private VagrantFolder Read() => VagrantFolder.Read(_folder, _environment.GetValueOrDefault);

    private void IsRefused(string fault, string word)
    {
        var refusal = Assert.Throws<ApiException>(Read);
        Assert.Equal(fault, refusal.Fault);
        Assert.Contains(word, refusal.Message, StringComparison.Ordinal);
        Assert.NotEmpty(refusal.Problem.NextStep!);
    }

    [Fact]
    public void Machines_are_found_by_their_domains_and_those_that_were_not_created_are_named()
    {
        Vagrantfile("# config.libvirt.uri = \"qemu+ssh://elsewhere/system\"\nm.vm.network :forwarded_port, host: 8080\nl.uri = 'qemu:///system'\nl.host = \"localhost\"\n");
        Machine("web", Web.ToString());
        Machine("db", $"{Db}\n");
        Machine("spare", null);
        var folder = Read();
        Assert.Equal([new("db", Db), new VagrantMachine("web", Web)], folder.Machines);
        Assert.Equal(["spare"], folder.NotCreated);
    }

    [Fact]
    public void Vagrants_own_variables_for_the_folder_are_heeded()
    {
        _environment["VAGRANT_DOTFILE_PATH"] = ".elsewhere";
        Machine("web", Web.ToString(), book: ".elsewhere");
        Machine("web", Db.ToString());
        Assert.Equal(Web, Assert.Single(Read().Machines).Id);
    }

    [Fact]
    public void A_folder_without_machines_is_refused()
    {
        IsRefused("notFound", "no Vagrant folder");
        Vagrantfile("");
        IsRefused("conflict", "was created");
        Machine("web", null);
        IsRefused("conflict", "was created (web)");
        Directory.Delete(_folder, recursive: true);
        IsRefused("notFound", "no folder");
        Directory.CreateDirectory(_folder);
    }

    [Fact]
    public void Machines_of_another_provider_are_refused()
    {
        Machine("db", Db.ToString());
        Machine("web", Web.ToString(), "virtualbox");
        IsRefused("unsupported", "'virtualbox'");
    }

    [Fact]
    public void Machines_of_Hyper_V_are_found_by_their_ids_and_a_libvirt_of_elsewhere_is_no_matter_for_them()
    {
        Vagrantfile("  l.uri = \"qemu+ssh://admin@host/system\"\n");
        Machine("web", Web.ToString(), "hyperv");
        Machine("db", $"{Db.ToString().ToUpperInvariant()}\r\n", "hyperv");
        Machine("spare", " \r\n", "hyperv");
        var folder = Read();
        Assert.Equal("hyperv", folder.Provider);
        Assert.Equal([new("db", Db), new VagrantMachine("web", Web)], folder.Machines);
        Assert.Equal(["spare"], folder.NotCreated);
    }

    [Fact]
    public void Machines_of_two_hypervisors_and_two_with_one_id_are_refused()
    {
        Machine("db", Db.ToString());
        Machine("web", Web.ToString(), "hyperv");
        IsRefused("unsupported", "several providers (db: libvirt, web: hyperv)");
        Directory.Delete(Path.Combine(_folder, ".vagrant"), recursive: true);
        Machine("db", Web.ToString(), "hyperv");
        Machine("web", Web.ToString(), "hyperv");
        IsRefused("unsupported", "'db' and 'web'");
    }

    [Theory]
    [InlineData("  l.uri = \"qemu+ssh://admin@host/system\"")]
    [InlineData("  libvirt.uri = 'qemu:///session'")]
    [InlineData("  l.host = 'host.example'")]
    [InlineData("  l.connect_via_ssh = true")]
    [InlineData("  l.qemu_use_session = true")]
    public void Machines_of_another_host_or_session_are_refused(string line)
    {
        Vagrantfile($"Vagrant.configure(\"2\") do |config|\n{line}\nend\n");
        Machine("web", Web.ToString());
        IsRefused("unsupported", line.Trim());
    }

    [Fact]
    public void A_variable_that_names_another_host_is_refused()
    {
        Machine("web", Web.ToString());
        _environment["LIBVIRT_DEFAULT_URI"] = "qemu+tcp://host/system";
        IsRefused("unsupported", "LIBVIRT_DEFAULT_URI");
    }

    [Theory]
    [InlineData("libvirt")]
    [InlineData("hyperv")]
    public void An_id_file_that_Vagrant_did_not_write_is_refused_and_nothing_of_it_is_shown(string provider)
    {
        foreach (var (text, word) in new[] { ("../../etc/passwd", "no UUID"), (@"C:\Windows\System32", "no UUID"), ($"{{{Web}}}", "no UUID"), ($"{Web}\n{Db}", "no UUID"), (new string('a', 1 << 20), "1048576 bytes") })
        {
            Machine("web", text, provider);
            IsRefused("unsupported", word);
            Assert.DoesNotContain(text, Assert.Throws<ApiException>(Read).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void An_id_file_that_leads_elsewhere_is_refused_and_one_that_nobody_writes_to_is_not_waited_for()
    {
        Machine("web", null, "hyperv");
        var id = Path.Combine(_folder, ".vagrant/machines/web/hyperv/id");
        foreach (var target in new[] { Path.Combine(_folder, "Vagrantfile"), Path.Combine(_folder, "nowhere"), "/dev/zero" })
        {
            Vagrantfile(Web.ToString());
            File.CreateSymbolicLink(id, target);
            IsRefused("unsupported", "symbolic link");
            File.Delete(id);
        }
        if (OperatingSystem.IsWindows()) return;
        using (var made = System.Diagnostics.Process.Start("mkfifo", [id])) made.WaitForExit();
        IsRefused("conflict", "was created (web)");
    }

    [Theory]
    [InlineData("libvirt", "libvirt")]
    [InlineData("hyperv", "hyperv")]
    [InlineData("hyperv", "hyperv-simulator")]
    public async Task Adopting_names_the_machines_by_their_ids_under_their_Vagrant_names(string provider, string driver)
    {
        Machine("web", Web.ToString(), provider);
        Machine("spare", null);
        var run = new CliRun { Service = Managing(driver) };
        Assert.Equal(ExitCodes.Done, await run.RunAsync("env", "adopt", "shop", "--vagrant", _folder));
        Assert.Equal(["GET version", $$"""POST environments {"name":"shop","machines":[{"name":"web","domain":"{{Web}}"}]}"""], run.Service.Requests.Take(2));
        Assert.Contains("left out: spare", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("libvirt", "hyperv")]
    [InlineData("libvirt", "hyperv-simulator")]
    [InlineData("hyperv", "libvirt")]
    [InlineData("hyperv", "simulator")]
    public async Task A_service_that_manages_another_hypervisor_is_not_asked_to_adopt(string provider, string driver)
    {
        Machine("web", Web.ToString(), provider);
        var run = new CliRun { Service = Managing(driver) };
        Assert.Equal(ExitCodes.Refused, await run.RunAsync("env", "adopt", "shop", "--vagrant", _folder));
        Assert.Contains($"provider {provider}", run.Error, StringComparison.Ordinal);
        Assert.Contains($"driver {driver}", run.Error, StringComparison.Ordinal);
        Assert.Contains("WEAVE_URL", run.Error, StringComparison.Ordinal);
        Assert.Equal(["GET version"], run.Service.Requests);
    }

    private static FakeService Managing(string driver) => new() { Instead = request => request == "GET version" ? FakeService.Version(driver) : null };

    [Fact]
    public async Task A_refusal_ends_with_its_exit_code_and_asks_the_service_nothing()
    {
        Machine("web", Web.ToString(), "virtualbox");
        var run = new CliRun();
        Assert.Equal(ExitCodes.Refused, await run.RunAsync("env", "adopt", "shop", "--vagrant", _folder));
        Assert.Contains("next:", run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Service.Requests);
    }
}
