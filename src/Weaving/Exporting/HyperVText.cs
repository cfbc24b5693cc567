using System.Globalization;
using System.Text;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using static WeaveHypervisor.Weaving.Exporting.VagrantText;

namespace WeaveHypervisor.Weaving.Exporting;

/// <summary>
/// The Vagrantfile and the parts of a box for Vagrant's provider Hyper-V. Pure. What the provider reads of a box is in its scripts (plugins/providers/hyperv of Vagrant 2.3, action/import.rb and
/// scripts/utils/VagrantVM: `New-VagrantVMXML`): the first image in `Virtual Hard Disks`, and an XML configuration of the kind that Windows Server 2012 R2 exports, of which it makes a new machine.
/// It takes one disk and one interface; what more there is the Vagrantfile adds by itself.
/// </summary>
internal static class HyperVText
{
    public const string Metadata = """{"provider":"hyperv"}""" + "\n", Configuration = "Virtual Machines/box.xml";

    /// <summary>Name of a disk in its box, the first one's being 1: only the first is where the provider looks.</summary>
    public static string ImageOf(int disk) => disk == 1 ? "Virtual Hard Disks/disk1.vhdx" : string.Create(CultureInfo.InvariantCulture, $"Data Disks/disk{disk}.vhdx");

    /// <summary>Generation 2 where the machine boots by UEFI, without secure boot; its disk on SCSI, in generation 1 on IDE.</summary>
    public static string MachineXml(string name, FirmwareKind firmware, int virtualCpus, long memoryBytes)
    {
        static XElement Typed(string element, string type, object value) => new(element, new XAttribute("type", type), value);
        var uefi = firmware == FirmwareKind.Uefi;
        var controller = new XElement("controller0", new XElement("drive0", Typed("pathname", "string", "disk1.vhdx"), Typed("type", "string", "VHD")));
        var devices = new XElement("disks", uefi ? Typed("ChannelInstanceGuid", "string", "{00000000-0000-0000-0000-000000000001}") : null, controller);
        var xml = new XElement("configuration",
            new XElement("properties", Typed("name", "string", name), Typed("subtype", "integer", uefi ? 1 : 0)),
            new XElement("settings", new XElement("processors", Typed("count", "integer", virtualCpus)),
                new XElement("memory", new XElement("bank", Typed("size", "integer", Megabytes(memoryBytes)), Typed("limit", "integer", Megabytes(memoryBytes)), Typed("reservation", "integer", Megabytes(memoryBytes)), Typed("dynamic_memory_enabled", "bool", "False")))),
            new XElement("boot", Typed("device0", "string", "HardDrive")), Typed("secure_boot_enabled", "bool", "False"), devices);
        return $"""<?xml version="1.0" encoding="utf-8"?>{"\n"}{xml}{"\n"}""";
    }

    /// <summary>Hyper-V takes even numbers of MiB, from 32 on.</summary>
    private static long Megabytes(long bytes) => Math.Max(32, (bytes + (2 << 20) - 1) / (2 << 20) * 2);

    public static string Vagrantfile(ExportManifest export)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            # {export.Environment}/{export.Weave} as it was at {export.At.Rfc()}, exported by WeaveHypervisor; what could not be carried is in {ExportManifest.FileName}.
            #   vagrant up --no-parallel          as an administrator of a Windows host with Hyper-V
            # Settings from the environment, each with its default:
            #   WEAVE_EXPORT_SWITCH=Default Switch  Hyper-V's switch by which Vagrant reaches the machines that it made
            #   WEAVE_EXPORT_GUEST=linux            Vagrant's name of the guests' kind
            #   WEAVE_EXPORT_USER=vagrant           who logs in
            # The lab's own networks are private switches, without an address of the host, that are made when the first machine needs them. To remove them after `vagrant destroy`:
            #   Get-VMSwitch '{export.Prefix}-*' | Remove-VMSwitch

            switch = ENV.fetch("WEAVE_EXPORT_SWITCH", "Default Switch")

            # Vagrant's import knows one disk and one interface of a machine. These are the others: images in the box, and MAC and switch.
            MORE = {More(export)}
            # These were not made by Vagrant, which therefore neither waits for an address of theirs nor logs in.
            SILENT = [{string.Join(", ", export.Machines.Where(m => !IsReached(m)).Select(m => Quoted(m.Name.Text)))}]


