using CsCheck;

namespace WeaveHypervisor.Model.Tests;

public sealed class IdTests
{
    private static readonly string Longest = "a" + new string('-', 61) + "9";

    public static TheoryData<string> NoNames =>
    [
        "", "-a", "A", "Lab", "a_b", "a.b", "a b", " a", "a ", "a\n", "\na", "a\0", "a/b", "..", "../a", "a\\b", "é", "a\u0661", "\u0430", "a\u202eb", "a&b", "a'b", Longest + "a",
    ];

    public static TheoryData<string> NoLabels => ["", "-a", ".a", "_a", "..", "a b", " a", "a\n", "a\0", "a/b", "../a", "a\\b", "é", "a\u0661", "a\u202eb", "a&b", "]]>", "a:b", "a,b", Longest + "a"];

    [Theory]
    [InlineData("a")]
    [InlineData("0")]
    [InlineData("lab-2")]
    [InlineData("a--")]
    public void A_name_of_small_letters_digits_and_hyphens_is_taken_as_it_is(string text)
    {
        foreach (var kind in IdKind.Names) Assert.Equal(text, kind.Read(text));
        foreach (var kind in IdKind.Names) Assert.Equal(Longest, kind.Read(Longest));
    }

    [Theory]
    [MemberData(nameof(NoNames))]
    public void What_is_no_name_is_refused(string text)
    {
        foreach (var kind in IdKind.Names) Assert.Null(kind.Read(text));
    }

    [Theory]
    [InlineData("Web-01.example_org")]
    [InlineData("0")]
    [InlineData("vda")]
    public void A_label_may_also_hold_capitals_dots_and_underscores(string text)
    {
        foreach (var kind in IdKind.Labels) Assert.Equal(text, kind.Read(text));
        foreach (var kind in IdKind.Labels) Assert.Equal(Longest, kind.Read(Longest));
    }

    [Theory]
    [MemberData(nameof(NoLabels))]
    public void What_is_no_label_is_refused(string text)
    {
        foreach (var kind in IdKind.Labels) Assert.Null(kind.Read(text));
    }

    [Fact]
    public void A_generated_id_has_one_text_form_only()
    {
        const string Digits = "0123456789abcdef0123456789abcdef";
        foreach (var (kind, prefix) in IdKind.Given)
        {
            Assert.Equal(prefix + Digits, kind.Read(prefix + Digits));
            string[] wrong =
            [
                Digits, prefix, prefix + Digits[1..], prefix + Digits + "0", prefix + Digits.ToUpperInvariant(), prefix.ToUpperInvariant() + Digits, prefix + " " + Digits[1..],
                prefix + Digits[1..] + " ", prefix + " " + Digits, prefix + Digits + "\n", prefix + "{" + Digits[2..] + "}", prefix + new Guid(Digits), prefix + new string('0', 32), "x" + prefix + Digits,
                prefix + "g" + Digits[1..], prefix + "\u0661" + Digits[1..],
            ];
            foreach (var text in wrong) Assert.Null(kind.Read(text));
            foreach (var (other, otherPrefix) in IdKind.Given)
                if (other != kind) Assert.Null(kind.Read(otherPrefix + Digits));
        }
    }

    [Theory]
    [InlineData("0123456789", false)]
    [InlineData("0123abcd", true)]
    [InlineData("0123ABCD", false)]
    [InlineData("0123abc", false)]
    [InlineData("0123abcg", false)]
    [InlineData("0123abc\n", false)]
    public void A_fence_tag_is_eight_small_hexadecimal_digits(string text, bool valid) => Assert.Equal(valid ? text : null, IdKind.Of<FenceTag>().Read(text));

    [Fact]
    public void Any_text_is_read_as_itself_or_refused_and_never_changed() => Gen.String[Gen.Char, 0, 70].Sample(text =>
    {
        foreach (var kind in IdKind.All)
            if (kind.Read(text) is { } read && read != text) return false;
        return true;
    });

    [Fact]
    public void Texts_near_the_forms_are_taken_exactly_when_each_character_is_allowed() => Gen.String[Gen.Char["abz019-._AZ \n/"], 0, 66].Sample(text =>
    {
        var name = text.Length is > 0 and <= 63 && text[0] != '-' && text.All(c => "abz019-".Contains(c));
        var label = text.Length is > 0 and <= 63 && !"-._".Contains(text[0]) && text.All(c => "abz019-._AZ".Contains(c));
        return IdKind.Names.All(k => k.Read(text) is not null == name) && IdKind.Labels.All(k => k.Read(text) is not null == label);
    });

    [Fact]
    public void A_default_id_and_no_text_at_all_are_never_valid()
    {
        foreach (var kind in IdKind.All)
        {
            Assert.Equal("", kind.Default);
            Assert.Null(kind.Read(kind.Default));
            Assert.Null(kind.Read(null));
            Assert.Equal(Fault.InvalidRequest, Assert.Throws<WeaveException>(() => kind.Parse(null)).Fault);
        }
    }

    [Fact]
    public void A_refusal_names_the_kind_and_the_text_and_says_the_form_of_that_kind()
    {
        foreach (var kind in IdKind.All)
        {
            var refusal = Assert.Throws<WeaveException>(() => kind.Parse("/\u202e/"));
            Assert.Equal($"'/\\u202e/' is not a valid {kind.Noun}.", refusal.Message);
            Assert.Equal(kind.Form, refusal.NextStep);
        }
        Assert.Contains("lower-case letters", IdKind.Of<WeaveId>().Form, StringComparison.Ordinal);
        // Advice for another kind would lead nowhere: a machine may be called Web_01, and nobody makes up the id of a snapshot.
        Assert.DoesNotContain("lower-case", IdKind.Of<MachineName>().Form, StringComparison.Ordinal);
        foreach (var (kind, prefix) in IdKind.Given) Assert.Contains($"`{prefix}`", kind.Form, StringComparison.Ordinal);
    }

    [Fact]
    public void New_ids_are_valid_and_different_and_those_made_later_sort_later()
    {
        var clock = Clocks.Noon();
        List<string> snapshots = [], layers = [], operations = [], routes = [];
        for (var i = 0; i < 200; i++)
        {
            snapshots.Add(SnapshotId.New(clock).Text);
            layers.Add(LayerId.New(clock).Text);
            operations.Add(OperationId.New(clock).Text);
            routes.Add(RouteId.New(clock).Text);
            clock.Advance(TimeSpan.FromMilliseconds(1 + i * i));
        }
        foreach (var (made, (kind, _)) in new[] { snapshots, layers, operations, routes }.Zip(IdKind.Given))
        {
            Assert.All(made, text => Assert.Equal(text, kind.Read(text)));
            Assert.Equal(made.Distinct().Order(StringComparer.Ordinal), made);
        }
        Assert.Equal(200, Enumerable.Range(0, 200).Select(_ => SnapshotId.New(clock)).Distinct().Count());
    }

    [Fact]
    public void New_fence_tags_are_valid_and_spread()
    {
        var tags = Enumerable.Range(0, 200).Select(_ => FenceTag.New().Text).ToList();
        Assert.All(tags, t => Assert.Equal(t, FenceTag.Parse(t).Text));
        // Two equal ones among 200 are as likely as 1 in 200,000.
        Assert.InRange(tags.Distinct().Count(), 199, 200);
    }
}
