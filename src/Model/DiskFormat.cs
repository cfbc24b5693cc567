namespace WeaveHypervisor.Model;
public enum DiskFormat { Raw, Qcow2, Vhdx }
