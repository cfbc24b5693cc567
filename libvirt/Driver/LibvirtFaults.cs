using System.Collections.Frozen;
using System.Text.Json;
using LibvirtSharp;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>The one place where errors of libvirt and of QEMU's monitor become <see cref="WeaveException"/>s. A test holds the table total.</summary>
internal static class LibvirtFaults
{
    /// <summary>Fault of each libvirt error code; a code of a newer libvirt is Internal.</summary>
    internal static readonly FrozenDictionary<VirErrorCode, Fault> Table = new Dictionary<VirErrorCode, Fault>
    {
        // NotFound
        [VirErrorCode.UnknownHost] = Fault.NotFound, [VirErrorCode.NoSource] = Fault.NotFound, [VirErrorCode.NoTarget] = Fault.NotFound,
        [VirErrorCode.NoDevice] = Fault.NotFound, [VirErrorCode.NoDomain] = Fault.NotFound, [VirErrorCode.NoNetwork] = Fault.NotFound,
        [VirErrorCode.NoStoragePool] = Fault.NotFound, [VirErrorCode.NoStorageVol] = Fault.NotFound, [VirErrorCode.NoNodeDevice] = Fault.NotFound,
        [VirErrorCode.NoInterface] = Fault.NotFound, [VirErrorCode.NoNwfilter] = Fault.NotFound, [VirErrorCode.NoSecret] = Fault.NotFound,
        [VirErrorCode.NoDomainSnapshot] = Fault.NotFound, [VirErrorCode.NoDomainMetadata] = Fault.NotFound, [VirErrorCode.DeviceMissing] = Fault.NotFound,
        [VirErrorCode.NoNwfilterBinding] = Fault.NotFound, [VirErrorCode.NoDomainCheckpoint] = Fault.NotFound, [VirErrorCode.NoDomainBackup] = Fault.NotFound,
        [VirErrorCode.NoNetworkPort] = Fault.NotFound, [VirErrorCode.NoHostname] = Fault.NotFound,
        // AlreadyExists
        [VirErrorCode.DomExist] = Fault.AlreadyExists, [VirErrorCode.NetworkExist] = Fault.AlreadyExists, [VirErrorCode.StoragePoolBuilt] = Fault.AlreadyExists,
        [VirErrorCode.StorageVolExist] = Fault.AlreadyExists, [VirErrorCode.NetworkPortExist] = Fault.AlreadyExists,
        // InvalidRequest
        [VirErrorCode.InvalidArg] = Fault.InvalidRequest, [VirErrorCode.OsType] = Fault.InvalidRequest, [VirErrorCode.NoKernel] = Fault.InvalidRequest,
        [VirErrorCode.NoRoot] = Fault.InvalidRequest, [VirErrorCode.NoName] = Fault.InvalidRequest, [VirErrorCode.NoOs] = Fault.InvalidRequest,
        [VirErrorCode.XmlError] = Fault.InvalidRequest, [VirErrorCode.ParseFailed] = Fault.InvalidRequest, [VirErrorCode.ConfSyntax] = Fault.InvalidRequest,
        [VirErrorCode.XmlDetail] = Fault.InvalidRequest, [VirErrorCode.InvalidMac] = Fault.InvalidRequest, [VirErrorCode.MultipleInterfaces] = Fault.InvalidRequest,
        [VirErrorCode.Overflow] = Fault.InvalidRequest, [VirErrorCode.XmlInvalidSchema] = Fault.InvalidRequest, [VirErrorCode.MultipleDomains] = Fault.InvalidRequest,
        // Conflict
        [VirErrorCode.OperationInvalid] = Fault.Conflict, [VirErrorCode.MigratePersistFailed] = Fault.Conflict, [VirErrorCode.SnapshotRevertRisky] = Fault.Conflict,
        [VirErrorCode.OperationAborted] = Fault.Conflict, [VirErrorCode.MigrateUnsafe] = Fault.Conflict, [VirErrorCode.BlockCopyActive] = Fault.Conflict,
        [VirErrorCode.MigrateFinishOk] = Fault.Conflict, [VirErrorCode.CheckpointInconsistent] = Fault.Conflict,
        // Busy
        [VirErrorCode.OperationTimeout] = Fault.Busy, [VirErrorCode.ResourceBusy] = Fault.Busy,
        // Unsupported
        [VirErrorCode.NoSupport] = Fault.Unsupported, [VirErrorCode.NoXen] = Fault.Unsupported, [VirErrorCode.NoXenstore] = Fault.Unsupported,
        [VirErrorCode.NoSecurityModel] = Fault.Unsupported, [VirErrorCode.ConfigUnsupported] = Fault.Unsupported, [VirErrorCode.ArgumentUnsupported] = Fault.Unsupported,
        [VirErrorCode.StorageProbeFailed] = Fault.Unsupported, [VirErrorCode.OperationUnsupported] = Fault.Unsupported,
        [VirErrorCode.CpuIncompatible] = Fault.Unsupported,
        // Exhausted
        [VirErrorCode.NoMemory] = Fault.Exhausted, [VirErrorCode.DriverFull] = Fault.Exhausted,
        // Unavailable
        [VirErrorCode.NoConnect] = Fault.Unavailable, [VirErrorCode.InvalidConn] = Fault.Unavailable, [VirErrorCode.OperationDenied] = Fault.Unavailable,
        [VirErrorCode.Rpc] = Fault.Unavailable, [VirErrorCode.GnutlsError] = Fault.Unavailable, [VirErrorCode.WarNoNetwork] = Fault.Unavailable,
        [VirErrorCode.AuthFailed] = Fault.Unavailable, [VirErrorCode.WarNoStorage] = Fault.Unavailable, [VirErrorCode.WarNoNode] = Fault.Unavailable,
        [VirErrorCode.WarNoInterface] = Fault.Unavailable, [VirErrorCode.WarNoNwfilter] = Fault.Unavailable, [VirErrorCode.BuildFirewall] = Fault.Unavailable,
        [VirErrorCode.WarNoSecret] = Fault.Unavailable, [VirErrorCode.HookScriptFailed] = Fault.Unavailable, [VirErrorCode.AuthCancelled] = Fault.Unavailable,
        [VirErrorCode.Ssh] = Fault.Unavailable, [VirErrorCode.AgentUnresponsive] = Fault.Unavailable, [VirErrorCode.AccessDenied] = Fault.Unavailable,
        [VirErrorCode.DbusService] = Fault.Unavailable, [VirErrorCode.AuthUnavailable] = Fault.Unavailable, [VirErrorCode.NoServer] = Fault.Unavailable,
        [VirErrorCode.NoClient] = Fault.Unavailable, [VirErrorCode.AgentUnsynced] = Fault.Unavailable, [VirErrorCode.Libssh] = Fault.Unavailable,
        // Internal
        [VirErrorCode.Ok] = Fault.Internal, [VirErrorCode.InternalError] = Fault.Internal, [VirErrorCode.InvalidDomain] = Fault.Internal,
        [VirErrorCode.OperationFailed] = Fault.Internal, [VirErrorCode.GetFailed] = Fault.Internal, [VirErrorCode.PostFailed] = Fault.Internal,
        [VirErrorCode.HttpError] = Fault.Internal, [VirErrorCode.SexprSerial] = Fault.Internal, [VirErrorCode.XenCall] = Fault.Internal,
        [VirErrorCode.CallFailed] = Fault.Internal, [VirErrorCode.OpenFailed] = Fault.Internal, [VirErrorCode.ReadFailed] = Fault.Internal,
        [VirErrorCode.WriteFailed] = Fault.Internal, [VirErrorCode.InvalidNetwork] = Fault.Internal, [VirErrorCode.SystemError] = Fault.Internal,
        [VirErrorCode.InvalidStoragePool] = Fault.Internal, [VirErrorCode.InvalidStorageVol] = Fault.Internal, [VirErrorCode.InvalidNodeDevice] = Fault.Internal,
        [VirErrorCode.InvalidInterface] = Fault.Internal, [VirErrorCode.InvalidNwfilter] = Fault.Internal, [VirErrorCode.InvalidSecret] = Fault.Internal,
        [VirErrorCode.InvalidDomainSnapshot] = Fault.Internal, [VirErrorCode.InvalidStream] = Fault.Internal, [VirErrorCode.InvalidNwfilterBinding] = Fault.Internal,
        [VirErrorCode.InvalidDomainCheckpoint] = Fault.Internal, [VirErrorCode.InvalidNetworkPort] = Fault.Internal,
    }.ToFrozenDictionary();

