using System.Xml;
using System.Xml.Linq;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>Reads domain and network XML: no DTD, bounded size.</summary>
internal static class DomainText
{
    /// <summary>Characters; libvirt's own definitions are far below.</summary>
    public const int MaxLength = 4 << 20;
    /// <summary>Nesting of elements; libvirt's own definitions stay below 16.</summary>
    public const int MaxDepth = 64;
    /// <summary>Namespace of QEMU command-line passthrough.</summary>
    public static readonly XNamespace Qemu = "http://libvirt.org/schemas/domain/qemu/1.0";

    public static XDocument Parse(string xml)
    {
        try
        {
            if (xml.Length > MaxLength) throw new XmlException($"it has {xml.Length} characters");
            using (var reader = Reader(xml))
                while (reader.Read())
                    if (reader.Depth > MaxDepth) throw new XmlException($"it is nested deeper than {MaxDepth}");
            using var again = Reader(xml);
            return XDocument.Load(again);
        }
        catch (XmlException e)
        {
            throw new WeaveException(Fault.InvalidRequest, $"A definition cannot be read: {e.Message}", "Look at it with `virsh dumpxml`.", e);
        }
    }

    private static XmlReader Reader(string xml) => XmlReader.Create(new StringReader(xml), new XmlReaderSettings
    {
        DtdProcessing = DtdProcessing.Prohibit, XmlResolver = null, MaxCharactersInDocument = MaxLength, MaxCharactersFromEntities = 0,
    });
}
