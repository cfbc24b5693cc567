using System.Diagnostics;

namespace WeaveHypervisor.Operations;

/// <summary>
/// An aid for crash tests: with <c>WEAVE_KILL_AT=kind/step/point</c> in the environment the process ends itself by SIGKILL at that boundary, as a power cut
/// would. Points: <c>before</c> (nothing is written of the step), <c>doing</c> (the intent is written, the effect has not begun), <c>after</c> (the effect is
/// whole, its end is not written), <c>done</c> (the end is written, with the intent of the next step or the end of the operation), <c>undoing</c> and <c>undone</c> likewise before and after the undoing of the step.
/// Never set on a service that is used.
/// </summary>
internal static class KillSwitch
{
    public const string Variable = "WEAVE_KILL_AT";
    private static readonly string? Target = Environment.GetEnvironmentVariable(Variable);

    public static void Pass(string kind, string step, string point)
    {
        if (Target is null || !string.Equals(Target, $"{kind}/{step}/{point}", StringComparison.Ordinal)) return;
        Process.GetCurrentProcess().Kill();
        Environment.FailFast($"{Variable}={Target}");
    }
}
