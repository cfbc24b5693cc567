using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace WeaveHypervisor.Model;

/// <summary>Implemented by every id: one text form that shows in logs, URLs, the database and JSON.</summary>
public interface ITextId<TSelf> : IParsable<TSelf> where TSelf : struct, ITextId<TSelf>
{
    /// <summary>The noun used in error messages, for example "weave id".</summary>
    static abstract string Noun { get; }
    /// <summary>The allowed form as an imperative sentence: the next step of a refusal.</summary>
    static abstract string Form { get; }
    /// <summary>The text form; empty for <c>default</c>, which is never a valid id and is refused by every store.</summary>
    string Text { get; }
    /// <summary>Parses the text form; false, without an exception, where it is none.</summary>
    static abstract bool TryCreate(string? text, out TSelf id);
}

/// <summary>Reads and writes ids as JSON strings, also as dictionary keys.</summary>
public sealed class TextIdConverter<T> : JsonConverter<T> where T : struct, ITextId<T>
{
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Ids.Parse<T>(reader.GetString());
    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(value.Text);
    public override T ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Ids.Parse<T>(reader.GetString());
    public override void WriteAsPropertyName(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WritePropertyName(value.Text);
}

/// <summary>Parsing shared by all ids.</summary>
public static partial class Ids
{
    /// <summary>Parses or throws <see cref="WeaveException"/> with <see cref="Fault.InvalidRequest"/> that names the noun and the allowed form.</summary>
    public static T Parse<T>(string? text) where T : struct, ITextId<T> =>
        T.TryCreate(text, out var id) ? id : throw new WeaveException(Fault.InvalidRequest,
            $"{Quote(text)} is not a valid {T.Noun}.", T.Form);

    internal const string NameForm = "Use lower-case letters, digits and hyphens, starting with a letter or digit, at most 63 characters.";
    internal const string LabelForm = "Use letters, digits, `.`, `_` and `-`, starting with a letter or digit, at most 63 characters.";

    /// <summary>The form of a generated id: it is copied, never made up.</summary>
    internal static string GivenForm(string prefix) => $"Give it as it is listed: `{prefix}` and 32 lower-case hexadecimal digits.";

    /// <summary>A name that people choose: <c>[a-z0-9][a-z0-9-]{0,62}</c>.</summary>
    public static bool IsName([NotNullWhen(true)] string? text) => text is not null && Name().IsMatch(text);

    /// <summary>A name given by a hypervisor or its user: letters, digits, `.`, `_`, `-`, starting with a letter or digit, at most 63 characters.</summary>
    public static bool IsLabel([NotNullWhen(true)] string? text) => text is not null && Label().IsMatch(text);

    internal static bool TryGuid(string? text, string prefix, out Guid value)
    {
        value = default;
        // Guid itself would take blanks and capitals, and one thing would have several names.
        return text is not null && text.Length == prefix.Length + 32 && text.StartsWith(prefix, StringComparison.Ordinal) && !text.AsSpan(prefix.Length).ContainsAnyInRange('A', 'F')
            && Guid.TryParseExact(text.AsSpan(prefix.Length), "N", out value) && value != Guid.Empty;
    }

    /// <summary>Quotes foreign text for a message: at most 80 characters, characters that control, break lines or change direction escaped.</summary>
    public static string Quote(string? text) => Quote(text, 80);

    /// <summary>Quotes the path of a file that somebody must find again: nearly always in full.</summary>
    public static string QuotePath(string? path) => Quote(path, 1024);

    private static string Quote(string? text, int most)
    {
        if (text is null) return "(nothing)";
        var cut = text.Length > most ? text[..most] + "…" : text;
        return "'" + string.Concat(cut.Select(c => char.IsControl(c) || char.IsSurrogate(c)
                || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
            ? $"\\u{(int)c:x4}" : c.ToString())) + "'";
    }

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9-]{0,62}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name();

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Label();
}
