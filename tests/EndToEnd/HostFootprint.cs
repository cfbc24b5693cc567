namespace WeaveHypervisor.EndToEnd;

/// <summary>What a host has of machines, networks, namespaces, links, rules and files: compared before and after, it shows a leak.</summary>
internal sealed record HostFootprint(IReadOnlySet<string> Things)
{
    public static async Task<HostFootprint> TakeAsync(string root)
    {
        var things = new HashSet<string>();
        foreach (var line in await LinesAsync("virsh", "-c", "qemu:///system", "list", "--all", "--uuid")) things.Add($"domain {line}");
        foreach (var line in await LinesAsync("virsh", "-c", "qemu:///system", "net-list", "--all", "--name")) things.Add($"network {line}");
        foreach (var line in await LinesAsync("ip", "netns", "list")) things.Add($"namespace {line.Split(' ')[0]}");
        foreach (var line in await LinesAsync("ip", "-o", "link", "show")) things.Add($"link {line.Split(':')[1].Trim().Split('@')[0]}");
        foreach (var line in await LinesAsync("nft", "list", "tables")) things.Add($"nft {line}");
        foreach (var line in await LinesAsync("iptables-save")) if (line.StartsWith('-')) things.Add($"iptables {line}");
        if (Directory.Exists(root))
            foreach (var file in Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Where(f => f.EndsWith(".qcow2") || f.EndsWith(".ram") || f.EndsWith(".state") || f.EndsWith(".part"))) things.Add($"file {file}");
        return new(things);
    }

    /// <summary>What is there now and was not before; the names of tap devices are libvirt's to choose.</summary>
    public IReadOnlyList<string> NewSince(HostFootprint before) => [.. Things.Except(before.Things).Where(t => !t.StartsWith("link vnet", StringComparison.Ordinal)).Order()];

    /// <summary>Names of the defined machines of a prefix.</summary>
    public static async Task<IReadOnlyList<string>> DomainsAsync(string prefix) =>
        [.. (await LinesAsync("virsh", "-q", "-c", "qemu:///system", "list", "--all", "--name")).Where(n => n.StartsWith(prefix, StringComparison.Ordinal))];

    private static async Task<IEnumerable<string>> LinesAsync(string program, params string[] arguments) =>
        (await Shell.RunAsync(program, arguments)).Succeeded(program).Output.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0);
}
