namespace WeaveHypervisor.HyperV.Cim;

/// <summary>Data types of CIM, with the numbers that the Management Infrastructure (MI_Type) gives them; arrays are told apart by <see cref="CimValue.IsArray"/>.</summary>
public enum CimKind
{
    Boolean = 1,
    UInt8 = 2,
    SInt8 = 3,
    UInt16 = 4,
    SInt16 = 5,
    UInt32 = 6,
    SInt32 = 7,
    UInt64 = 8,
    SInt64 = 9,
    Real32 = 10,
    Real64 = 11,
    DateTime = 13,
    String = 14,
    Reference = 15,
    Instance = 16,
}
