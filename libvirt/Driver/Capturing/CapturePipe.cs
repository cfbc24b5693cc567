using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using LibvirtSharp;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// The pipe by which QEMU hands over a machine's memory. Once a background snapshot has begun it is read to its end, whatever happens: measured on QEMU 7.2,
/// one that is cancelled or whose pipe breaks leaves the guest's memory write-protected, and with the guest's next write machine and monitor hang for good.
/// So the pipe has three readers. This process splits the stream, and reads on without keeping anything after an error. Should it die, a child of one
/// line reads the rest. And QEMU itself keeps a copy of the read end, so that the pipe is whole even with no reader left: then the guest waits, until the next
/// start of the service reads on (<see cref="Reopen"/>).
/// </summary>
internal sealed partial class CapturePipe : IDisposable
{
    /// <summary>Name of all descriptors that QEMU is given for a capture.</summary>
    internal const string Mark = "weave-capture";
    /// <summary>Opens the pipe, says so, and waits for a line; where its input ends without one, the process that was to write it is dead, and it reads what is left.</summary>
    private const string ReadOn = """exec 3< "$1" || exit 1; echo ready; exec > /dev/null 2>&1; read -r line && exit 0; exec cat <&3""";
    private readonly AnonymousPipeServerStream _pipe;
    private readonly Process _standIn;

    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private CapturePipe(AnonymousPipeServerStream pipe, Process standIn) => (_pipe, _standIn) = (pipe, standIn);

    /// <summary>What QEMU is told to migrate to.</summary>
    public static string Uri => "fd:" + Mark;

    /// <summary>Ends when the whole stream has been read, also where it ends with an error.</summary>
    public Task<SplitResult> Split { get; private set; } = null!;

    /// <summary>True once the pipe is read.</summary>
    public bool IsOpen => _gate.Task.IsCompleted;

    /// <summary>Lets the stream flow. No effect where it flows.</summary>
    public void Open() => _gate.TrySetResult();

    /// <summary>Gives a machine's QEMU the write end, and begins to split what comes.</summary>
    /// <param name="note">Called with the pipe's name before QEMU has it; what <see cref="Reopen"/> needs after a crash.</param>
    /// <param name="shut">The pipe is filled, so that QEMU waits with the first byte of its stream, until <see cref="Open"/>.</param>
    public static async Task<CapturePipe> OpenAsync(LibvirtDomain domain, CaptureMachine machine, FileOwner? owner, Action<string> note, IProgress<long>? progress, CancellationToken stop, bool shut = false)
    {
        var pipe = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.None, 1 << 20);
        Process? standIn = null;
        try
        {
            var readEnd = (int)pipe.SafePipeHandle.DangerousGetHandle();
            var path = $"/proc/{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}/fd/{readEnd.ToString(CultureInfo.InvariantCulture)}";
            note(new FileInfo(path).LinkTarget!);
            standIn = await StandInAsync(path, stop);
            var filling = shut ? Fill(pipe) : 0;
            await Monitor.KeepFileAsync(domain, Mark, readEnd, stop);
            await Monitor.PassFileAsync(domain, Mark, (int)pipe.ClientSafePipeHandle.DangerousGetHandle(), stop);
            // QEMU holds the only write end now: when it closes it, the stream ends.
            pipe.DisposeLocalCopyOfClientHandle();
            var splitter = new MigrationStreamSplitter { Owner = owner, Base = machine.Newest };
            var made = new CapturePipe(pipe, standIn);
            if (!shut) made.Open();
            made.Split = Task.Factory.StartNew(() =>
            {
                made._gate.Task.Wait(CancellationToken.None);
                pipe.ReadExactly(new byte[filling]);
                return ReadAsync(splitter, new GatheringReader(pipe), machine, progress, stop);
            }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();
            return made;
        }
        catch
        {
            pipe.Dispose();
            if (standIn is not null) Dismiss(standIn);
            throw;
        }
    }

    /// <summary>Writes as much into the empty pipe as it holds.</summary>
    private static int Fill(AnonymousPipeServerStream pipe)
    {
        var capacity = GetFlags(pipe.ClientSafePipeHandle, GetPipeSize, 0);
        if (capacity <= 0) throw new IOException("The size of a pipe is not known.");
        using var file = new SafeFileHandle(pipe.ClientSafePipeHandle.DangerousGetHandle(), ownsHandle: false);
        using var stream = new FileStream(file, FileAccess.Write, bufferSize: 0);
        stream.Write(new byte[capacity]);
        return capacity;
    }

