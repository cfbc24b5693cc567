using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WeaveHypervisor.State.Postgres.Migrations;

/// <summary>The database itself refuses to change or remove a line of the audit log, whoever asks. No table changes, so this migration has no model of its own.</summary>
[DbContext(typeof(PostgresDbContext))]
[Migration("20261125011000_AppendOnlyAudit")]
public sealed class AppendOnlyAudit : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql("CREATE FUNCTION weave.only_append() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is only appended to'; END $$;");
        migrationBuilder.Sql("CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON weave.audit FOR EACH ROW EXECUTE FUNCTION weave.only_append();");
        migrationBuilder.Sql("CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON weave.audit FOR EACH STATEMENT EXECUTE FUNCTION weave.only_append();");
    }

    protected override void Down(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql("DROP TRIGGER audit_is_not_changed ON weave.audit;");
        migrationBuilder.Sql("DROP TRIGGER audit_is_not_emptied ON weave.audit;");
        migrationBuilder.Sql("DROP FUNCTION weave.only_append();");
    }
}
