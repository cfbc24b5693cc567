using Microsoft.EntityFrameworkCore;

namespace WeaveHypervisor.State;

/// <summary>The tables, as SQLite has them. The model names no provider; migrations are per provider, so each further one derives a context.</summary>
internal class WeaveDbContext : DbContext
{
    public WeaveDbContext(DbContextOptions<WeaveDbContext> options) : base(options)
    {
    }

    protected WeaveDbContext(DbContextOptions options) : base(options)
    {
    }

    public DbSet<EnvironmentRow> Environments => Set<EnvironmentRow>();
    public DbSet<WeaveRow> Weaves => Set<WeaveRow>();
    public DbSet<SnapshotRow> Snapshots => Set<SnapshotRow>();
    public DbSet<LayerRow> Layers => Set<LayerRow>();
    public DbSet<RouteRow> Routes => Set<RouteRow>();
    public DbSet<ActivationRow> Activations => Set<ActivationRow>();
    public DbSet<OperationRow> Operations => Set<OperationRow>();
    public DbSet<IdempotencyRow> Idempotency => Set<IdempotencyRow>();
    public DbSet<LeaseRow> Leases => Set<LeaseRow>();
    public DbSet<TokenRow> Tokens => Set<TokenRow>();
    public DbSet<AuditRow> Audit => Set<AuditRow>();

    protected override void OnModelCreating(ModelBuilder model)
    {
        model.Entity<EnvironmentRow>().ToTable("environments").HasKey(r => r.Id);
        model.Entity<WeaveRow>(t =>
        {
            t.ToTable("weaves").HasKey(r => new { r.Environment, r.Id });
            t.HasIndex(r => r.Tag).IsUnique();
            t.HasIndex(r => new { r.Environment, r.CreatedAt, r.Id });
        });
        model.Entity<SnapshotRow>(t =>
        {
            t.ToTable("snapshots").HasKey(r => r.Id);
            t.HasIndex(r => new { r.Environment, r.At, r.Id });
        });
        model.Entity<LayerRow>(t =>
        {
            t.ToTable("layers").HasKey(r => r.Id);
            t.HasIndex(r => r.Environment);
        });
        model.Entity<RouteRow>(t =>
        {
            t.ToTable("routes").HasKey(r => r.Id);
            t.HasIndex(r => r.Environment);
            t.HasIndex(r => new { r.ListenAddress, r.ListenPort, r.Protocol }).IsUnique();
        });
        model.Entity<ActivationRow>(t =>
        {
            t.ToTable("activations").HasKey(r => r.Number);
            t.HasIndex(r => new { r.Environment, r.From });
        });
        model.Entity<OperationRow>(t =>
        {
            t.ToTable("operations").HasKey(r => r.Number);
            t.HasIndex(r => r.Id).IsUnique();
            t.HasIndex(r => new { r.Environment, r.Ended, r.Number });
        });
        model.Entity<IdempotencyRow>(t =>
        {
            t.ToTable("idempotency").HasKey(r => r.Key);
            t.HasIndex(r => r.At);
        });
        // No reference to environments: writes after an environment's deletion still present its lease.
        model.Entity<LeaseRow>().ToTable("leases").HasKey(r => r.Environment);
        model.Entity<TokenRow>(t =>
        {
            t.ToTable("tokens").HasKey(r => r.Name);
            t.HasIndex(r => r.Hash).IsUnique();
        });
        model.Entity<AuditRow>().ToTable("audit").HasKey(r => r.Number);
    }
}
