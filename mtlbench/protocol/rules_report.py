"""`mtlbench validate-protocol --rules`: the competing rules as a table, with the conclusions from it."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mtlbench.files import write_json, write_text
from mtlbench.home import Home
from mtlbench.protocol import rules
from mtlbench.protocol.check import Lab, Workers
from mtlbench.protocol.validate import Bar, Progress, footer, provenance
from mtlbench.statistics.verdict import MIN_SEEDS

Row = dict[str, Any]

SECONDS = 0.15
"""Approximate seconds of an item on one core."""
TOLERATED = 0.06
"""Largest rate of false calls that counts as keeping a nominal 5 %."""
ENOUGH_POWER = 0.75
"""Rate at which a test that knows its standard errors well calls an effect of three of them."""
WHY = {
    rules.ONE_PAIR: "takes the luck of one seed for a property of the method",
    rules.SEED_MEAN: "takes the seeds at hand for all seeds",
    rules.PAIRED: "takes the test users at hand for all users",
    rules.WILCOXON: "takes the test users at hand for all users",
    rules.CROSSED: "resamples few seeds, so that its interval is too short",
    rules.CAUTIOUS: "",
    rules.SATTERTHWAITE: "its standard error counts as better known than so few seeds can make it",
    rules.VERDICT: "",
}
"""Rule -> why it does not keep its level; empty if it does."""


def compare_rules(
    home: Home,
    *,
    quick: bool,
    workers: int,
    say: Callable[[str], None],
    bar: Callable[[], AbstractContextManager[Bar]],
) -> dict[str, Any]:
    """Simulate the rules; write the full simulation to `results/protocol/rules.*`, with its figure.

    Args:
        home: the home whose `results/` is written to.
        quick: use a tenth of the replicates and write nothing.
        workers: number of processes.
        say: called with a line about what was written.
        bar: the progress bar.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mtlbench-") as scratch, bar() as shown, Workers(workers) as pool:
        items = rules.items(quick)
        with Progress(shown, items * SECONDS).part("rules", items, SECONDS) as on_item:
            rates = rules.simulate(Lab(Home(Path(scratch)), quick, pool, on_item))
    document = {
        **provenance("mtlbench validate-protocol --rules" + " --quick" * quick, time.perf_counter() - began),
        "quick": quick,
        "nominal": rules.ALPHA,
        "replicates": rules.REPLICATES.of(quick),
        "resamples": rules.RESAMPLES,
        "effect_in_standard_errors": rules.EFFECT,
        "rules": [summary(rule, [r for r in rates if r["rule"] == rule]) for rule in rules.RULES],
        "rates": rates,
    }
    if not quick:
        from mtlbench.protocol.figure import draw

        folder = home.results / "protocol"
        write_text(folder / "rules.md", markdown(document))
        write_text(folder / "verdicts.svg", draw(document))
        write_json(folder / "rules.json", document)
        say(f"Written: {home.relative(folder)}/rules.md, rules.json and verdicts.svg")
    return document


def summary(rule: str, rates: Sequence[Row]) -> Row:
    """Summarise one rule over all settings: where it is worst, and the conclusion."""
    three = [r for r in rates if r["seeds"] < MIN_SEEDS]
    more = [r for r in rates if r["seeds"] >= MIN_SEEDS]
    five = [r["power"] for r in rates if r["seeds"] == MIN_SEEDS]
    worst = max(rates, key=_rate)
    return {
        "rule": rule,
        "largest_rate": _rate(worst),
        "standard_error": worst["standard_error"],
        "setting": worst["setting"],
        "smallest_rate": min(map(_rate, rates)),
        "largest_rate_3_seeds": max(map(_rate, three)),
        "largest_rate_5_seeds_or_more": max(map(_rate, more)),
        "power_5_seeds": [min(five), max(five)],
        "conclusion": _conclusion(rule, max(map(_rate, three)), max(map(_rate, more)), five),
    }


def _rate(row: Row) -> float:
    return float(row["false_positive_rate"])


def _conclusion(rule: str, three: float, more: float, power_5_seeds: Sequence[float]) -> str:
    if max(power_5_seeds) == 0:
        blind = f"; with more, {WHY[rule]}" if more > TOLERATED else ""
        return f"with 5 seeds it cannot call anything, whatever the effect{blind}"
    if more > TOLERATED:
        return f"up to {max(three, more) / rules.ALPHA:.0f} times too many false calls: {WHY[rule]}"
    if three > TOLERATED:
        return f"keeps its level from {MIN_SEEDS} seeds on; with 3, {WHY[rule]}"
    loss = "; with 5 seeds it pays with power where users make the noise"
    return "keeps its level" + loss * (max(power_5_seeds) < ENOUGH_POWER)


def markdown(document: dict[str, Any]) -> str:
    """Write what each rule does, then every setting, as Markdown."""
    settings = list(dict.fromkeys(r["setting"] for r in document["rates"]))
    tables = document["replicates"]
    error = 100 * (0.05 * 0.95 / tables) ** 0.5
    lines = [
        "# Which rule may call a difference?",
        "",
        f"`{document['command']}`",
        "",
        f"False-positive rates at a nominal 5 %, over {len(settings)} mixtures of noise without any effect,",
        f"{tables:,} tables each (standard error at 5 %: {error:.1f} points). Power, from the least to the",
        f"most favourable mixture, is for an effect of {document['effect_in_standard_errors']:g} true",
        "standard errors. Below 5 seeds mtlbench gives no verdict.",
        "",
        "| rule | 5 seeds or more, at most | 3 seeds, at most | worst where | power, 5 seeds | conclusion |",
        "| --- | ---: | ---: | --- | ---: | --- |",
        *(_summary_row(one) for one in document["rules"]),
        "",
        "## Every setting",
        "",
        "| setting | " + " | ".join(rules.RULES) + " |",
        "| --- |" + " ---: |" * len(rules.RULES),
        *(_setting_row(setting, document["rates"]) for setting in settings),
        "",
        f"The residual makes {rules.RESIDUAL:.0%} of the variance of the mean everywhere; a bootstrap has "
        f"{document['resamples']} resamples. {footer(document)}",
    ]
    return "\n".join(lines) + "\n"


def _summary_row(one: Row) -> str:
    low, high = one["power_5_seeds"]
    cells = (
        one["rule"],
        f"{one['largest_rate_5_seeds_or_more']:.1%}",
        f"{one['largest_rate_3_seeds']:.1%}",
        one["setting"],
        f"{low:.0%}-{high:.0%}",
        one["conclusion"],
    )
    return "| " + " | ".join(cells) + " |"


def _setting_row(setting: str, rates: Sequence[Row]) -> str:
    return f"| {setting} | " + " | ".join(f"{_rate(r):.1%}" for r in rates if r["setting"] == setting) + " |"
