using System.Globalization;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace WeaveHypervisor.State.Postgres;

/// <summary>The same tables in PostgreSQL: in a schema of their own, with texts that compare by their bytes as in SQLite. Its migrations are its own.</summary>
internal sealed class PostgresDbContext(DbContextOptions<PostgresDbContext> options) : WeaveDbContext(options)
{
    public const string Schema = "weave";

    public DbSet<HostRow> Hosts => Set<HostRow>();

    protected override void OnModelCreating(ModelBuilder model)
    {
        base.OnModelCreating(model);
        model.HasDefaultSchema(Schema);
        model.Entity<HostRow>().ToTable("hosts").HasKey(r => r.Name);
        foreach (var text in model.Model.GetEntityTypes().SelectMany(e => e.GetProperties()).Where(p => p.ClrType == typeof(string))) text.SetCollation("C");
        foreach (var text in model.Model.FindEntityType(typeof(AuditRow))!.GetProperties().Where(p => p.ClrType == typeof(string))) text.SetValueConverter(AnyText.Converter);
    }
}

/// <summary>A hypervisor host by the name that the services on it were given, and which machine it is.</summary>
internal sealed class HostRow
{
    public required string Name { get; set; }
    public required string Machine { get; set; }
    public required long Since { get; set; }
}

/// <summary>PostgreSQL stores neither NUL nor half of a surrogate pair; those are written as \uXXXX, and a backslash as two.</summary>
internal static class AnyText
{
    public static readonly ValueConverter<string, string> Converter = new(t => Write(t), t => Read(t));

    public static string Write(string text)
    {
        var written = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])) written.Append(text[i]).Append(text[++i]);
            else if (text[i] == '\\') written.Append(@"\\");
            else if (text[i] == '\0' || char.IsSurrogate(text[i])) written.Append(CultureInfo.InvariantCulture, $"\\u{(int)text[i]:x4}");
            else written.Append(text[i]);
        }
        return written.ToString();
    }

    public static string Read(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal)) return text;
        var read = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 1 < text.Length && text[i + 1] == '\\') read.Append(text[i++]);
            else if (text[i] == '\\' && i + 5 < text.Length && ushort.TryParse(text.AsSpan(i + 2, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var unit))
            {
                read.Append((char)unit);
                i += 5;
            }
            else read.Append(text[i]);
        }
        return read.ToString();
    }
}

/// <summary>For the migration tool only.</summary>
internal sealed class PostgresDesignTimeFactory : IDesignTimeDbContextFactory<PostgresDbContext>
{
    public PostgresDbContext CreateDbContext(string[] args) => new(PostgresEngine.Configure(Npgsql.NpgsqlDataSource.Create("Host=design")));
}
