using System.Text.RegularExpressions;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Vagrant;

/// <param name="Name">As the Vagrantfile defines it.</param>
/// <param name="Id">The UUID of its libvirt domain, or Hyper-V's id of it.</param>
internal sealed record VagrantMachine(string Name, Guid Id);

/// <summary>
/// A folder with a Vagrantfile, as Vagrant keeps book of it: `.vagrant/machines/MACHINE/PROVIDER/id` (Vagrant 2.3, `Machine#id=`) holds what the provider calls the machine: vagrant-libvirt the
/// domain's UUID, Vagrant's own provider for Hyper-V the id of the machine. The Vagrantfile is a program and is never run; its text is only looked through for signs of another host.
/// What cannot be adopted is refused as the service would refuse it.
/// </summary>
/// <param name="Folder">Its full path.</param>
/// <param name="Provider">Vagrant's provider of all its machines: "libvirt" or "hyperv".</param>
/// <param name="NotCreated">Machines that Vagrant knows and has not made, or has destroyed.</param>
internal sealed partial record VagrantFolder(string Folder, string Provider, IReadOnlyList<VagrantMachine> Machines, IReadOnlyList<string> NotCreated)
{
    private const string Libvirt = "libvirt", HyperV = "hyperv";
    /// <summary>An id file holds 36 characters, with a line's end at most; what is much longer is none.</summary>
    private const int LongestId = 128;

    /// <summary>
    /// Reads the folder at <paramref name="path"/>. Refused (<see cref="ApiException"/>): no such folder or nothing of Vagrant's in it (notFound); no machine was created, or the folder cannot be read
    /// (conflict); machines of another provider or of several, an id file that Vagrant did not write, machines of another host, or of a session of libvirt's that is one user's own (unsupported).
    /// </summary>
    public static VagrantFolder Read(string path, Func<string, string?> environment)
    {
        try
        {
            return ReadFolder(Path.GetFullPath(path), environment);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw Refused("conflict", $"The Vagrant folder '{path}' cannot be read: {e.Message}", "Run the command as the user who owns it, or as an administrator.");
        }
    }

    /// <summary>Refuses machines of which the service knows nothing, because its <paramref name="driver"/> (as `weave version` names it) manages another hypervisor's.</summary>
    public void RequireManagedBy(string driver)
    {
        // The imaginary Hyper-V host, too.
        var manages = driver.StartsWith(HyperV, StringComparison.Ordinal) ? HyperV : driver;
        if (manages != Provider)
            throw Refused("unsupported", $"The machines of '{Folder}' are of Vagrant's provider {Provider}, and the service that was asked manages those of its driver {driver}.", "Name the service of the host that has them by WEAVE_URL; `weave version` tells a service's driver.");
    }

