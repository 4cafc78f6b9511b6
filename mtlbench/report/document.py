"""The document that `run` and `compare` produce: what ran, the verdicts, the costs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mtlbench.home import Home

if TYPE_CHECKING:
    from mtlbench.compare import Comparison
    from mtlbench.runs.outcome import Outcome


def document(
    home: Home, about: Mapping[str, Any], outcomes: Sequence["Outcome"], comparison: "Comparison"
) -> dict[str, Any]:
    """Return plain values for `--json`, MLflow and the tables; paths are relative to the home.

    Args:
        home: where results are stored.
        about: a manifest or a stored result, with dataset, fingerprint, simulated and schema.
        outcomes: every requested run, including failed ones.
        comparison: the verdicts over the results.
    """
    from mtlbench.compare.seed_groups import seed_groups  # loads NumPy, which showing a document should not

    compared, runs = comparison.to_json(), [_run(home, outcome) for outcome in outcomes]
    return {
        "dataset": about["dataset"],
        "fingerprint": about["fingerprint"],
        "simulated": about["simulated"],
        "tasks": about["schema"]["tasks"],
        "cluster": about["schema"]["cluster"],
        **compared,
        "seed_groups": [asdict(groups) for groups in seed_groups(compared["comparisons"], runs)],
        "runs": runs,
    }


def shard_document(
    home: Home, about: Mapping[str, Any], outcomes: Sequence["Outcome"], shard: tuple[int, int]
) -> dict[str, Any]:
    """Return the document of one shard of the runs, which is too little for a verdict."""
    return {
        "dataset": about["dataset"],
        "fingerprint": about["fingerprint"],
        "simulated": about["simulated"],
        "shard": list(shard),
        "runs": [_run(home, outcome) for outcome in outcomes],
    }


def cut_short(data: Mapping[str, Any]) -> bool:
    """Return whether a model of the run was at its best when its epochs ended: it might have improved."""
    epochs = data["run"].get("training", {}).get("epochs")
    return any(
        evaluations[-1]["epoch"] >= epochs
        and evaluations[-1]["step"] in {data["checkpoint"][task]["deployable"] for task in model["tasks"]}
        for model in data.get("history", ())
        if (evaluations := model["evaluations"])
    )


def _run(home: Home, outcome: "Outcome") -> dict[str, Any]:
    spec, result = outcome.spec, outcome.result
    return {
        "method": spec.method,
        "balancer": spec.balancer,
        "method_options": dict(spec.method_options),
        "balancer_options": dict(spec.balancer_options),
        "seed": spec.seed,
        "status": outcome.status,
        "reason": outcome.reason,
        "warnings": result.data["warnings"] if result else [],
        "cut_short": result is not None and cut_short(result.data),
        "result": home.relative(result.path / "result.json") if result else None,
        "metrics": result.data["metrics"] if result else {},
    }
