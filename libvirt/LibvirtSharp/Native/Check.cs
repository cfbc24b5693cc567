using System.Runtime.InteropServices;

namespace LibvirtSharp.Native;

/// <summary>Turns native results into managed ones. Everything here runs on the thread that made the native call, as libvirt keeps errors per thread.</summary>
internal static unsafe class Check
{
    internal static int NotNegative(int result) => result >= 0 ? result : throw LibvirtException.FromLastError();

    internal static bool Boolean(int result) => NotNegative(result) > 0;

    internal static T Valid<T>(T handle) where T : LibvirtHandle
    {
        if (!handle.IsInvalid)
        {
            return handle;
        }

        handle.Dispose();
        throw LibvirtException.FromLastError();
    }

    /// <summary>Copies a string that libvirt allocated for its caller, and frees it with free().</summary>
    internal static string Owned(nint text)
    {
        if (text == 0)
        {
            throw LibvirtException.FromLastError();
        }

        try
        {
            return Marshal.PtrToStringUTF8(text)!;
        }
        finally
        {
            // Sound: text came from libvirt's allocator, which is malloc; NativeMemory.Free is free().
            NativeMemory.Free((void*)text);
        }
    }

    /// <summary>Copies a string that the library keeps.</summary>
    internal static string Borrowed(nint text) =>
        text == 0 ? throw LibvirtException.FromLastError() : Marshal.PtrToStringUTF8(text)!;

    /// <summary>Takes over the objects of a list and frees the array that carried them.</summary>
    internal static T[] List<T>(int count, nint* items) where T : LibvirtHandle, new()
    {
        NotNegative(count);
        var owned = new T[count];
        // Sound: libvirt filled exactly `count` items, each a reference that is ours now.
        for (var i = 0; i < count; i++)
        {
            owned[i] = LibvirtHandle.Own<T>(items[i]);
        }

        NativeMemory.Free(items);
        return owned;
    }
}