    private static VagrantFolder ReadFolder(string folder, Func<string, string?> environment)
    {
        if (!Directory.Exists(folder)) throw Refused("notFound", $"There is no folder '{folder}'.", "Name the folder in which `vagrant up` is run.");
        var book = Path.Combine(folder, environment("VAGRANT_DOTFILE_PATH") is { Length: > 0 } dotfile ? dotfile : ".vagrant");
        var text = Path.Combine(folder, environment("VAGRANT_VAGRANTFILE") is { Length: > 0 } named ? named : "Vagrantfile");
        var machines = Path.Combine(book, "machines");
        if (!Directory.Exists(machines))
            throw File.Exists(text) ? Refused("conflict", $"No machine of the Vagrant folder '{folder}' was created.", "Run `vagrant up` there first.")
                : Refused("notFound", $"'{folder}' is no Vagrant folder: it has neither a Vagrantfile nor '{Path.GetFileName(book)}/machines'.", "Name the folder in which `vagrant up` is run.");

        var (found, missing) = (new List<(VagrantMachine Machine, string Provider)>(), new List<string>());
        foreach (var machine in Directory.GetDirectories(machines).Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(machine);
            // Listed, not asked for: a folder that may not be looked into would else seem to have none.
            var ids = Directory.GetDirectories(machine).SelectMany(p => Directory.GetFiles(p, "id")).Select(i => (Provider: Path.GetFileName(Path.GetDirectoryName(i)!), Path: i)).ToList();
            if (ids.Find(i => i.Provider is not (Libvirt or HyperV)) is { Provider: { } other })
                throw Refused("unsupported", $"Machine '{name}' is of Vagrant's provider '{other}'.", "Only machines of the providers libvirt and hyperv can be adopted.");
            var made = ids.Select(i => (Id: Id(name, i.Path), i.Provider)).Where(i => i.Id is not null).ToList();
            if (made.Count == 0) missing.Add(name);
            else found.AddRange(made.Select(i => (new VagrantMachine(name, i.Id!.Value), i.Provider)));
        }
        if (found.Count == 0)
            throw Refused("conflict", $"No machine of the Vagrant folder '{folder}' was created{(missing.Count == 0 ? "" : $" ({string.Join(", ", missing)})")}.", "Run `vagrant up` there first.");
        if (found.Select(f => f.Provider).Distinct().Count() > 1)
            throw Refused("unsupported", $"The machines of '{folder}' are of several providers ({string.Join(", ", found.Select(f => $"{f.Machine.Name}: {f.Provider}"))}), and an environment is on one hypervisor.", "Name those of one of them with `--domain`.");
        if (found.GroupBy(f => f.Machine.Id).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw Refused("unsupported", $"{string.Join(" and ", twice.Select(f => $"'{f.Machine.Name}'"))} of '{folder}' have the same id.", "Look at `vagrant status`, and name the machines with `--domain`.");
        var provider = found[0].Provider;
        if (provider == Libvirt && RemoteSign(File.Exists(text) ? File.ReadLines(text) : [], environment) is { } sign)
            throw Refused("unsupported", $"The machines of '{folder}' are not on the system's libvirt of this host ({sign}).", "Adopt them by the service that runs on their host, with `--domain`.");
        return new(folder, provider, [.. found.Select(f => f.Machine)], missing);
    }

    /// <summary>Null where there is nothing in it, which Vagrant takes as not created. What is not an ordinary file of that size is not opened: it may be endless, or wait for ever.</summary>
    private static Guid? Id(string machine, string path)
    {
        var file = new FileInfo(path);
        if (file.LinkTarget is not null) throw NoId($"is a symbolic link");
        if (file.Length == 0) return null;
        if (file.Length > LongestId) throw NoId($"has {file.Length} bytes");
        var text = File.ReadAllText(path).Trim();
        return text.Length == 0 ? null : Guid.TryParseExact(text, "D", out var id) ? id : throw NoId("holds no UUID");

        ApiException NoId(string why) => Refused("unsupported", $"The id of machine '{machine}' was not written by Vagrant: '{path}' {why}.", "Look at `vagrant status`, and name the machines with `--domain`.");
    }

    /// <summary>What says that vagrant-libvirt speaks to another libvirt than the system's here; null where nothing does. The service asks its own libvirt for the UUIDs in any case.</summary>
    private static string? RemoteSign(IEnumerable<string> vagrantfile, Func<string, string?> environment)
    {
        foreach (var variable in (string[])["LIBVIRT_DEFAULT_URI", "LIBVIRT_URI"])
            if (environment(variable) is { Length: > 0 } uri && !IsLocal(uri)) return $"{variable} is {uri}";
        foreach (var line in vagrantfile.Select(l => l.Trim()).Where(l => !l.StartsWith('#')))
        {
            if (Uri().Match(line) is { Success: true } uri && !IsLocal(uri.Groups[1].Value)) return line;
            if (Host().Match(line) is { Success: true } host && host.Groups[1].Value is not ("" or "localhost" or "127.0.0.1" or "::1")) return line;
            if (OtherConnection().IsMatch(line)) return line;
        }
        return null;
    }

    private static bool IsLocal(string uri) => uri is "qemu:///system" or "qemu+unix:///system";

    [GeneratedRegex("""\.\s*uri\s*=\s*["']([^"']*)["']""")]
    private static partial Regex Uri();
    [GeneratedRegex("""\b\w+\.host\s*=\s*["']([^"']*)["']""")]
    private static partial Regex Host();
    [GeneratedRegex("""\.(connect_via_ssh|qemu_use_session)\s*=\s*true\b""")]
    private static partial Regex OtherConnection();

    private static ApiException Refused(string fault, string detail, string next) => new(new Problem { Fault = fault, Detail = detail, NextStep = next });
}
