using System.Text;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// A WQL query over one class: all properties of those objects that meet every condition. Texts are escaped here and nowhere else: within a literal of WQL <c>\</c>, <c>'</c> and <c>"</c>
/// have a backslash before them, and within LIKE <c>%</c>, <c>_</c> and <c>[</c> that are meant as such stand in brackets.
/// </summary>
public sealed class Wql
{
    private readonly string _className;
    private readonly IReadOnlyList<string> _conditions;

    private Wql(string className, IReadOnlyList<string> conditions) => (_className, _conditions) = (className, conditions);

    public static Wql From(string className) => new(className, []);

    /// <summary>The property has exactly this value (texts are compared without case by the server).</summary>
    public Wql Where<T>(CimProperty<T> property, T value) where T : notnull => And($"{property.Name} = {Literal(value)}");

    /// <summary>The text begins so.</summary>
    public Wql WhereStarts(CimProperty<string> property, string start) => And($"{property.Name} LIKE {Quote(Pattern(start) + "%")}");

    /// <summary>The text ends so.</summary>
    public Wql WhereEnds(CimProperty<string> property, string end) => And($"{property.Name} LIKE {Quote("%" + Pattern(end))}");

    /// <summary>The query.</summary>
    public override string ToString() => $"SELECT * FROM {_className}" + (_conditions.Count == 0 ? "" : " WHERE " + string.Join(" AND ", _conditions));

    private Wql And(string condition) => new(_className, [.. _conditions, condition]);

    private static string Literal(object value) => value switch
    {
        bool yes => yes ? "TRUE" : "FALSE",
        string text => Quote(text),
        CimPath path => Quote(path.ToString()),
        CimTime time => Quote(time.ToString()),
        _ => CimValue.Text(value),
    };

    private static string Quote(string text)
    {
        var quoted = new StringBuilder("'");
        foreach (var c in text)
        {
            if (c is '\\' or '\'' or '"') quoted.Append('\\');
            quoted.Append(c);
        }
        return quoted.Append('\'').ToString();
    }

    private static string Pattern(string text)
    {
        var pattern = new StringBuilder();
        foreach (var c in text) _ = c is '%' or '_' or '[' ? pattern.Append('[').Append(c).Append(']') : pattern.Append(c);
        return pattern.ToString();
    }
}
