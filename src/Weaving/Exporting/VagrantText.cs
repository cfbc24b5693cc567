using System.Globalization;
using System.Text;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Exporting;

/// <summary>Writes the Vagrantfile of a folder that is exported for libvirt, and what a box says of itself. Pure: the same manifest, the same text. Every name is quoted, whatever it is.</summary>
internal static class VagrantText
{
    /// <summary>metadata.json of a box in vagrant-libvirt's second format: disks are vda, vdb… in this order, with the sizes of their images.</summary>
    public static string BoxMetadata(IEnumerable<string> images) => $$"""{"provider":"libvirt","format":"qcow2","disks":[{{string.Join(',', images.Select(i => $$"""{"path":"{{i}}"}"""))}}]}""" + "\n";

    /// <summary>For all machines of a lab, whatever the provider.</summary>
    public const string Common = """
          config.vm.guest = ENV.fetch("WEAVE_EXPORT_GUEST", "linux").to_sym
          config.vm.synced_folder ".", "/vagrant", disabled: true
          config.vm.graceful_halt_timeout = 30
          # The guests have the keys that they had.
          config.ssh.insert_key = false
          config.ssh.username = ENV.fetch("WEAVE_EXPORT_USER", "vagrant")
          config.ssh.shell = "/bin/sh"
        """;

    /// <summary>A communicator, "null", for machines that nobody logs in to.</summary>
    public const string Silent = """
        class SilentCommunicator < Vagrant.plugin("2", :communicator)
          def self.match?(_machine); true; end
          def initialize(machine); end
          def ready?; true; end
          def wait_for_ready(_timeout); true; end
          def test(_command, _options = nil); true; end
          def execute(_command, _options = nil); 0; end
          def sudo(_command, _options = nil); 0; end
        end
        class SilentPlugin < Vagrant.plugin("2")
          name "weave-silent"
          communicator("null") { SilentCommunicator }
        end
        """;

    public static string Vagrantfile(ExportManifest export)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            # {export.Environment}/{export.Weave} as it was at {export.At.Rfc()}, exported by WeaveHypervisor; what could not be carried is in {ExportManifest.FileName}.
            #   vagrant up --no-parallel
            # Settings from the environment, each with its default:
            #   WEAVE_EXPORT_DRIVER=kvm           qemu where there is no KVM
            #   WEAVE_EXPORT_POOL=default         libvirt's storage pool
            #   WEAVE_EXPORT_NETWORK=veryisolated closed networks without an address of the host, so that the original may run beside this one;
            #                                     nat, none or route: the gateway and DHCP of the original, on a host where its addresses are free
            #   WEAVE_EXPORT_MANAGEMENT=          "NAME NETWORK/BITS": a management network of its own, in place of vagrant-libvirt
            #   WEAVE_EXPORT_GUEST=linux          Vagrant's name of the guests' kind
            #   WEAVE_EXPORT_USER=vagrant         who logs in

            driver, pool, mode = ENV.fetch("WEAVE_EXPORT_DRIVER", "kvm"), ENV.fetch("WEAVE_EXPORT_POOL", "default"), ENV.fetch("WEAVE_EXPORT_NETWORK", "veryisolated")
            management = ENV.fetch("WEAVE_EXPORT_MANAGEMENT", "").split


            """);
        var silent = export.Machines.Where(m => !IsReached(m)).Select(m => m.Name).ToList();
        if (silent.Count > 0) text.Append(Silence(silent));
        text.Append(CultureInfo.InvariantCulture, $"""
            Vagrant.configure("2") do |config|
            {Common}
              config.vm.provider :libvirt do |l|
                l.driver = driver
                l.storage_pool_name = pool
                l.default_prefix = {Quoted(export.Prefix + "-")}
                if management.length == 2
                  l.management_network_name, l.management_network_address = management
                else
                  l.management_network_keep = true
                end
              end

