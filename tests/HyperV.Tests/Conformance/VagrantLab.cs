using System.Security.Cryptography;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Simulator;

namespace WeaveHypervisor.HyperV.Tests.Conformance;

/// <summary>
/// Machines as Vagrant's provider for Hyper-V leaves them on a simulated host, with `linked_clone`: disks in the folder of the Vagrantfile that stand on the image of a box, which all of them share, names that Vagrant makes up,
/// and standard checkpoints. By the provider's scripts (Vagrant 2.3.4): import.rb, set_name.rb, configure_vm.ps1, delete_vm.ps1.
/// </summary>
internal sealed class VagrantLab(SimulatedHost host, DriverContext context)
{
    public const string Book = @"C:\labs\shop\.vagrant\machines", Box = @"C:\Users\ann\.vagrant.d\boxes\debian12\0\hyperv\Virtual Hard Disks\box.vhdx";
    private const long DiskBytes = 8 << 20;
    private byte[]? _box;
    private int _named;

    public static string FolderOf(string machine) => HostPath.Join(Book, machine, "hyperv");
    public static string DiskOf(string machine) => HostPath.Join(FolderOf(machine), "Virtual Hard Disks", "box.vhdx");

    /// <summary>A machine that is off, after its book was written.</summary>
    public async Task<Guid> UpAsync(string machine, CimPath network, CancellationToken stop, ushort checkpoints = 5)
    {
        if (_box is null)
        {
            await host.Files.CreateFolderAsync(HostPath.Folder(Box), stop);
            await VhdxWriter.CreateAsync(host.Files.Local(Box), new(DiskBytes), stop);
            _box = Hash();
        }
        await host.Files.CreateFolderAsync(HostPath.Folder(DiskOf(machine)), stop);
        await context.Jobs.RunAsync(await context.Services.ImagesAsync(stop), ImageManagementService.CreateVirtualHardDisk(DiskFiles.LayerOn(Box, DiskOf(machine))), TimeSpan.FromMinutes(1), stop);
        var id = host.AddMachineOn([DiskOf(machine)], $"shop_{machine}_1764000000000_{++_named}", [network], memoryMegabytes: 64, checkpoints: checkpoints);
        // A host that does not let machines into parents would not have started it.
        await host.Files.GrantAsync(Box, id, stop);
        await host.Files.WriteAsync(HostPath.Join(FolderOf(machine), "id"), System.Text.Encoding.ASCII.GetBytes(id.ToString()), stop);
        return id;
    }

    /// <summary>What `vagrant destroy` does: the machine is stopped and removed, and then the whole folder of its book.</summary>
    public async Task DestroyAsync(string machine, CancellationToken stop)
    {
        var id = Guid.Parse((await host.Files.ReadAsync(HostPath.Join(FolderOf(machine), "id"), stop))!);
        if (host.StateOf(id) != 3) await context.Jobs.RunAsync(host.SystemOf(id), ComputerSystem.RequestStateChange(3), TimeSpan.FromMinutes(1), stop);
        await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.DestroySystem(host.SystemOf(id)), TimeSpan.FromMinutes(1), stop);
        Directory.Delete(host.Files.Local(FolderOf(machine)), recursive: true);
    }

    /// <summary>Files in a machine's book, without its folder.</summary>
    public async Task<IReadOnlyList<string>> FilesOfAsync(string machine, CancellationToken stop) =>
        [.. (await host.Files.ListAsync(FolderOf(machine), below: true, stop)).Where(f => !f.IsFolder).Select(f => f.Path[(FolderOf(machine).Length + 1)..]).Order(StringComparer.Ordinal)];

    /// <summary>Nothing was merged into the image that machines share.</summary>
    public void RequireSameBox()
    {
        if (_box is not null) Assert.Equal(_box, Hash());
    }

    private byte[] Hash() => SHA256.HashData(File.ReadAllBytes(host.Files.Local(Box)));
}
