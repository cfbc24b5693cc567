using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql.EntityFrameworkCore.PostgreSQL.Metadata;

#nullable disable

namespace WeaveHypervisor.State.Postgres.Migrations
{
    /// <inheritdoc />
    public partial class Initial : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.EnsureSchema(
                name: "weave");

            migrationBuilder.CreateTable(
                name: "activations",
                schema: "weave",
                columns: table => new
                {
                    Number = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    Environment = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Weave = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    From = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_activations", x => x.Number);
                });

            migrationBuilder.CreateTable(
                name: "audit",
                schema: "weave",
                columns: table => new
                {
                    Number = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    At = table.Column<long>(type: "bigint", nullable: false),
                    Who = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    What = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Subject = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Result = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_audit", x => x.Number);
                });

            migrationBuilder.CreateTable(
                name: "environments",
                schema: "weave",
                columns: table => new
                {
                    Id = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Document = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_environments", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "hosts",
                schema: "weave",
                columns: table => new
                {
                    Name = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Machine = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Since = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_hosts", x => x.Name);
                });

            migrationBuilder.CreateTable(
                name: "idempotency",
                schema: "weave",
                columns: table => new
                {
                    Key = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Hash = table.Column<string>(type: "text", nullable: true, collation: "C"),
                    Operation = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    At = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_idempotency", x => x.Key);
                });

            migrationBuilder.CreateTable(
                name: "layers",
                schema: "weave",
                columns: table => new
                {
                    Id = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Environment = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    CreatedAt = table.Column<long>(type: "bigint", nullable: false),
                    Document = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_layers", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "leases",
                schema: "weave",
                columns: table => new
                {
                    Environment = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Owner = table.Column<string>(type: "text", nullable: true, collation: "C"),
                    Number = table.Column<long>(type: "bigint", nullable: false),
                    ExpiresAt = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_leases", x => x.Environment);
                });

            migrationBuilder.CreateTable(
                name: "operations",
                schema: "weave",
                columns: table => new
                {
                    Number = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    Id = table.Column<string>(type: "text", nullable: true, collation: "C"),
                    Environment = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Ended = table.Column<bool>(type: "boolean", nullable: false),
                    Revision = table.Column<long>(type: "bigint", nullable: false),
                    CancelRequested = table.Column<bool>(type: "boolean", nullable: false),
                    Document = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_operations", x => x.Number);
                });

            migrationBuilder.CreateTable(
                name: "routes",
                schema: "weave",
                columns: table => new
                {
                    Id = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Environment = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    ListenAddress = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    ListenPort = table.Column<int>(type: "integer", nullable: false),
                    Protocol = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    CreatedAt = table.Column<long>(type: "bigint", nullable: false),
                    Document = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_routes", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "snapshots",
                schema: "weave",
                columns: table => new
                {
                    Id = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Environment = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    At = table.Column<long>(type: "bigint", nullable: false),
                    Document = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_snapshots", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "tokens",
                schema: "weave",
                columns: table => new
                {
                    Name = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Hash = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Document = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_tokens", x => x.Name);
                });

            migrationBuilder.CreateTable(
                name: "weaves",
                schema: "weave",
                columns: table => new
                {
                    Environment = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Id = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    Tag = table.Column<string>(type: "text", nullable: false, collation: "C"),
                    CreatedAt = table.Column<long>(type: "bigint", nullable: false),
                    Document = table.Column<string>(type: "text", nullable: false, collation: "C")
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_weaves", x => new { x.Environment, x.Id });
                });

            migrationBuilder.CreateIndex(
                name: "IX_activations_Environment_From",
                schema: "weave",
                table: "activations",
                columns: new[] { "Environment", "From" });

            migrationBuilder.CreateIndex(
                name: "IX_idempotency_At",
                schema: "weave",
                table: "idempotency",
                column: "At");

            migrationBuilder.CreateIndex(
                name: "IX_layers_Environment",
                schema: "weave",
                table: "layers",
                column: "Environment");

            migrationBuilder.CreateIndex(
                name: "IX_operations_Environment_Ended_Number",
                schema: "weave",
                table: "operations",
                columns: new[] { "Environment", "Ended", "Number" });

            migrationBuilder.CreateIndex(
                name: "IX_operations_Id",
                schema: "weave",
                table: "operations",
                column: "Id",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_routes_Environment",
                schema: "weave",
                table: "routes",
                column: "Environment");

            migrationBuilder.CreateIndex(
                name: "IX_routes_ListenAddress_ListenPort_Protocol",
                schema: "weave",
                table: "routes",
                columns: new[] { "ListenAddress", "ListenPort", "Protocol" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_snapshots_Environment_At_Id",
                schema: "weave",
                table: "snapshots",
                columns: new[] { "Environment", "At", "Id" });

            migrationBuilder.CreateIndex(
                name: "IX_tokens_Hash",
                schema: "weave",
                table: "tokens",
                column: "Hash",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_weaves_Environment_CreatedAt_Id",
                schema: "weave",
                table: "weaves",
                columns: new[] { "Environment", "CreatedAt", "Id" });

            migrationBuilder.CreateIndex(
                name: "IX_weaves_Tag",
                schema: "weave",
                table: "weaves",
                column: "Tag",
                unique: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "activations",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "audit",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "environments",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "hosts",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "idempotency",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "layers",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "leases",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "operations",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "routes",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "snapshots",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "tokens",
                schema: "weave");

            migrationBuilder.DropTable(
                name: "weaves",
                schema: "weave");
        }
    }
}
