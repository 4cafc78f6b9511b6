"""The figure of the README: how often rules call what is not there, and what verdicts look like."""

from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from mtlbench.protocol import rules

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (9.6, 3.7)
INK, GOOD, BAD, GREY = "#222222", "#1a7f4b", "#c23b22", "#666666"
COLOURS = {
    "NEGATIVE": BAD,
    "NEGATIVE, negligible": BAD,
    "EQUIVALENT": "#1f6f9f",
    "POSITIVE": GOOD,
    "INCONCLUSIVE": GREY,
}
SHORT = {
    rules.ONE_PAIR: "user bootstrap,\none pair of seeds",
    rules.SEED_MEAN: "user bootstrap,\nmean of seeds",
    rules.PAIRED: "paired t test\nover seeds",
    rules.CROSSED: "bootstrap of\nseeds and users",
    rules.VERDICT: "mtlbench:\nseeds and users",
}
INTERVALS = {  # gain and half width, in units of delta
    "NEGATIVE": (-2.3, 0.8),
    "NEGATIVE, negligible": (-0.5, 0.3),
    "EQUIVALENT": (0.1, 0.6),
    "POSITIVE": (1.9, 1.1),
    "INCONCLUSIVE": (-0.6, 1.7),
}


def draw(document: Mapping[str, Any]) -> str:
    """Return the figure as SVG text; the same document gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {"svg.hashsalt": "mtlbench", "svg.fonttype": "path", "font.size": 10, "text.color": INK}
    ):
        figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
        _rates(left, {one["rule"]: one["largest_rate_5_seeds_or_more"] for one in document["rules"]})
        _verdicts(right)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _rates(axes: "Axes", largest: Mapping[str, float]) -> None:
    """Draw one bar per rule: its largest rate with 5 seeds or more, beside the nominal 5 %."""
    names = list(SHORT)
    percent = [100 * largest[name] for name in names]
    bars = axes.barh(
        [SHORT[name] for name in names], percent, height=0.62, color=[BAD if p > 6 else GOOD for p in percent]
    )
    axes.bar_label(bars, [f"{p:.0f} %" for p in percent], padding=4)
    axes.axvline(5, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1.18 * max(percent)), xlabel="false calls at worst, % (dashed: promised 5 %)")
    axes.set_title("A difference is called where none is", fontsize=11, loc="left")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _verdicts(axes: "Axes") -> None:
    """Draw one interval per verdict, on the axis of the gain in units of delta."""
    axes.axvspan(-1, 1, color="#eef2f5", linewidth=0)
    axes.axvline(0, color=INK, linewidth=1)
    for row, (name, (gain, half)) in enumerate(INTERVALS.items()):
        axes.errorbar(gain, row, xerr=half, fmt="o", capsize=4, linewidth=2.2, color=COLOURS[name])
        axes.annotate(name, (3.3, row), va="center", color=COLOURS[name], fontweight="bold")
    axes.set(xlim=(-3.3, 6.6), ylim=(-0.6, len(INTERVALS) - 0.4), yticks=[], xlabel="gain over single-task")
    axes.set_xticks([-1, 0, 1], ["$-\\delta$", "0", "$+\\delta$"])
    axes.set_title("What an interval is called", fontsize=11, loc="left")
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