    // libvirt and QEMU give many causes under one general code; only their text tells them apart. First match wins.
    private static readonly (string Text, Fault Fault, string? NextStep)[] Texts =
    [
        ("No space left on device", Fault.Exhausted, "Free space on the storage folder's file system and try again."),
        ("Disk quota exceeded", Fault.Exhausted, "Free space on the storage folder's file system and try again."),
        ("Cannot allocate memory", Fault.Exhausted, "Free memory on the host: stop weaves that are not needed."),
        ("cannot set up guest memory", Fault.Exhausted, "Free memory on the host: stop weaves that are not needed."),
        ("Too many open files", Fault.Exhausted, "Raise the limit of open files of libvirtd."),
        ("Background-snapshot is not supported by host kernel", Fault.Unsupported, "Set vm.unprivileged_userfaultfd=1 with sysctl."),
        ("not compatible with guest memory configuration", Fault.Unsupported, null),
        ("State blocked by non-migratable device", Fault.Unsupported, "Remove that device from the machine, or work without memory."),
        ("VFIO", Fault.Unsupported, "Remove the host device from the machine, or work without memory."),
        ("migration process in progress", Fault.Busy, "Try again when it has ended."),
        ("migration in progress", Fault.Busy, "Try again when it has ended."),
        ("block job already", Fault.Busy, "Try again when the block job has ended."),
        ("already in a block job", Fault.Busy, "Try again when the block job has ended."),
        ("Timed out during operation: cannot acquire state change lock", Fault.Busy, "Try again: another call works on that domain."),
        ("Failed to get \"write\" lock", Fault.Conflict, "End the other program that has the disk open."),
        ("Failed to get shared \"write\" lock", Fault.Conflict, "End the other program that has the disk open."),
        ("already exists with uuid", Fault.AlreadyExists, null),
        ("is already active", Fault.AlreadyExists, null),
        ("client socket is closed", Fault.Unavailable, StartLibvirtd),
        ("Cannot recv data", Fault.Unavailable, StartLibvirtd),
        ("Cannot write data", Fault.Unavailable, StartLibvirtd),
        ("End of file while reading data", Fault.Unavailable, StartLibvirtd),
        ("Failed to connect socket", Fault.Unavailable, StartLibvirtd),
        ("guest agent is not connected", Fault.Unavailable, "Install and start qemu-guest-agent in the guest."),
        ("End of file from qemu monitor", Fault.Unavailable, QemuEnded),
        ("Unable to read from monitor", Fault.Unavailable, QemuEnded),
        ("Unable to write to monitor", Fault.Unavailable, QemuEnded),
        ("closed the monitor", Fault.Unavailable, QemuEnded),
        ("Permission denied", Fault.Unavailable, "Look whether QEMU's user may open the file, and whether AppArmor or SELinux forbids it."),
        ("No such file or directory", Fault.NotFound, null),
        ("Input/output error", Fault.DataLoss, "Look at the kernel log for the disk below."),
    ];

