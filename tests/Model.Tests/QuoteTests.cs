using System.Globalization;
using CsCheck;

namespace WeaveHypervisor.Model.Tests;

public sealed class QuoteTests
{
    [Theory]
    [InlineData(null, "(nothing)")]
    [InlineData("", "''")]
    [InlineData("a b", "'a b'")]
    [InlineData("ö", "'ö'")]
    [InlineData("a\r\nb\0\u001b[31m", @"'a\u000d\u000ab\u0000\u001b[31m'")]
    [InlineData("\u202eexe.txt\u200b", @"'\u202eexe.txt\u200b'")]
    [InlineData("a\u2028b\u2029c\u0085", @"'a\u2028b\u2029c\u0085'")]
    public void Foreign_text_is_quoted_so_that_it_cannot_act_on_a_terminal_or_a_log(string? text, string quoted) => Assert.Equal(quoted, Ids.Quote(text));

    // Not as an attribute: compilers write those in UTF-8, where half a pair is something else.
    [Fact]
    public void Surrogates_are_escaped_also_where_their_other_half_is_missing() => Assert.Equal(@"'\ud83d\ude00\ud83d'", Ids.Quote("\ud83d\ude00\ud83d"));

    [Fact]
    public void A_long_text_is_cut_and_shows_that_it_was()
    {
        Assert.Equal("'" + new string('a', 80) + "'", Ids.Quote(new string('a', 80)));
        Assert.Equal("'" + new string('a', 80) + "…'", Ids.Quote(new string('a', 1_000_000)));
    }

    [Fact]
    public void Whatever_the_text_a_quote_is_one_line_of_visible_characters() => Gen.String[Gen.Char, 0, 200].Sample(text =>
        Ids.Quote(text) is var quoted && quoted.Length <= 2 + 81 * 6 && quoted.All(c => CharUnicodeInfo.GetUnicodeCategory(c) is not (UnicodeCategory.Control or UnicodeCategory.Format
            or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate)));
}
