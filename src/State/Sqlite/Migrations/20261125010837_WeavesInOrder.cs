using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace WeaveHypervisor.State.Sqlite.Migrations
{
    /// <inheritdoc />
    public partial class WeavesInOrder : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateIndex(
                name: "IX_weaves_Environment_CreatedAt_Id",
                table: "weaves",
                columns: new[] { "Environment", "CreatedAt", "Id" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "IX_weaves_Environment_CreatedAt_Id",
                table: "weaves");
        }
    }
}
