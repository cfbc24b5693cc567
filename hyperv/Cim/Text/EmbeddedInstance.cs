using System.Globalization;
using System.Text;
using System.Xml;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// Instances as text within string parameters: CIM-XML (DSP0201, DTD 2.0) of one INSTANCE, which is how Hyper-V takes and gives settings.
/// Written is the shortest form that hosts take: name, type and value of those properties that have one. Read are all forms in use: that one,
/// the texts of System.Management (CimDtd20, WmiDtd20) and of the Management Infrastructure's serializer, with or without a wrapper around the INSTANCE.
/// </summary>
public static class EmbeddedInstance
{
    /// <summary>Longest text that is read, in characters; Hyper-V's own are some kilobytes.</summary>
    public const int MaxLength = 4 * 1024 * 1024;

    private const int MaxDepth = 32;

    /// <summary>Types in CIM-XML; references and instances are written as WMI writes them.</summary>
    private static readonly Dictionary<string, CimKind> Types = Enum.GetValues<CimKind>().ToDictionary(k => CimValue.Describe(k, false), StringComparer.OrdinalIgnoreCase);

    /// <summary>The text of an instance. <see cref="NotSupportedException"/> for a property that itself holds an instance: no setting of Hyper-V has one.</summary>
    public static string Write(CimObject instance)
    {
        var text = new StringBuilder();
        // Characters that XML 1.0 has not are written as references: hosts read them.
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { OmitXmlDeclaration = true, CheckCharacters = false, NewLineHandling = NewLineHandling.Entitize, ConformanceLevel = ConformanceLevel.Fragment }))
        {
            xml.WriteStartElement("INSTANCE");
            xml.WriteAttributeString("CLASSNAME", instance.ClassName);
            foreach (var (name, value) in instance.Properties)
            {
                if (value.Kind == CimKind.Instance) throw new NotSupportedException($"{instance.ClassName}.{name} is itself an instance.");
                var reference = value.Kind == CimKind.Reference;
                xml.WriteStartElement(value.IsArray ? "PROPERTY.ARRAY" : "PROPERTY");
                xml.WriteAttributeString("NAME", name);
                xml.WriteAttributeString("TYPE", reference ? "string" : CimValue.Describe(value.Kind, false));
                if (value.IsArray) xml.WriteStartElement("VALUE.ARRAY");
                foreach (var element in value.Elements) xml.WriteElementString("VALUE", CimValue.Text(element));
                if (value.IsArray) xml.WriteEndElement();
                xml.WriteEndElement();
            }
            xml.WriteEndElement();
        }
        return text.ToString();
    }

    /// <summary>
    /// Reads the first INSTANCE of a text, whatever is around and beside it: elements are known by their local names, qualifiers and WMI's own properties (<c>__PATH</c>) are passed over, properties
    /// without a value are left out. <see cref="FormatException"/> for text that is no such thing, is torn, or has a value that is not of its own type.
    /// </summary>
    public static CimObject Read(string text)
    {
        if (text.Length > MaxLength) throw new FormatException($"An embedded instance of {text.Length} characters is too long.");
        // A serializer's bytes may come as a text that still has its byte order mark and end mark.
        var settings = new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null, CheckCharacters = false, IgnoreComments = true, IgnoreProcessingInstructions = true, IgnoreWhitespace = false };
        try
        {
            using var xml = XmlReader.Create(new StringReader(text.Trim('\uFEFF', '\0', ' ', '\r', '\n', '\t')), settings);
            while (xml.Read())
                if (xml.NodeType == XmlNodeType.Element && Is(xml, "INSTANCE")) return ReadInstance(xml);
        }
        catch (XmlException e)
        {
            throw new FormatException($"An embedded instance is not well-formed: {e.Message}", e);
        }
        throw new FormatException("An embedded instance has no INSTANCE element.");
    }

    private static CimObject ReadInstance(XmlReader xml)
    {
        var className = Attribute(xml, "CLASSNAME") is { Length: > 0 } given ? given : throw new FormatException("An embedded instance does not name its class.");
        var properties = new Dictionary<string, CimValue?>(StringComparer.OrdinalIgnoreCase);
        ForChildren(xml, () =>
        {
            var isArray = Is(xml, "PROPERTY.ARRAY");
            if (!isArray && !Is(xml, "PROPERTY") && !Is(xml, "PROPERTY.REFERENCE")) return;
            var name = Attribute(xml, "NAME") is { Length: > 0 } n ? n : throw new FormatException($"A property of an embedded {className} has no name.");
            var kind = Is(xml, "PROPERTY.REFERENCE") ? CimKind.Reference : ReadType(className, name, Attribute(xml, "TYPE"));
            var values = new List<string>();
            var valued = ReadValues(xml, values, 0);
            // WMI's own properties are no part of the instance, and are not of its types.
            if (name.StartsWith("__", StringComparison.Ordinal) || !valued) return;
            if (!isArray && values.Count != 1) throw new FormatException($"{className}.{name} of an embedded instance has {values.Count} values.");
            var elements = values.ConvertAll(v => CimValue.TryRead(kind, v, out var element) ? element
                : throw new FormatException($"{className}.{name} of an embedded instance holds '{(v.Length > 80 ? v[..80] : v)}', which is no {CimValue.Describe(kind, false)}."));
            if (!properties.TryAdd(name, isArray ? CimValue.ArrayOf(kind, elements) : CimValue.Of(elements[0])))
                throw new FormatException($"{className}.{name} is there twice in an embedded instance.");
        });
        return new(className, null, properties);
    }

    private static CimKind ReadType(string className, string name, string? type) => type is not null && Types.TryGetValue(type, out var kind) ? kind
        : type is not null && type.Equals("reference", StringComparison.OrdinalIgnoreCase) ? CimKind.Reference
        : name.StartsWith("__", StringComparison.Ordinal) ? CimKind.String
        : throw new FormatException($"{className}.{name} of an embedded instance is of the unknown type '{type}'.");

    /// <summary>The texts of all VALUE elements within a property; false where there is none, that is: null.</summary>
    private static bool ReadValues(XmlReader xml, List<string> into, int depth)
    {
        if (depth > MaxDepth) throw new FormatException("An embedded instance is nested too deep.");
        var valued = false;
        ForChildren(xml, () =>
        {
            if (Is(xml, "VALUE"))
            {
                into.Add(ReadText(xml));
                valued = true;
            }
            else if (Is(xml, "VALUE.ARRAY"))
            {
                ReadValues(xml, into, depth + 1);
                valued = true;
            }
        });
        return valued;
    }

    /// <summary>The text of an element; within CDATA too. Reads up to its end.</summary>
    private static string ReadText(XmlReader xml)
    {
        if (xml.IsEmptyElement) return "";
        var text = new StringBuilder();
        var depth = xml.Depth;
        while (xml.Read() && !(xml.NodeType == XmlNodeType.EndElement && xml.Depth == depth))
            if (xml.NodeType is XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace) text.Append(xml.Value);
        return text.ToString();
    }

    /// <summary>Stands on each child element in turn and passes over what was not read of it; afterwards on the end of the element.</summary>
    private static void ForChildren(XmlReader xml, Action child)
    {
        if (xml.IsEmptyElement) return;
        var depth = xml.Depth;
        while (xml.Read() && xml.Depth > depth)
            if (xml.NodeType == XmlNodeType.Element && xml.Depth == depth + 1) child();
    }

    private static bool Is(XmlReader xml, string name) => xml.LocalName.Equals(name, StringComparison.OrdinalIgnoreCase);

    private static string? Attribute(XmlReader xml, string name) => xml.GetAttribute(name) ?? xml.GetAttribute(name.ToLower(CultureInfo.InvariantCulture));
}
