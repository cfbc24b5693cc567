using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Finds the native libraries, starts the event loop, and silences libvirt's default error printer, once per process.</summary>
internal static unsafe class LibvirtLibrary
{
    internal const string Libvirt = "libvirt";
    internal const string LibvirtQemu = "libvirt-qemu";

    private static readonly Lock Gate = new();
    private static bool _started;

    internal static IReadOnlyList<string> Candidates(string library) =>
        OperatingSystem.IsWindows() ? [$"{library}-0.dll", $"{library}.dll"]
        : OperatingSystem.IsMacOS() ? [$"{library}.0.dylib", $"{library}.dylib"]
        : [$"{library}.so.0"];

    /// <summary>Loads the first candidate that exists.</summary>
    /// <exception cref="LibvirtMissingException">None exists; the message names them and the packages to install.</exception>
    internal static nint Load(IReadOnlyList<string> candidates)
    {
        foreach (var candidate in candidates)
        {
            if (NativeLibrary.TryLoad(candidate, out var handle))
            {
                return handle;
            }
        }

        throw new LibvirtMissingException(
            $"{string.Join(" or ", candidates)} was not found: install libvirt0 / libvirt-daemon-system (Debian, Ubuntu) or libvirt-libs / libvirt-daemon (Fedora, RHEL).");
    }

    /// <summary>Must run before the first connection, as libvirt ties a connection to the event loop that exists when it is opened.</summary>
    internal static void EnsureStarted()
    {
        lock (Gate)
        {
            if (_started)
            {
                return;
            }

            if (ConnectNative.EventRegisterDefault() < 0 || ConnectNative.Initialize() < 0)
            {
                throw LibvirtException.FromLastError();
            }

            // Sound: a static method without captures lives as long as the process.
            ConnectNative.SetErrorFunc(0, &IgnoreError);
            new Thread(RunEvents) { IsBackground = true, Name = "libvirt events" }.Start();
            _started = true;
        }
    }

#pragma warning disable CA2255 // The resolver must be there before any P/Invoke of this assembly, whoever makes it.
    [ModuleInitializer]
    internal static void UseResolver() =>
        NativeLibrary.SetDllImportResolver(typeof(LibvirtLibrary).Assembly, Resolve);
#pragma warning restore CA2255

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) =>
        name is Libvirt or LibvirtQemu ? Load(Candidates(name)) : 0;

    private static void RunEvents()
    {
        while (true)
        {
            if (ConnectNative.EventRunDefault() < 0)
            {
                // A failed poll is retried; the pause keeps a lasting failure from taking a whole core.
                Thread.Sleep(100);
            }
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void IgnoreError(nint userData, nint error)
    {
        // The error reaches the caller as an exception; printing it to stderr as well would be noise.
    }
}
