namespace WeaveHypervisor.Service.Housekeeping;

/// <summary>How often the service looks after itself, section `Weave:Housekeeping`. Times are written as [d.]hh:mm:ss.</summary>
public sealed class HousekeepingOptions
{
    /// <summary>Between two looks for weaves whose time to live is over, 1 second to 1 day: a weave outlives its time by this at most.</summary>
    public TimeSpan ExpiryEvery { get; set; } = TimeSpan.FromSeconds(30);
    /// <summary>After a deletion of an expired weave has failed, the time until it is tried again, 1 second to 7 days.</summary>
    public TimeSpan ExpiryRetryAfter { get; set; } = TimeSpan.FromHours(1);
    /// <summary>Between two comparisons of the host with the store, 10 seconds to 1 day.</summary>
    public TimeSpan DriftEvery { get; set; } = TimeSpan.FromMinutes(5);
    /// <summary>Between two looks for operations whose wake-up was lost, 1 second to 1 hour.</summary>
    public TimeSpan WakeUpsEvery { get; set; } = TimeSpan.FromSeconds(30);
    /// <summary>Between two looks at how often the policies want to be looked at, 1 second to 1 minute: a new policy waits for its first point by this at most.</summary>
    public TimeSpan ScheduleEvery { get; set; } = TimeSpan.FromSeconds(2);
    /// <summary>Between two looks for work of another process of this host that has died, 1 second to 1 hour: it goes on here after the time of a lease (30 s) and this.</summary>
    public TimeSpan TakeOverEvery { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Between two looks for guests that a snapshot has left frozen, because their agent woke up late, 1 second to 1 hour.</summary>
    public TimeSpan FrozenEvery { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>What is wrong with these settings: name, value and what to use instead, for each; empty where nothing.</summary>
    public IReadOnlyList<(string Name, string Value, string Next)> Check()
    {
        var wrong = new List<(string, string, string)>();
        void Range(string name, TimeSpan value, TimeSpan least, TimeSpan most)
        {
            if (value < least || value > most) wrong.Add(("Housekeeping:" + name, value.ToString(), $"Use {least} to {most}."));
        }
        Range(nameof(ExpiryEvery), ExpiryEvery, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1));
        Range(nameof(ExpiryRetryAfter), ExpiryRetryAfter, TimeSpan.FromSeconds(1), TimeSpan.FromDays(7));
        Range(nameof(DriftEvery), DriftEvery, TimeSpan.FromSeconds(10), TimeSpan.FromDays(1));
        Range(nameof(WakeUpsEvery), WakeUpsEvery, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));
        Range(nameof(ScheduleEvery), ScheduleEvery, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1));
        Range(nameof(TakeOverEvery), TakeOverEvery, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));
        Range(nameof(FrozenEvery), FrozenEvery, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));
        return wrong;
    }
}
