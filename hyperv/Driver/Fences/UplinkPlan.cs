using System.Buffers.Binary;
using System.Net;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>
/// How the addresses of the uplink (<see cref="HyperVOptions.Uplink"/>) are given out: blocks of 256. The first is the host's (.1); in each other one .2 is a fence's gateway, and .10 to .249 lead to its machines.
/// </summary>
internal sealed class UplinkPlan(HyperVOptions options)
{
    public const int FirstOuter = 10, LastOuter = 249;
    private readonly IPNetwork _network = IPNetwork.Parse(options.Uplink);

    public int PrefixLength => _network.PrefixLength;
    /// <summary>As <c>100.64.0.0/14</c>.</summary>
    public string Prefix => _network.ToString();
    public string Host => At(0, 1);
    public string Gateway(int block) => At(block, 2);
    public string Outer(int block, int index) => At(block, FirstOuter + index);
    /// <summary>Blocks that fences can have are 1 up to this, exclusively.</summary>
    public int Blocks => 1 << (24 - _network.PrefixLength);

    public bool Contains(string address) => IPAddress.TryParse(address, out var ip) && _network.Contains(ip);

    private string At(int block, int last)
    {
        var bytes = _network.BaseAddress.GetAddressBytes();
        BinaryPrimitives.WriteUInt32BigEndian(bytes, BinaryPrimitives.ReadUInt32BigEndian(bytes) + (uint)(block * 256 + last));
        return new IPAddress(bytes).ToString();
    }

    /// <summary>An IPv4 address as everybody writes it; InvalidRequest for anything else.</summary>
    public static string Checked(string address) => IPAddress.TryParse(address, out var ip) && ip.ToString() == address && ip.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? address
        : throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(address)} is no IPv4 address.");
}
