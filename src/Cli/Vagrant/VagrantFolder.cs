using System.Text.RegularExpressions;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Vagrant;

/// <param name="Name">As the Vagrantfile defines it.</param>
/// <param name="Uuid">Of its libvirt domain.</param>
internal sealed record VagrantMachine(string Name, Guid Uuid);

/// <summary>
/// A folder with a Vagrantfile, as Vagrant keeps book of it: `.vagrant/machines/MACHINE/PROVIDER/id` (Vagrant 2.3, `Machine#id=`) holds what the provider calls the machine, which for
/// vagrant-libvirt is the domain's UUID. The Vagrantfile is a program and is never run; its text is only looked through for signs of another host.
/// What cannot be adopted is refused as the service would refuse it.
/// </summary>
/// <param name="NotCreated">Machines that Vagrant knows and has not made, or has destroyed.</param>
internal sealed partial record VagrantFolder(IReadOnlyList<VagrantMachine> Machines, IReadOnlyList<string> NotCreated)
{
    private const string Provider = "libvirt";
    /// <summary>An id file holds 36 characters; what is much longer is none.</summary>
    private const int LongestId = 4096;

    /// <summary>
    /// Reads the folder at <paramref name="path"/>. Refused (<see cref="ApiException"/>): no such folder or nothing of Vagrant's in it (notFound); no machine was created (conflict);
    /// machines of another provider, of another host, or of a session of libvirt's that is one user's own (unsupported).
    /// </summary>
    public static VagrantFolder Read(string path, Func<string, string?> environment)
    {
        try
        {
            return ReadFolder(Path.GetFullPath(path), environment);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused("conflict", $"The Vagrant folder '{path}' cannot be read: {e.Message}", "Run the command as the user who owns it, or as root.");
        }
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
        if (RemoteSign(File.Exists(text) ? File.ReadLines(text) : [], environment) is { } sign)
            throw Refused("unsupported", $"The machines of '{folder}' are not on the system's libvirt of this host ({sign}).", "Adopt them by the service that runs on their host, with `--domain`.");

        var (found, missing) = (new List<VagrantMachine>(), new List<string>());
        foreach (var machine in Directory.GetDirectories(machines).Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(machine);
            var ids = Directory.GetDirectories(machine).Select(p => (Provider: Path.GetFileName(p), Id: Path.Combine(p, "id"))).Where(p => File.Exists(p.Id)).ToList();
            if (ids.FirstOrDefault(p => p.Provider != Provider) is { Provider: { } other }) throw OtherProvider(name, other);
            if (ids.Count == 0) missing.Add(name);
            else found.Add(new(name, Id(name, ids[0].Id)));
        }
        return found.Count > 0 ? new(found, missing)
            : throw Refused("conflict", $"No machine of the Vagrant folder '{folder}' was created{(missing.Count == 0 ? "" : $" ({string.Join(", ", missing)})")}.", "Run `vagrant up` there first.");
    }

    private static Guid Id(string machine, string path)
    {
        using var reader = new StreamReader(path);
        var buffer = new char[LongestId];
        var text = new string(buffer, 0, reader.ReadBlock(buffer)).Trim();
        return Guid.TryParseExact(text, "D", out var uuid) ? uuid
            : throw Refused("unsupported", $"The id of machine '{machine}' in '{path}' is no UUID of libvirt's.", "Look at `vagrant status`, and name the machines with `--domain`.");
    }

    private static ApiException OtherProvider(string machine, string provider) => provider == "hyperv"
        ? Refused("unsupported", $"Machine '{machine}' is of Vagrant's provider Hyper-V, and there is no driver for Hyper-V in this version.", "Only machines of the provider libvirt can be adopted.")
        : Refused("unsupported", $"Machine '{machine}' is of Vagrant's provider '{provider}'.", "Only machines of the provider libvirt can be adopted.");

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
