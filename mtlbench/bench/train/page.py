"""The page with the figures of `bench train`."""

from collections.abc import Mapping
from typing import Any

from mtlbench.bench.train import cases
from mtlbench.bench.train.cases import BATCH, TABLE, US
from mtlbench.bench.train.log import CATEGORICAL, IDS, NUMERIC


def markdown(document: Mapping[str, Any]) -> str:
    """Render the figures as a page."""
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    products = document["products_per_second"]
    lines = [
        "# How fast training is",
        "",
        f"`{document['command']}`: one epoch on generated data ({CATEGORICAL} categorical fields with "
        f"{IDS:,} ids, {NUMERIC} numeric; simulated), {BATCH} rows a step, Adam, batch normalisation, "
        "validation scored once; everyone in a process of its own with one thread, through its own trainer "
        f"and loader; medians of {document['repeats']} turns. Times are of the processor; a ratio is the "
        "fastest peer's time over ours. *Products* is what the matrix products alone would take if each row "
        f"were multiplied with every weight at the best rate measured here ({products / 1e9:.0f} GFLOP/s, in "
        "single precision), as a share of our time; ours multiplies fields with few ids once an id, so that "
        "it may be over 100 %. bf16 is `--precision bf16`; peers have no such option.",
        "",
        f"Device: {document['device']}, load before {document['load']:.1f}; {versions}; commit "
        f"{document['commit'] or 'unknown'}; {document['measured_at']}.",
        "",
        "| case, target (floor) | who | us a row | ratio | products | scoring, us a row | ratio | peak MB | "
        "AUC click, conversion |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for case in document["cases"]:
        if case["name"] != TABLE.name:
            lines += _rows(case, products)
    lines += [
        "",
        f"Scoring the test split is to be {cases.EVALUATION_TARGET:g}x as fast as the fastest peer.",
    ]
    for case in [case for case in document["cases"] if case["name"] == TABLE.name]:
        taken = ", ".join(f"{who} {side['train']['seconds']:.0f} s" for who, side in case["sides"].items())
        lines += [
            "",
            f"The whole table, {cases.TABLE_SEEDS} seeds, {case['rows']:,} rows, wall time with all cores "
            f"from start to end: {taken}; ratio {_times(case['ratios'][US]['train'])} (target "
            f"{case['target']:g}x). Ours has single-task, hard and soft sharing, MMoE and verdicts; a peer's "
            "its shared bottom, MMoE, one model a task.",
        ]
    return "\n".join(lines) + "\n"


def _rows(case: Mapping[str, Any], products: float) -> list[str]:
    """Render one line per side."""
    lines = []
    for i, (who, side) in enumerate(case["sides"].items()):
        train = side["train"]["cpu_seconds"] / case["rows"]
        scoring = side["evaluation"]["cpu_seconds"] / case["scored_rows"]
        ratios = {what: _times(value) for what, value in case["ratios"].get(who, {}).items()}
        floor = (
            6 * side["multiplied"] / products / train if who == US else None
        )  # forward, and twice backward
        cells = [
            f"{case['name']}, {case['target']:g}x ({case['floor']:g}x)" if i == 0 else "",
            who,
            f"{1e6 * train:.1f}",
            ratios.get("train", ""),
            "" if floor is None else f"{floor:.0%}",
            f"{1e6 * scoring:.1f}",
            ratios.get("evaluation", ""),
            f"{side['peak_bytes'] / 1e6:,.0f}",
            ", ".join(f"{value:.3f}" for value in side["auc"].values()),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _times(ratio: float | None) -> str:
    return "no peer" if ratio is None else f"{ratio:.2f}x"
