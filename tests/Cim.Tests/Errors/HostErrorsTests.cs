namespace WeaveHypervisor.HyperV.Cim.Tests.Errors;

public sealed class HostErrorsTests
{
    [Theory]
    [InlineData(32768u, "The system failed to create 'D:\\a.vhdx'. The file exists. (0x80070050).", HostErrorKind.AlreadyExists)]
    [InlineData(32768u, "Failed with 'Der Prozess kann nicht zugreifen' ('0x80070020')", HostErrorKind.InUse)]
    [InlineData(32768u, "There was an ID mismatch between the differencing disk and its parent (0xC03A000E).", HostErrorKind.Damaged)]
    [InlineData(32768u, "Not enough space (0x80070070).", HostErrorKind.NoSpace)]
    [InlineData(32768u, "No reason at all.", HostErrorKind.Failed)]
    [InlineData(32775u, "At offset 0x8007005 or so", HostErrorKind.InvalidState)]
    [InlineData(32775u, "With an odd code 0x8FFFFFFF", HostErrorKind.InvalidState)]
    public void The_windows_error_in_a_jobs_text_says_more_than_its_code(uint code, string text, HostErrorKind kind) => Assert.Equal(kind, HostErrors.OfJob(code, text, [], "x").Kind);

    [Fact]
    public void The_windows_error_of_a_message_counts_where_the_job_itself_names_none()
    {
        var error = HostErrors.OfJob(32768, "Failed.", [new("1", "Sharing violation (0x80070020)", "disk")], "CreateSnapshot of web");
        Assert.Equal((HostErrorKind.InUse, 0x80070020u), (error.Kind, error.WindowsError!.Value));
        Assert.Equal("CreateSnapshot of web: Failed; Sharing violation (0x80070020) (job error 32768)", error.Message);
    }

    [Theory]
    [InlineData(CimStatus.InvalidClass, HostErrorKind.Unsupported)]
    [InlineData(CimStatus.NotFound, HostErrorKind.NotFound)]
    [InlineData(CimStatus.ServerShuttingDown, HostErrorKind.Unavailable)]
    [InlineData((CimStatus)99, HostErrorKind.Failed)]
    public void A_status_has_its_kind(CimStatus status, HostErrorKind kind) => Assert.Equal(kind, HostErrors.Of(new CimException(status, "text"), "x").Kind);

    [Fact]
    public void The_windows_error_of_a_status_decides() =>
        Assert.Equal(HostErrorKind.Unavailable, HostErrors.Of(new CimException(CimStatus.Failed, "The RPC server is unavailable.", 0x800706BA), "x").Kind);

    [Fact]
    public void Every_documented_return_value_but_the_plain_failures_has_a_kind()
    {
        foreach (var value in new uint[] { 1, 3, 4, 5, 6, 32769, 32770, 32771, 32772, 32773, 32774, 32775, 32776, 32777, 32778, 32779 }) Assert.NotEqual(HostErrorKind.Failed, HostErrors.OfReturn(value));
        foreach (var value in new uint[] { 2, 32768, 4097, 99999 }) Assert.Equal(HostErrorKind.Failed, HostErrors.OfReturn(value));
    }

    [Theory]
    [InlineData(@"C:\", true)]
    [InlineData(@"C:\VMs\a b.vhdx", true)]
    [InlineData(@"\\server\share\a", true)]
    [InlineData(@"\\server", false)]
    [InlineData(@"C:\a\..\b", false)]
    [InlineData(@"C:\a\\b", false)]
    [InlineData("C:/a", false)]
    [InlineData(@"\\?\C:\a", false)]
    [InlineData(@"C:\a.vhdx:stream", false)]
    [InlineData(@"C:\a\b ", false)]
    [InlineData(@"C:\a\b.", false)]
    [InlineData("C:\\a\u0001", false)]
    [InlineData("a", false)]
    [InlineData("", false)]
    [InlineData(null, false)]
    public void Only_plain_absolute_paths_are_paths_of_a_host(string? path, bool absolute) => Assert.Equal(absolute, HostPath.IsAbsolute(path));

    [Fact]
    public void Paths_come_apart_and_together_by_backslashes()
    {
        Assert.Equal(@"C:\a\b\c.vhdx", HostPath.Join(@"C:\a\", "b", "c.vhdx"));
        Assert.Equal((@"C:\a\b", "c.vhdx", "c", ".vhdx"), (HostPath.Folder(@"C:\a\b\c.vhdx"), HostPath.Name(@"C:\a\b\c.vhdx"), HostPath.Stem(@"C:\a\b\c.vhdx"), HostPath.Ending(@"C:\a\b\c.vhdx")));
        Assert.True(HostPath.IsBelow(@"c:\A\b", @"C:\a"));
        Assert.False(HostPath.IsBelow(@"C:\ab", @"C:\a"));
    }
}