    private const string QemuEnded = "The QEMU process ended: look into /var/log/libvirt/qemu.";
    private const string StartLibvirtd = "Start libvirtd (systemctl start libvirtd) and try again.";

    /// <summary>"Could not <paramref name="tried"/>: libvirt's message", with the fault of its code, or of its text where the code is a general one.</summary>
    public static WeaveException Translate(LibvirtException error, string tried)
    {
        var fault = Table.GetValueOrDefault(error.Code, Fault.Internal);
        string? next = fault == Fault.Unavailable && error.Code is VirErrorCode.NoConnect or VirErrorCode.InvalidConn or VirErrorCode.Rpc ? StartLibvirtd : null;
        if (error.Code is VirErrorCode.InternalError or VirErrorCode.OperationFailed or VirErrorCode.SystemError or VirErrorCode.OperationTimeout or VirErrorCode.ConfigUnsupported or VirErrorCode.OpenFailed
            or VirErrorCode.OperationInvalid or VirErrorCode.ReadFailed or VirErrorCode.WriteFailed or VirErrorCode.OperationUnsupported or VirErrorCode.AgentUnresponsive or VirErrorCode.Rpc
            && FromText(error.Message) is { } told)
            (fault, next) = (told.Fault, told.NextStep);
        return new(fault, $"Could not {tried}: {error.Message}", next, error);
    }

    /// <summary>libvirt, or a function of it, is not installed.</summary>
    public static WeaveException Translate(LibvirtMissingException error) => new(Fault.Unavailable, error.Message, "Install libvirt-daemon-system, 8.2 or newer.", error);

    /// <summary>libvirtd does not answer.</summary>
    public static WeaveException Dead(string uri, string reason, Exception? inner = null) =>
        new(Fault.Unavailable, $"libvirt does not answer at {uri}: {reason}", StartLibvirtd, inner);

    /// <summary>An error that QEMU's monitor answered: its class and description.</summary>
    public static WeaveException FromMonitor(string errorClass, string description, string tried)
    {
        var (fault, next) = errorClass switch
        {
            "CommandNotFound" => (Fault.Unsupported, "Update QEMU."),
            "DeviceNotFound" => (Fault.NotFound, null),
            "DeviceNotActive" => (Fault.Conflict, null),
            "KVMMissingCap" => (Fault.Unsupported, (string?)null),
            _ => FromText(description) is { } told ? (told.Fault, told.NextStep) : (Fault.Internal, null),
        };
        return new(fault, $"Could not {tried}: QEMU answered: {description}", next);
    }

    /// <summary>The `return` of a monitor answer; an answer with an error, or one that is none, is thrown.</summary>
    public static JsonElement ReadMonitor(string answer, string tried)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            var root = document.RootElement;
            if (root.TryGetProperty("return", out var value)) return value.Clone();
            if (root.TryGetProperty("error", out var error))
                throw FromMonitor(error.GetProperty("class").GetString() ?? "", error.GetProperty("desc").GetString() ?? "", tried);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new WeaveException(Fault.Internal, $"Could not {tried}: QEMU's answer cannot be read: {Ids.Quote(answer)}", null, error);
        }
        throw new WeaveException(Fault.Internal, $"Could not {tried}: QEMU's answer is neither a result nor an error: {Ids.Quote(answer)}");
    }

    private static (Fault Fault, string? NextStep)? FromText(string message)
    {
        foreach (var (text, fault, next) in Texts)
            if (message.Contains(text, StringComparison.OrdinalIgnoreCase)) return (fault, next);
        return null;
    }
}
