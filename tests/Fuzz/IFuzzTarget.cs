namespace WeaveHypervisor.Fuzz;

/// <summary>
/// Something that takes any bytes at all. Returning is success; what the product must refuse it has refused inside. Any exception that comes out is a finding. The same bytes
/// always do the same.
/// </summary>
internal interface IFuzzTarget
{
    static abstract void Run(ReadOnlySpan<byte> input);
}
