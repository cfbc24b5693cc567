using System.Collections.Concurrent;
using System.Xml.Linq;
using LibvirtSharp;
using Microsoft.Extensions.Logging;

namespace WeaveHypervisor.Libvirt.Starting;

/// <summary>
/// Makes the machine of a copy, paused. libvirt asks a new QEMU for each property that its processor may have, four hundred questions one after the other: 200 of the 380 ms of a start (measured, libvirt 9.0 and QEMU 7.2),
/// to write into the live definition what came of the one that was asked for. A copy's original has been asked already, its definition says all, and libvirt has to make sure of it alone (`check='full'`). That it does with four
/// questions, for the words of CPUID, where it is told that this QEMU does not know which features are unavailable; so it did before QEMU 4.2. What those words do not tell (features in model-specific registers) libvirt refuses
/// to make sure of in this way, and asks as usual then.
/// </summary>
internal sealed class CopyCreation(ILogger log)
{
    /// <summary>libvirt's name of what QEMU can tell (virQEMUCaps).</summary>
    private const string Capability = "cpu-unavailable-features";

    /// <summary>What libvirt says of a processor that it cannot make sure of so, or of a capability that it does not know; other failures may pass.</summary>
    private static readonly VirErrorCode[] Unsuitable = [VirErrorCode.ConfigUnsupported, VirErrorCode.OperationFailed, VirErrorCode.CpuIncompatible, VirErrorCode.XmlError, VirErrorCode.InternalError];

    /// <summary>Processors that libvirt cannot make sure of by the words of CPUID, as text: not tried again.</summary>
    private readonly ConcurrentDictionary<string, bool> _refused = [];

    /// <summary>The machine, with exactly the processor of the definition where that was of a running machine; an error is that of a start without any shortening.</summary>
    public async Task<LibvirtDomain> CreateAsync(LibvirtConnection connection, string xml, CancellationToken stop)
    {
        var document = DomainText.Parse(xml);
        if (document.Root!.Element("cpu") is not { } cpu || !IsOfRunning(cpu) || cpu.ToString(SaveOptions.DisableFormatting) is var text && _refused.ContainsKey(text)) return await MakeAsync(xml);
        document.Root.Add(new XElement(DomainText.Qemu + "capabilities", new XAttribute(XNamespace.Xmlns + "qemu", DomainText.Qemu.NamespaceName), new XElement(DomainText.Qemu + "del", new XAttribute("capability", Capability))));
        LibvirtDomain made;
        try
        {
            made = await MakeAsync(document.ToString(SaveOptions.DisableFormatting));
        }
        catch (LibvirtException e) when (Unsuitable.Contains(e.Code))
        {
            // It was this where the machine can be made without it; otherwise that error is the one to tell.
            made = await MakeAsync(xml);
            _refused[text] = true;
            log.LogInformation("libvirt takes the long way to make sure of a copy's processor, because by the short one: {Reason}", e.Message);
            return made;
        }
        if ((string?)cpu.Attribute("check") == "full") return made;
        try
        {
            if (IsSame(cpu, DomainText.Parse(await made.GetXmlAsync(cancellationToken: stop)).Root!.Element("cpu"))) return made;
            // Not made sure of, and written down otherwise: copies of this copy would have another processor.
            _refused[text] = true;
            await made.DestroyAsync(cancellationToken: stop);
        }
        catch
        {
            made.Dispose();
            throw;
        }
        made.Dispose();
        return await MakeAsync(xml);

        Task<LibvirtDomain> MakeAsync(string definition) => connection.CreateDomainAsync(definition, DomainCreateFlags.StartPaused, stop);
    }

    /// <summary>libvirt has written down what a QEMU said, or has nothing to write for such a processor.</summary>
    private static bool IsOfRunning(XElement cpu) => (string?)cpu.Attribute("check") == "full" || (string?)cpu.Attribute("mode") is "host-passthrough" or "maximum";

    internal static bool IsSame(XElement asked, XElement? live) => live is not null && Words(asked).SequenceEqual(Words(live));

    private static IEnumerable<string> Words(XElement cpu) => cpu.DescendantsAndSelf()
        .Select(e => $"{e.Name.LocalName} {string.Join(' ', e.Attributes().Where(a => a.Name != "check").OrderBy(a => a.Name.LocalName, StringComparer.Ordinal))} {(e.HasElements ? "" : e.Value.Trim())}").Order(StringComparer.Ordinal);
}
