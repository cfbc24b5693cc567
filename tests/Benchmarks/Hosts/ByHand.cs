using System.Diagnostics;
using System.Xml.Linq;
using WeaveHypervisor.Disks;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>What an administrator does with `virsh` and `qemu-img`, on the twin of a machine.</summary>
internal static class ByHand
{
    /// <summary>
    /// `virsh save`, an overlay with `qemu-img create`, its name put into the XML, `virsh restore --xml`: ms until the guest answers. libvirt restores a state under its
    /// own name only, so the copy stands where the original was, and the original is off.
    /// </summary>
    public static async Task<double> CopyAsync(Machine machine, string folder, int turn, CancellationToken stop)
    {
        var (state, edited) = (Path.Combine(folder, machine.Domain + ".save"), Path.Combine(folder, machine.Domain + ".xml"));
        var overlay = Path.Combine(folder, $"{machine.Domain}.{turn}.qcow2");
        var clock = Stopwatch.StartNew();
        await Shell.VirshAsync(stop, "save", machine.Domain, state);
        var xml = XDocument.Parse(await Shell.VirshAsync(stop, "save-image-dumpxml", state));
        var disk = xml.Descendants("disk").First();
        await OverlayAsync(disk, overlay, stop);
        await File.WriteAllTextAsync(edited, xml.ToString(), stop);
        await Shell.VirshAsync(stop, "restore", state, "--xml", edited);
        await Guests.FirstReplyAsync(machine.Address, TimeSpan.FromSeconds(60), stop);
        var took = clock.Elapsed.TotalMilliseconds;
        File.Delete(state);
        return took;
    }

    private static async Task OverlayAsync(XElement disk, string overlay, CancellationToken stop)
    {
        var source = disk.Element("source")!;
        (await Shell.RunAsync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", source.Attribute("file")!.Value, overlay], stop)).Succeeded();
        source.SetAttributeValue("file", overlay);
        // The backing files that are named there are those of the disk before.
        disk.Element("backingStore")?.Remove();
    }

    /// <summary>`virsh snapshot-create-as --memspec`, not --live: ms of pause as libvirt tells, the longest silence of the guest, and MiB stored.</summary>
    public static async Task<(double Pause, double Silence, double Stored)> SnapshotAsync(Machine machine, Lifecycle events, string folder, int turn, CancellationToken stop)
    {
        var memory = Path.Combine(folder, machine.Domain + ".mem");
        var mark = events.Mark();
        var silence = await Guests.LongestSilenceAsync(machine.Address, async () =>
        {
            await Shell.VirshAsync(stop, "snapshot-create-as", machine.Domain, $"turn{turn}", "--atomic", "--no-metadata", "--memspec", $"file={memory},snapshot=external",
                "--diskspec", $"vda,snapshot=external,file={Path.Combine(folder, $"{machine.Domain}.s{turn}.qcow2")}");
        }, stop);
        var stored = FileFacts.Read(memory).AllocatedBytes / 1048576.0;
        File.Delete(memory);
        return ((await events.PausesAsync(mark, [machine.Domain], stop))[machine.Domain], silence, stored);
    }

    /// <summary>
    /// The definitions of running copies as they are, under other names, UUIDs and overlays: `virsh create --paused` of all of them at once; ms until the last is there.
    /// They are removed again.
    /// </summary>
    public static async Task<double> CreateAsync(IReadOnlyList<string> domains, string folder, CancellationToken stop)
    {
        var files = new List<(string Xml, string Name)>();
        foreach (var domain in domains)
        {
            var xml = XDocument.Parse(await Shell.VirshAsync(stop, "dumpxml", domain));
            var name = $"{Names.Virsh}-bare-{files.Count}";
            xml.Root!.Element("name")!.Value = name;
            xml.Root.Element("uuid")!.Value = Guid.NewGuid().ToString();
            xml.Root.SetAttributeValue("id", null);
            foreach (var disk in xml.Descendants("disk"))
            {
                // A running machine holds its own file: beside it, on the same parent.
                var own = disk.Element("source")!.Attribute("file")!.Value;
                var parent = disk.Element("backingStore")?.Element("source")?.Attribute("file")?.Value ?? own;
                disk.Element("source")!.SetAttributeValue("file", parent);
                var overlay = Path.Combine(folder, $"{name}-{disk.Element("target")!.Attribute("dev")!.Value}.qcow2");
                File.Delete(overlay);
                await OverlayAsync(disk, overlay, stop);
            }
            foreach (var target in xml.Descendants("interface").Elements("target").ToList()) target.Remove();
            xml.Descendants("seclabel").Remove();
            var file = Path.Combine(folder, name + ".xml");
            await File.WriteAllTextAsync(file, xml.ToString(), stop);
            files.Add((file, name));
        }
        try
        {
            var clock = Stopwatch.StartNew();
            await Task.WhenAll(files.Select(f => Shell.VirshAsync(stop, "create", f.Xml, "--paused")));
            return clock.Elapsed.TotalMilliseconds;
        }
        finally
        {
            foreach (var (_, name) in files) await Shell.TryVirshAsync(CancellationToken.None, "destroy", name);
        }
    }
}
