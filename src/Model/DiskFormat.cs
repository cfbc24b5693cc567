namespace WeaveHypervisor.Model;
/// <summary>How a disk file is written. Always declared by its owner, never probed from content that a guest can write.</summary>
public enum DiskFormat { Raw, Qcow2, Vhdx }
