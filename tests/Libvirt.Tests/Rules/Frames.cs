using System.Buffers.Binary;
using System.Net;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>Frames that no socket would send. The payload ends with a number by which a receiver knows them.</summary>
internal static class Frames
{
    public const int Syn = 2, Fin = 1, Rst = 4, Ack = 16;

    public static byte[] Ethernet(string from, string to, int type, byte[] payload) => [.. MacOf(to), .. MacOf(from), (byte)(type >> 8), (byte)type, .. payload];

    public static byte[] Tagged(string from, string to, int vlan, byte[] frame) => [.. MacOf(to), .. MacOf(from), 0x81, 0, (byte)(vlan >> 8), (byte)vlan, .. frame.AsSpan(12)];

    /// <param name="fragment">In units of eight bytes.</param>
    public static byte[] Ip(string from, string to, int protocol, byte[] payload, int fragment = 0, bool more = false)
    {
        var header = new byte[20];
        header[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)(20 + payload.Length));
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(6), (ushort)(fragment | (more ? 0x2000 : 0)));
        header[8] = 64;
        header[9] = (byte)protocol;
        IPAddress.Parse(from).GetAddressBytes().CopyTo(header, 12);
        IPAddress.Parse(to).GetAddressBytes().CopyTo(header, 16);
        Sum(header).CopyTo(header, 10);
        return [.. header, .. payload];
    }

    public static byte[] Tcp(int from, int to, int flags, int number)
    {
        var segment = new byte[24];
        BinaryPrimitives.WriteUInt16BigEndian(segment, (ushort)from);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(2), (ushort)to);
        segment[12] = 0x50;
        segment[13] = (byte)flags;
        BinaryPrimitives.WriteInt32BigEndian(segment.AsSpan(20), number);
        return segment;
    }

    public static byte[] Udp(int from, int to, int number)
    {
        var datagram = new byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, (ushort)from);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), (ushort)to);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), 12);
        BinaryPrimitives.WriteInt32BigEndian(datagram.AsSpan(8), number);
        return datagram;
    }

    public static byte[] Icmp(int type, int number)
    {
        var message = new byte[12];
        message[0] = (byte)type;
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(8), number);
        Sum(message).CopyTo(message, 2);
        return message;
    }

    /// <summary>A request with that number as its id.</summary>
    public static byte[] Echo(int id)
    {
        var message = new byte[16];
        message[0] = 8;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(4), (ushort)id);
        Sum(message).CopyTo(message, 2);
        return message;
    }

    public static int? NumberOf(byte[] frame) => frame.Length < 18 ? null : BinaryPrimitives.ReadInt32BigEndian(frame.AsSpan(frame.Length - 4));

    public static byte[] MacOf(string mac) => [.. mac.Split(':').Select(b => Convert.ToByte(b, 16))];

    private static byte[] Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0;
        for (var i = 0; i + 1 < bytes.Length; i += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(bytes[i..]);
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return [(byte)(~sum >> 8), (byte)~sum];
    }
}