    private static async Task<Process> StandInAsync(string path, CancellationToken stop)
    {
        // In a session of its own: a terminal's Ctrl-C to the service must not end it too.
        var child = Process.Start(new ProcessStartInfo("setsid", ["sh", "-c", ReadOn, "sh", path]) { RedirectStandardInput = true, RedirectStandardOutput = true, UseShellExecute = false })!;
        try
        {
            if (await child.StandardOutput.ReadLineAsync(stop) == "ready") return child;
            throw new WeaveException(Fault.Internal, $"The process that reads a machine's memory in this one's place could not open {path}.", "Look at the host: are sh and /proc as usual?");
        }
        catch
        {
            Dismiss(child);
            throw;
        }
    }

    private static async Task<SplitResult> ReadAsync(MigrationStreamSplitter splitter, Stream pipe, CaptureMachine machine, IProgress<long>? progress, CancellationToken stop)
    {
        try
        {
            return await splitter.SplitAsync(pipe, machine.FlatPath, machine.DeviceStatePath, progress, stop);
        }
        catch
        {
            // A full pool, a stream that is not understood, a cancellation: the guest must be able to write all the same.
            await pipe.CopyToAsync(Stream.Null, CancellationToken.None);
            throw;
        }
    }

    /// <summary>
    /// Reads on in the place of a process that has died, until QEMU closes its end; what comes is not kept. Uses no monitor command, because a machine whose vCPU waits for
    /// the pipe answers none. Null where QEMU no longer has the pipe.
    /// </summary>
    /// <param name="name">As given to the note of <see cref="OpenAsync"/>: `pipe:[inode]`.</param>
    public static Task? Reopen(int qemu, string name)
    {
        if (!name.StartsWith("pipe:[", StringComparison.Ordinal)) return null;
        try
        {
            foreach (var file in new DirectoryInfo($"/proc/{qemu.ToString(CultureInfo.InvariantCulture)}/fd").EnumerateFileSystemInfos())
            {
                if (file.LinkTarget != name) continue;
                // Opening a pipe that nobody writes would wait for ever without O_NONBLOCK; reading it gives the end at once.
                var handle = Open(file.FullName, OpenReadOnly | OpenNonBlocking | OpenCloseOnExec);
                if (handle.IsInvalid) return null;
                _ = SetFlags(handle, SetStatusFlags, 0);
                return Task.Factory.StartNew(() => Drain(handle), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The process has ended, and with it the pipe.
        }
        return null;
    }

    private static void Drain(SafeFileHandle handle)
    {
        using var pipe = new FileStream(handle, FileAccess.Read, bufferSize: 0);
        pipe.CopyTo(Stream.Null);
    }

    /// <summary>
    /// Ends the hand-over on QEMU's side: a transfer that is not a background snapshot is cancelled, one that is has to come to its end; then QEMU closes what it was given.
    /// There must be a reader. Repeatable.
    /// </summary>
    public static async Task EndAsync(LibvirtDomain domain, TimeProvider clock, CancellationToken stop)
    {
        if ((await Monitor.MigrationAsync(domain, stop)).Goes && !await Monitor.HasCapabilityAsync(domain, "background-snapshot", stop)) await Monitor.ExecuteAsync(domain, "migrate_cancel", null, stop);
        while ((await Monitor.MigrationAsync(domain, stop)).Goes) await Task.Delay(TimeSpan.FromMilliseconds(5), clock, stop);
        await Monitor.SetCapabilityAsync(domain, "background-snapshot", false, stop);
        await LivePath.ResetAsync(domain, stop);
        await Monitor.CloseFileAsync(domain, Mark, stop);
        await Monitor.ReleaseFilesAsync(domain, Mark, stop);
    }

    /// <summary>Only after <see cref="EndAsync"/>, or where QEMU has ended: the pipe must not lose its reader before.</summary>
    public void Dispose()
    {
        Open();
        _pipe.Dispose();
        Dismiss(_standIn);
    }

    private static void Dismiss(Process child)
    {
        using (child)
        using (child.StandardOutput)
        {
            try
            {
                child.StandardInput.WriteLine();
                child.StandardInput.Close();
            }
            catch (IOException)
            {
                // It has ended already.
            }
        }
    }

    // open(2) and fcntl(2) of Linux.
    private const int OpenReadOnly = 0, OpenNonBlocking = 0x800, OpenCloseOnExec = 0x80000, SetStatusFlags = 4, GetPipeSize = 1032;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int SetFlags(SafeFileHandle file, int command, int flags);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int GetFlags(SafePipeHandle file, int command, int argument);
}
