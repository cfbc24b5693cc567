using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.Model;

/// <summary>
/// Eight lower-case hexadecimal digits that name a weave's things on a host (bridges, namespaces, folders) where a full name does
/// not fit: an interface name has 15 characters. Random, unique in a service, never used again.
/// </summary>
[JsonConverter(typeof(TextIdConverter<FenceTag>))]
public readonly record struct FenceTag : ITextId<FenceTag>
{
    private readonly string? _text;
    private FenceTag(string text) => _text = text;
    public static string Noun => "fence tag";
    public static string Form => "Give it as it is listed: eight lower-case hexadecimal digits.";
    public string Text => _text ?? "";
    public static FenceTag New() => new(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4)));
    public static bool TryCreate(string? text, out FenceTag id)
    {
        var valid = text is { Length: 8 } && text.All(char.IsAsciiHexDigitLower);
        id = valid ? new(text!) : default;
        return valid;
    }
    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static FenceTag Parse(string? text) => Ids.Parse<FenceTag>(text);
    static FenceTag IParsable<FenceTag>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<FenceTag>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out FenceTag result) => TryCreate(s, out result);
    public override string ToString() => Text;
}
