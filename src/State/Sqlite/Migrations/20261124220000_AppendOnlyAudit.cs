using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WeaveHypervisor.State.Sqlite.Migrations;

/// <summary>The database itself refuses to change or remove a line of the audit log, whoever asks. No table changes, so this migration has no model of its own.</summary>
[DbContext(typeof(WeaveDbContext))]
[Migration("20261124220000_AppendOnlyAudit")]
public sealed class AppendOnlyAudit : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql("CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;");
        migrationBuilder.Sql("CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;");
    }

    protected override void Down(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql("DROP TRIGGER audit_is_not_changed;");
        migrationBuilder.Sql("DROP TRIGGER audit_is_not_shortened;");
    }
}