            """);
        text.Append($$$"""
            require "fileutils"
            require Vagrant.source_root.join("plugins/providers/hyperv/driver").to_s
            {{{Silent}}}
            VagrantPlugins::HyperV::Driver.prepend(Module.new do
              def import(options)
                server = super
                # .vagrant/machines/NAME/hyperv
                name = options["DataPath"].tr("\\", "/").split("/")[-2]
                more = MORE.fetch(name)
                box = File.expand_path("../..", options["SourcePath"].tr("\\", "/"))
                more[:disks].each do |image|
                  disk = File.join(File.dirname(options["DestinationPath"].tr("\\", "/")), File.basename(image))
                  FileUtils.cp(File.join(box, image), disk)
                  execute(:attach_disk_drive, VmId: server["id"], Path: disk.tr("/", "\\"), ControllerType: "SCSI")
                end
                commands = more[:nics].map do |mac, network|
                  "if (!(Get-VMSwitch | Where-Object Name -eq '#{network}')) { New-VMSwitch -Name '#{network}' -SwitchType Private | Out-Null }; " \
                  "Add-VMNetworkAdapter -VM (Get-VM -Id '#{server["id"]}') -SwitchName '#{network}' -StaticMacAddress '#{mac}'"
                end
                unless commands.empty?
                  result = Vagrant::Util::PowerShell.execute_inline("$ErrorActionPreference = 'Stop'; " + commands.join("; "))
                  raise "interfaces of #{name}: #{result.stderr}" if result.exit_code != 0
                end
                server
              end

              def read_guest_ip
                silent = SILENT.any? { |name| File.read(File.join(__dir__, ".vagrant/machines", name, "hyperv/id")).strip == vm_id rescue false }
                silent ? { "ip" => "0.0.0.0" } : super
              end
            end)

            Vagrant.configure("2") do |config|
            {{{Common}}}

            """);
        foreach (var machine in export.Machines) Machine(text, export, machine);
        return text.Append("end\n").ToString();
    }

    private static void Machine(StringBuilder text, ExportManifest export, ExportedMachine machine)
    {
        void Line(string line) => text.Append("    ").Append(line).Append('\n');
        text.Append(CultureInfo.InvariantCulture, $"\n  config.vm.define {Quoted(machine.Name.Text)} do |m|\n");
        Line($"m.vm.box = {Quoted($"{export.Prefix}-{machine.Name}")}");
        Line($"m.vm.box_url = File.join(__dir__, {Quoted(machine.Box.Path)})");
        if (IsReached(machine)) foreach (var line in KeyLines(machine)) Line(line);
        else Line("m.vm.communicator = \"null\"");
        // The interface that Vagrant makes, and connects. One that is not Vagrant's has it, too, beside its own.
        Line("m.vm.network :public_network, bridge: switch");
        Line("m.vm.provider :hyperv do |h|");
        Line($"  h.vmname = {Quoted($"{export.Prefix}-{machine.Name}")}");
        Line(string.Create(CultureInfo.InvariantCulture, $"  h.memory = {Megabytes(machine.MemoryBytes)}"));
        Line(string.Create(CultureInfo.InvariantCulture, $"  h.cpus = {machine.VirtualCpus}"));
        Line("  h.enable_checkpoints = false");
        Line("  h.enable_automatic_checkpoints = false");
        Line("end");
        text.Append("  end\n");
    }

    private static string More(ExportManifest export)
    {
        var text = new StringBuilder("{\n");
        foreach (var machine in export.Machines)
            text.Append(CultureInfo.InvariantCulture, $"  {Quoted(machine.Name.Text)} => {{ disks: [{string.Join(", ", machine.Volumes.Skip(1).Select(v => Quoted(v.Image)))}], nics: [{string.Join(", ", machine.Nics.Where(n => !n.IsManagement)
                .Select(n => $"[{Quoted(n.Mac.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant())}, {Quoted($"{export.Prefix}-{n.Network}")}]"))}] }},\n");
        return text.Append('}').ToString();
    }
}
