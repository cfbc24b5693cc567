using System.Diagnostics;
using System.Text;
using System.Text.Json;
using WeaveHypervisor.Service.Disks;

namespace WeaveHypervisor.Service.Tests.Disks;

/// <summary>`disk …` as people and scripts see it: what is written, and the exit code.</summary>
public sealed class DiskCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-disk").FullName;
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string this[string name] => Path.Combine(_folder, name);

    private static string Run(string program, params string[] arguments)
    {
        Assert.SkipUnless(File.Exists(program), $"{program} is not installed.");
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output + errors.Result);
        return output;
    }

    private static string Image(params string[] arguments) => Run("/usr/bin/qemu-img", arguments);
    private static void Io(string path, params string[] commands) => Run("/usr/bin/qemu-io", ["-f", "qcow2", .. commands.SelectMany(c => (string[])["-c", c]), path]);

    /// <summary>base.qcow2 of 10 MiB with data, zeroes and a compressed cluster; left.qcow2 and right.qcow2 on it, each with a change.</summary>
    private void Siblings()
    {
        Image("create", "-q", "-f", "qcow2", this["base.qcow2"], "10M");
        Io(this["base.qcow2"], "write -P 1 0 64k", "write -z 1M 1M", "write -c -P 4 4M 64k");
        foreach (var side in (string[])["left", "right"]) Image("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", this["base.qcow2"], this[side + ".qcow2"]);
        Io(this["left.qcow2"], "write -P 65 5M 4k");
        Io(this["right.qcow2"], "write -P 66 8M 512");
    }

    private async Task<(int Code, string Out, string Error)> Disk(bool terminal, params string[] words)
    {
        using var raw = new MemoryStream();
        using var error = new StringWriter();
        var console = new DiskConsole { Out = new StreamWriter(raw, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" }, Error = error, Raw = raw, OutIsTerminal = terminal, Width = 42 };
        var code = await DiskCommand.RunAsync([.. words.Select(w => w.Replace("$", _folder + "/", StringComparison.Ordinal))], console, default);
        await console.Out.DisposeAsync();
        return (code, Encoding.UTF8.GetString(raw.ToArray()).Replace(_folder, "/images", StringComparison.Ordinal), error.ToString().Replace(_folder, "/images", StringComparison.Ordinal).ReplaceLineEndings("\n"));
    }

    [Fact]
    public async Task A_map_is_a_picture_with_sums_and_ranges_on_a_terminal()
    {
        Siblings();
        var (code, text, _) = await Disk(true, "map", "--", "$left.qcow2");
        Assert.Equal(0, code);
        Assert.Equal("""
            █···░░░░········▓···█···················
            0                                 10 MiB
            █ data  ▓ compressed  ░ zero  · nothing
            LAYER  DATA    COMPRESSED  ZERO   EXTENTS  FILE
            0      64 KiB  0 B         0 B    1        /images/left.qcow2
            1      64 KiB  64 KiB      1 MiB  3        /images/base.qcow2
            OFFSET   LENGTH   KIND        LAYER  IN FILE AT
            0        65536    data        1      327680
            65536    983040   nothing
            1048576  1048576  zero        1
            2097152  2097152  nothing
            4194304  65536    compressed  1
            4259840  983040   nothing
            5242880  65536    data        0      327680
            5308416  5177344  nothing

            """.ReplaceLineEndings("\n"), text);
    }

    [Fact]
    public async Task A_map_is_a_line_for_each_range_in_a_pipe()
    {
        Siblings();
        var (_, text, _) = await Disk(false, "map", "--", "$left.qcow2");
        Assert.StartsWith("offset\tlength\tkind\tlayer\tfile-offset\n0\t65536\tdata\t1\t327680\n65536\t983040\tnothing\t\t\n", text);
    }

    [Fact]
    public async Task A_map_as_json_is_that_of_qemu()
    {
        Siblings();
        Assert.Equal(Image("map", "--output=json", "-f", "qcow2", this["left.qcow2"]), (await Disk(true, "map", "--json", "--", "$left.qcow2")).Out);
    }

    [Fact]
    public async Task A_difference_tells_sides_sums_and_the_common_layer()
    {
        Siblings();
        var (code, text, _) = await Disk(true, "diff", "--", "$left.qcow2", "$right.qcow2");
        Assert.Equal(0, code);
        Assert.Equal("""
            ····················◀···········▶·······
            0                                 10 MiB
            ◀ changed by left alone  ▶ changed by right alone  ◆ changed by both
            left                    /images/left.qcow2
            right                   /images/right.qcow2
            common layer            /images/base.qcow2
            result                  8 KiB differ in 2 ranges
            changed by left alone   4 KiB
            changed by right alone  4 KiB
            changed by both         0 B
            capacity                10 MiB
            compared                128 KiB

            """.ReplaceLineEndings("\n"), text[..text.IndexOf("read ", StringComparison.Ordinal)]);
        Assert.EndsWith("OFFSET   LENGTH  SIDE\n5242880  4096    left\n8388608  4096    right\n", text);
    }

    [Fact]
    public async Task A_difference_in_a_pipe_is_its_ranges_and_its_summary_the_sums()
    {
        Siblings();
        Assert.Equal("offset\tlength\tside\n5242880\t4096\tleft\n8388608\t512\tright\n", (await Disk(false, "diff", "--granularity", "512", "--", "$left.qcow2", "$right.qcow2")).Out);
        Assert.Contains("changed by left alone\t4096\n", (await Disk(false, "diff", "--summary", "--", "$left.qcow2", "$right.qcow2")).Out);
        var json = JsonDocument.Parse((await Disk(false, "diff", "--json", "--", "$left.qcow2", "$right.qcow2")).Out).RootElement;
        Assert.Equal(("left", 5242880, 4096L), (json.GetProperty("ranges")[0].GetProperty("side").GetString(), json.GetProperty("ranges")[0].GetProperty("offset").GetInt64(), json.GetProperty("leftOnlyBytes").GetInt64()));
        Assert.False(JsonDocument.Parse((await Disk(false, "diff", "--json", "--summary", "--", "$left.qcow2", "$right.qcow2")).Out).RootElement.TryGetProperty("ranges", out _));
    }

    [Fact]
    public async Task Few_different_bytes_are_shown_as_digits_and_many_are_not()
    {
        Siblings();
        var (_, text, _) = await Disk(false, "diff", "--hex", "--granularity", "512", "--", "$left.qcow2", "$right.qcow2");
        Assert.Contains("000000500000 < 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41 41  AAAAAAAAAAAAAAAA\n             > 00 00", text);
        Io(this["left.qcow2"], "write -P 9 6M 1M");
        Assert.Equal(2, (await Disk(false, "diff", "--hex", "--", "$left.qcow2", "$right.qcow2")).Code);
    }

    [Fact]
    public async Task Info_tells_the_chain_snapshots_and_bitmaps()
    {
        Siblings();
        Image("snapshot", "-c", "before", this["left.qcow2"]);
        Image("bitmap", "--add", this["left.qcow2"], "marks");
        var (code, text, _) = await Disk(false, "info", "--", "$left.qcow2");
        Assert.Equal(0, code);
        foreach (var line in (string[])["format\tqcow2\n", "capacity\t10485760\n", "cluster size\t65536\n", "layers\t2\n", "\n1\tqcow2\t10485760\t", "\n1\tbefore\t", "\nmarks\t65536\trecording\n"]) Assert.Contains(line, text);
        var json = JsonDocument.Parse((await Disk(false, "info", "--json", "--", "$left.qcow2")).Out).RootElement;
        Assert.Equal((2, "before", "marks"), (json.GetProperty("layers").GetArrayLength(), json.GetProperty("layers")[0].GetProperty("snapshots")[0].GetProperty("name").GetString(), json.GetProperty("layers")[0].GetProperty("bitmaps")[0].GetProperty("name").GetString()));
    }

    [Fact]
    public async Task A_check_tells_of_each_layer_and_fails_where_there_are_errors()
    {
        Siblings();
        var (code, text, error) = await Disk(false, "check", "--", "$left.qcow2");
        Assert.Equal((0, "no errors; the layers belong together\n"), (code, error));
        Assert.Contains("0\tok\t0\t0\t1 of 160\t0\t0\t/images/left.qcow2\n", text);
        using (var file = File.OpenWrite(this["base.qcow2"]))
        {
            // The refcount of the header's cluster.
            file.Position = 2 << 16;
            file.Write([0, 0]);
        }
        (code, text, error) = await Disk(false, "check", "--", "$left.qcow2");
        Assert.Equal(1, code);
        Assert.Contains("1\terror\trefcount\t0\tof the cluster is 0, and 1 refer to it\n", text);
        Assert.StartsWith("1 errors", error);
        Assert.Equal(1, (await Disk(false, "check", "--json", "--", "$left.qcow2")).Code);
    }

    [Fact]
    public async Task What_is_refused_says_file_structure_and_place_with_the_exit_code_of_its_kind()
    {
        Siblings();
        Assert.Equal(3, (await Disk(false, "info", "--", "$absent.qcow2")).Code);
        Assert.Equal(2, (await Disk(false, "info", "--", "$absent")).Code);
        Assert.Equal(2, (await Disk(false, "info", "--nonsense", "--", "$left.qcow2")).Code);
        File.WriteAllText(this["no.qcow2"], "not an image");
        Assert.Equal(1, (await Disk(false, "info", "--", "$no.qcow2")).Code);
        Directory.CreateDirectory(this["elsewhere"]);
        File.Move(this["base.qcow2"], this["elsewhere/base.qcow2"]);
        Image("rebase", "-u", "-F", "qcow2", "-b", "../base.qcow2", this["left.qcow2"]);
        File.CreateSymbolicLink(Path.Combine(_folder, "base.qcow2"), "/etc/hostname");
        var (code, json, error) = await Disk(false, "map", "--json", "--", "$left.qcow2");
        Assert.Equal((1, "dataLoss"), (code, JsonDocument.Parse(json).RootElement.GetProperty("fault").GetString()));
        Image("rebase", "-u", "-F", "qcow2", "-b", "base.qcow2", this["left.qcow2"]);
        (code, _, error) = await Disk(false, "map", "--", "$left.qcow2");
        Assert.Equal(4, code);
        Assert.Contains("is outside of '/images'", error);
        File.Delete(this["base.qcow2"]);
        File.Move(this["elsewhere/base.qcow2"], this["base.qcow2"]);
        using (var file = File.OpenWrite(this["left.qcow2"]))
        {
            file.Position = 3 << 16;
            file.Write([0x80, 0, 0, 0, 0x70, 0, 0, 0]);     // the first L1 entry, far behind the end
        }
        (code, _, error) = await Disk(false, "map", "--", "$left.qcow2");
        Assert.Equal(1, code);
        Assert.Contains("'/images/left.qcow2' is damaged: L1 entry 0 leads behind the end of the file", error);
    }
}
