"""The document that `run` and `compare` give: what ran, the verdicts, the costs; and its Markdown form."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mtlbench.home import Home

if TYPE_CHECKING:
    from mtlbench.compare import Comparison
    from mtlbench.runner import Outcome


def document(
    home: Home, about: Mapping[str, Any], outcomes: Sequence["Outcome"], comparison: "Comparison"
) -> dict[str, Any]:
    """Plain values for `--json`, MLflow and the tables; paths are relative to the home.

    Args:
        home: where results lie.
        about: dataset, fingerprint, simulated and schema: a manifest, or a stored result.
        outcomes: every run that was asked for, failed ones too.
        comparison: the verdicts over the results.
    """
    return {
        "dataset": about["dataset"],
        "fingerprint": about["fingerprint"],
        "simulated": about["simulated"],
        "tasks": about["schema"]["tasks"],
        "cluster": about["schema"]["cluster"],
        **comparison.to_json(),
        "runs": [_run(home, outcome) for outcome in outcomes],
    }


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
        "result": home.relative(result.path / "result.json") if result else None,
        "metrics": result.data["metrics"] if result else {},
    }


def legend(document: Mapping[str, Any]) -> list[str]:
    """How to read the verdicts: what the interval is over, how they were decided, what could be seen."""
    first, family = document["comparisons"][0], document["family"]
    known = [c["minimum_detectable_effect"] for c in document["comparisons"]]
    known = sorted(value for value in known if value is not None)
    seeds = f"{first['seeds']} seed{'s' * (first['seeds'] != 1)}"
    clusters = max(c["clusters"] for c in document["comparisons"])
    effects = dict.fromkeys(f"{c['delta']:g} {c['delta_unit'].upper()}" for c in document["comparisons"])
    lines = [
        f"Gain over {family['baseline']}, 95 % interval over {seeds} and {clusters:,} test "
        f"{many_clusters(document)}, verdict: Holm over a family of {family['size']}, alpha "
        f"{family['alpha']:g}, smallest effect that matters {', '.join(effects)}."
    ]
    if known:
        lines.append(
            f"Smallest gain that this could have called (power .80): {known[0]:.4f} to {known[-1]:.4f}."
        )
    return [*lines, "All methods untuned: default settings, but for what was set by hand."]


def many_clusters(document: Mapping[str, Any]) -> str:
    """What the rows that belong together are called."""
    return "users" if document["cluster"] == "user" else "clusters"


def markdown(document: Mapping[str, Any]) -> str:
    """The verdicts as a Markdown table, a row a task, a column a method."""
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    lines = [f"# {document['dataset']}{simulated}", "", f"Fingerprint `{document['fingerprint']}`.", ""]
    arms = document["family"]["arms"]
    if arms:
        lines.append(_row("task", document["family"]["baseline"], *arms))
        lines.append(_row("---", *["---:"] * (len(arms) + 1)))
        for task in document["family"]["tasks"]:
            cells = {c["arm"]: c for c in document["comparisons"] if c["task"] == task}
            first = cells[arms[0]]
            base = f"{first['metric'].upper()} {figure(first['baseline_value'])}"
            lines.append(_row(task, base, *(_cell(cells[arm]) for arm in arms)))
        lines += ["", *legend(document)]
    return "\n".join(lines) + "\n"


def figure(value: float | None, *, sign: bool = False) -> str:
    """A metric or a gain to four places."""
    return "undefined" if value is None else f"{value:{'+' if sign else ''}.4f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(comparison: Mapping[str, Any]) -> str:
    truth = f" (truth: {comparison['truth']})" if "truth" in comparison else ""
    interval = "..".join(figure(end, sign=True) for end in comparison["interval"] or ())
    return f"{figure(comparison['gain'], sign=True)} [{interval}] {comparison['verdict']}{truth}"
