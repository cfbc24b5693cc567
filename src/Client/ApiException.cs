using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Client;

/// <summary>The service refused a request, or an operation ended without success: its problem, for people and for programs.</summary>
public sealed class ApiException(Problem problem, Exception? inner = null) : Exception(problem.Detail ?? problem.Title ?? "the service refused the request", inner)
{
    public Problem Problem { get; } = problem;
    /// <summary>Name of the fault; "internal" where the answer had none.</summary>
    public string Fault => Problem.Fault ?? "internal";

    /// <summary>The error of an operation that ended.</summary>
    public static ApiException Of(OperationView operation) => new(new Problem
    {
        Title = $"{operation.Kind} {operation.State}", Fault = operation.Error?.Fault ?? "internal", Detail = operation.Error?.Detail ?? $"The operation was {operation.State}.",
        NextStep = operation.Error?.NextStep, Holders = operation.Error?.Holders, Operation = operation.Id,
    });
}
