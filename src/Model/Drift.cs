using System.Text.Json;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.Model;

/// <summary>
/// Stopped: a machine that ran is off. Gone: the hypervisor knows it no more. Disk: it uses another file than its live layer. File: a layer or memory image that it needs is not there.
/// Space: the hypervisor paused a machine that could not write. Fence: something of its networks or gateway is missing. Unfinished: an operation could neither finish nor undo. Other: written by an earlier version.
/// </summary>
public enum DriftKind { Other, Stopped, Gone, Disk, File, Fence, Unfinished, Space }

/// <summary>One thing of a weave that something else changed.</summary>
/// <param name="Text">What was found, for people, without a full stop at the end.</param>
/// <param name="FoundAt">When a look found it first; the earliest time there is where an earlier version wrote it.</param>
[JsonConverter(typeof(DriftJson))]
public sealed record Drift(DriftKind Kind, string Text, DateTimeOffset FoundAt)
{
    /// <summary>The same thing, whenever it was found.</summary>
    public bool IsSame(Drift other) => Kind == other.Kind && Text == other.Text;
}

/// <summary>Earlier versions wrote the text alone.</summary>
public sealed class DriftJson : JsonConverter<Drift>
{
    public override Drift Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String) return new(DriftKind.Other, reader.GetString()!, DateTimeOffset.MinValue);
        using var document = JsonDocument.ParseValue(ref reader);
        var root = document.RootElement;
        // A kind that a later version knows is still drift.
        return new(Enum.TryParse<DriftKind>(root.GetProperty("kind").GetString(), out var kind) ? kind : DriftKind.Other, root.GetProperty("text").GetString()!, root.GetProperty("foundAt").GetDateTimeOffset());
    }

    public override void Write(Utf8JsonWriter writer, Drift value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        writer.WriteString("kind", value.Kind.ToString());
        writer.WriteString("text", value.Text);
        writer.WriteString("foundAt", value.FoundAt);
        writer.WriteEndObject();
    }
}