            """);
        foreach (var machine in export.Machines) Machine(text, export, machine);
        return text.Append("end\n").ToString();
    }

    private static void Machine(StringBuilder text, ExportManifest export, ExportedMachine machine)
    {
        void Line(string line) => text.Append("    ").Append(line).Append('\n');
        text.Append(CultureInfo.InvariantCulture, $"\n  config.vm.define {Quoted(machine.Name.Text)} do |m|\n");
        Line($"m.vm.box = {Quoted($"{export.Prefix}-{machine.Name}")}");
        Line($"m.vm.box_url = \"file://\" + File.join(__dir__, {Quoted(machine.Box.Path)})");
        if (IsReached(machine))
        {
            foreach (var line in KeyLines(machine)) Line(line);
        }
        else
        {
            Line("m.vm.communicator = \"null\"");
            Line("m.vm.graceful_halt_timeout = 10");
        }
        foreach (var nic in machine.Nics.Where(n => !n.IsManagement)) Line(Network(export, nic));
        Line("m.vm.provider :libvirt do |l|");
        Line(string.Create(CultureInfo.InvariantCulture, $"  l.memory = {(machine.MemoryBytes + (1 << 20) - 1) >> 20}"));
        Line(string.Create(CultureInfo.InvariantCulture, $"  l.cpus = {machine.VirtualCpus}"));
        if (machine.Chipset is { } chipset) Line($"  l.machine_type = {Quoted(chipset)}");
        if (machine.Firmware == FirmwareKind.Uefi) Line("  l.loader = ENV.fetch(\"WEAVE_EXPORT_OVMF\", \"/usr/share/ovmf/OVMF.fd\")");
        if (machine.Volumes is [var first, ..]) Line($"  l.disk_bus = {Quoted(first.Bus)}");
        if (machine.Nics is [var nic0, ..]) Line($"  l.nic_model_type = {Quoted(nic0.Model)}");
        if (!machine.Nics.Any(n => n.IsManagement)) Line("  l.mgmt_attach = false");
        Line("  l.boot \"hd\"");
        Line("end");
        text.Append("  end\n");
    }

    public static IEnumerable<string> KeyLines(ExportedMachine machine)
    {
        List<string> keys = [$"File.join(__dir__, {Quoted(ExportKeys.PathOf(machine.Name))})"];
        if (machine.VagrantFolder is { } folder) keys.Add(Quoted(ExportKeys.OriginalOf(folder, machine.Name)));
        yield return $"key = [{string.Join(", ", keys)}].find {{ |file| File.readable?(file) }}";
        // A disk of an instant right after `vagrant up` may not have the new key yet: guests write it to the disk when they like. Then Vagrant's own still lets in.
        yield return "m.ssh.private_key_path = [key, Vagrant.user_data_path.join(\"insecure_private_key\").to_s].compact";
    }

    private static string Network(ExportManifest export, NicShape nic)
    {
        var network = export.Networks.First(n => n.Name == nic.Network);
        // vagrant-libvirt knows a network by an address in it, and demands one.
        var address = nic.Addresses.Count > 0 ? nic.Addresses[0] : network.Gateway is { } gateway ? gateway[..(gateway.LastIndexOf('.') + 1)] + "254" : "10.255.255.2";
        // Without a gateway there is nothing that the host could be in it.
        var mode = network.Gateway is null ? "'veryisolated'" : "mode";
        var mask = network.Gateway is null ? "" : $", netmask: {Quoted(Mask(network.PrefixLength))}";
        return $"m.vm.network :private_network, ip: {Quoted(address)}{mask}, mac: {Quoted(nic.Mac)}, auto_config: false, libvirt__network_name: {Quoted($"{export.Prefix}-{nic.Network}")}, "
            + $"libvirt__forward_mode: {mode}, libvirt__dhcp_enabled: {(network is { Dhcp: true, Gateway: not null } ? "mode != \"veryisolated\"" : "false")}{(network.Gateway is null ? "" : $", libvirt__host_ip: {Quoted(network.Gateway)}")}";
    }

    /// <summary>Vagrant logs in to machines that it made: they have its interface. Of others nobody knows whether they have a server for that, and Vagrant would wait ten minutes for one.</summary>
    public static bool IsReached(ExportedMachine machine) => machine.Nics.Any(n => n.IsManagement);

    private static string Silence(IReadOnlyList<MachineName> machines) => $$"""
        # These were not made by Vagrant, which therefore neither waits for an address of theirs nor logs in; remove `m.vm.communicator` of one that has an SSH server for it.
        SILENT = [{{string.Join(", ", machines.Select(m => Quoted(m.Text)))}}]
        {{Silent}}
        require "vagrant-libvirt/driver"
        VagrantPlugins::ProviderLibvirt::Driver.prepend(Module.new do
          def get_ipaddress(*arguments)
            SILENT.include?(@machine.name.to_s) ? "0.0.0.0" : super
          end
        end)


        """;

    private static string Mask(int prefix) => string.Join('.', Enumerable.Range(0, 4).Select(i => (uint.MaxValue << (32 - prefix) >> (24 - 8 * i)) & 255));

    /// <summary>A string of Ruby's in which nothing is read but backslash and quote.</summary>
    public static string Quoted(string text) => "'" + text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal) + "'";
}
