using System.Globalization;
using System.Text;
using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator.Cim;

/// <summary>
/// Reads and answers the part of WQL that clients of Hyper-V use: <c>SELECT * | names FROM class [WHERE condition {AND|OR condition}]</c> with =, &lt;&gt;, !=, &lt;, &gt;, &lt;=, &gt;=, LIKE, IS [NOT] NULL and
/// brackets. A backslash within a literal that is not before a backslash or a quote matches nothing. Texts are compared without case.
/// </summary>
internal sealed class WqlReader
{
    private readonly string _text;
    private int _at;

    private WqlReader(string text) => _text = text;

    public string ClassName { get; private set; } = "";
    private Func<CimObject, bool> Condition { get; set; } = _ => true;
    private List<string> Named { get; } = [];

    public bool Matches(CimObject o) => Condition(o);

    /// <summary>Properties that the query names, which must exist in the class.</summary>
    public IReadOnlyList<string> Properties => Named;

    /// <summary>Invalid query (15) for anything that is not in this part of the language.</summary>
    public static WqlReader Read(string text)
    {
        var reader = new WqlReader(text);
        reader.ReadAll();
        return reader;
    }

    private static CimException Invalid(string why) => new(CimStatus.InvalidQuery, $"Invalid query: {why}.", 0x80041017);

    private void ReadAll()
    {
        Expect("SELECT");
        do
        {
            var name = Word();
            if (name != "*") Named.Add(name);
        }
        while (Take(","));
        Expect("FROM");
        ClassName = Word();
        if (Take("WHERE")) Condition = ReadOr();
        Skip();
        if (_at < _text.Length) throw Invalid($"'{_text[_at..]}' is left over");
    }

    private Func<CimObject, bool> ReadOr()
    {
        var left = ReadAnd();
        while (Take("OR"))
        {
            var (a, b) = (left, ReadAnd());
            left = o => a(o) || b(o);
        }
        return left;
    }

    private Func<CimObject, bool> ReadAnd()
    {
        var left = ReadOne();
        while (Take("AND"))
        {
            var (a, b) = (left, ReadOne());
            left = o => a(o) && b(o);
        }
        return left;
    }

    private Func<CimObject, bool> ReadOne()
    {
        if (Take("("))
        {
            var inner = ReadOr();
            return Take(")") ? inner : throw Invalid("a bracket is not closed");
        }
        var property = Word();
        Named.Add(property);
        if (Take("IS"))
        {
            var not = Take("NOT");
            Expect("NULL");
            return o => o[property] is null != not;
        }
        if (Take("LIKE"))
        {
            var pattern = Literal() as string ?? throw Invalid("LIKE needs a text");
            return o => o[property]?.Data is string text && Like(pattern, 0, text, 0);
        }
        var sign = new[] { "<>", "!=", "<=", ">=", "=", "<", ">" }.FirstOrDefault(Take) ?? throw Invalid($"'{property}' is not compared with anything");
        var literal = Literal();
        return o => o[property] is { IsArray: false } value && Compare(value.Data, literal) is { } order && sign switch
        {
            "=" => order == 0, "<>" or "!=" => order != 0, "<" => order < 0, ">" => order > 0, "<=" => order <= 0, _ => order >= 0,
        };
    }

    private static int? Compare(object value, object literal) => (value, literal) switch
    {
        (string text, string other) => string.Compare(text, other, StringComparison.OrdinalIgnoreCase),
        (bool yes, bool other) => yes.CompareTo(other),
        (CimPath path, string other) => CimPath.TryParse(other, out var named) && named.Equals(path) ? 0 : 1,
        (CimTime time, string other) => string.CompareOrdinal(time.ToString(), other),
        (IConvertible number, long other) when value is not (string or bool) => number.ToDecimal(CultureInfo.InvariantCulture).CompareTo(other),
        (IConvertible number, string other) when value is not (string or bool) && decimal.TryParse(other, CultureInfo.InvariantCulture, out var n) => number.ToDecimal(CultureInfo.InvariantCulture).CompareTo(n),
        (bool yes, string other) when bool.TryParse(other, out var b) => yes.CompareTo(b),
        _ => null,
    };

    private static bool Like(string pattern, int p, string text, int t)
    {
        while (p < pattern.Length)
        {
            if (pattern[p] == '%')
            {
                for (var rest = t; rest <= text.Length; rest++)
                    if (Like(pattern, p + 1, text, rest)) return true;
                return false;
            }
            if (t == text.Length) return false;
            if (pattern[p] == '[' && pattern.IndexOf(']', p) is var end and > 0)
            {
                if (!pattern[(p + 1)..end].Contains(text[t], StringComparison.OrdinalIgnoreCase)) return false;
                p = end + 1;
            }
            else if (pattern[p] != '_' && char.ToUpperInvariant(pattern[p]) != char.ToUpperInvariant(text[t])) return false;
            else p++;
            t++;
        }
        return t == text.Length;
    }

    private object Literal()
    {
        Skip();
        if (_at >= _text.Length) throw Invalid("a value is missing");
        if (_text[_at] is '\'' or '"')
        {
            var quote = _text[_at++];
            var literal = new StringBuilder();
            for (; _at < _text.Length && _text[_at] != quote; _at++)
            {
                if (_text[_at] == '\\')
                {
                    if (++_at >= _text.Length) break;
                    // A backslash that was not doubled: stands for nothing that a text can hold.
                    if (_text[_at] is not ('\\' or '\'' or '"')) literal.Append('\uFFFF');
                }
                literal.Append(_text[_at]);
            }
            return _at++ < _text.Length ? literal.ToString() : throw Invalid("a text is not closed");
        }
        var word = Word();
        if (word.Equals("TRUE", StringComparison.OrdinalIgnoreCase)) return true;
        if (word.Equals("FALSE", StringComparison.OrdinalIgnoreCase)) return false;
        return long.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : throw Invalid($"'{word}' is no value");
    }

    private string Word()
    {
        Skip();
        var start = _at;
        if (_at < _text.Length && _text[_at] == '*') return _text[_at++].ToString();
        while (_at < _text.Length && (char.IsLetterOrDigit(_text[_at]) || _text[_at] is '_' or '-')) _at++;
        return _at > start ? _text[start.._at] : throw Invalid($"a name is missing at {start}");
    }

    private void Expect(string word)
    {
        if (!Take(word)) throw Invalid($"{word} is missing");
    }

    private bool Take(string word)
    {
        Skip();
        if (!_text.AsSpan(_at).StartsWith(word, StringComparison.OrdinalIgnoreCase)) return false;
        var end = _at + word.Length;
        if (char.IsLetter(word[0]) && end < _text.Length && (char.IsLetterOrDigit(_text[end]) || _text[end] == '_')) return false;
        _at = end;
        return true;
    }

    private void Skip()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at])) _at++;
    }
}
