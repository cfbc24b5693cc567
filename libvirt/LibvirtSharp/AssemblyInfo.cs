using System.Runtime.CompilerServices;

// Every declared type is blittable, so the source generator marshals everything and the runtime nothing.
[assembly: DisableRuntimeMarshalling]
[assembly: InternalsVisibleTo("LibvirtSharp.Tests")]
