using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance.Stored;

namespace WeaveHypervisor.Client.Tests;

public class OldServiceTests
{
    /// <summary>And in results of the journal, which an earlier version of the service wrote.</summary>
    [Fact]
    public void Members_that_came_later_have_their_defaults_in_answers_of_an_older_service() => OldDocuments.AssertDefaults(typeof(V1Json).Assembly);
}
