using WeaveHypervisor.Conformance.Stored;

namespace WeaveHypervisor.Libvirt.Tests;

/// <summary>An upgraded service reads what the one before it has written.</summary>
public class OldDocumentTests
{
    [Fact]
    public void Members_that_came_later_have_their_defaults_in_documents_of_before() => OldDocuments.AssertDefaults(typeof(LibvirtDriver).Assembly);

    [Fact]
    public void No_member_that_came_later_is_demanded() => OldDocuments.AssertNothingNewIsDemanded(typeof(LibvirtDriver).Assembly);
}
