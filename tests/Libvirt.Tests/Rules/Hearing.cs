using WeaveHypervisor.Conformance;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>The numbers of frames that a machine's interface hears, its own included.</summary>
internal sealed class Hearing(Wire wire)
{
    private readonly List<int> _numbers = [];
    private int _barrier = 900_000;

    public IReadOnlyList<int> Numbers
    {
        get
        {
            while (wire.Next() is { } frame)
                if (Frames.NumberOf(frame) is { } number) _numbers.Add(number);
            return _numbers;
        }
    }

    public Task HearsAsync(int number) => Eventually.HoldsAsync($"frame {number} is heard", () => Task.FromResult(Numbers.Contains(number)), TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);

    /// <summary>After this everything that was sent before, on the same way, has come or will never come: an answer of ICMP always passes.</summary>
    public async Task BarrierAsync(Wire from, string sender, string receiver)
    {
        from.Send(Frames.Ethernet(FenceWorld.Mac(sender), FenceWorld.Mac(receiver), 0x800, Frames.Ip(FenceWorld.AddressOf(sender), FenceWorld.AddressOf(receiver), 1, Frames.Icmp(0, ++_barrier))));
        await HearsAsync(_barrier);
    }
}
