"""One figure of what happened inside a run: curves first, then gates and the matrices between tasks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

from mtlbench.inspection.text import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#222222"
PANEL = (3.6, 3.0)
COLUMNS = 3
Panel = Callable[["Axes"], None]


def draw(document: Mapping[str, Any]) -> str:
    """Return the figure as SVG text; the same document gives the same bytes.

    Tasks are told apart by colour, in the same order in all panels; a matrix has its numbers written in.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = _panels(document)
    rows = -(-len(panels) // COLUMNS)
    with mpl.rc_context(
        {"svg.hashsalt": "mtlbench", "svg.fonttype": "path", "font.size": 9, "text.color": INK}
    ):
        width, height = PANEL[0] * COLUMNS, PANEL[1] * rows + 0.4
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        figure.suptitle(title(document), fontsize=11, x=0.01, ha="left", fontweight="bold")
        places = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
        for panel, axes in zip(panels, places, strict=False):
            panel(axes)
        for axes in places[len(panels) :]:
            axes.set_visible(False)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _panels(document: Mapping[str, Any]) -> list[Panel]:
    """Return a panel for each part of the document that can be drawn."""
    curves, tasks, state = document["curves"], document["tasks"], document["state"]
    heads = {"validation": "Validation metric", "train_loss": "Train loss", "task_weights": "Task weights"}
    unmoved = {"validation": None, "train_loss": None, "task_weights": 1.0}  # equal weights are no curve
    panels: list[Panel] = [
        partial(_lines, head=head, curves=curves, name=name)
        for name, head in heads.items()
        if any(value not in (None, unmoved[name]) for curve in curves.values() for value in curve[name])
    ]
    if gates := state.get("gates"):
        panels.append(partial(_bars, gates=gates))
        if len(tasks) > 1:
            panels.append(
                partial(_matrix, head="Similarity of gates", tasks=tasks, values=gates["similarity"], low=0)
            )
    for name, values in state.get("task_matrices", {}).items():
        panels.append(partial(_matrix, head=f"Matrix {name}", tasks=tasks, values=values))
    between = document["between_tasks"]
    looks = f"mean of {between['looks']} looks" if between else ""
    for part, found in between.get("gradients", {}).items():
        head = f"Cosines of gradients, {part}\n{looks}"
        panels.append(partial(_matrix, head=head, tasks=tasks, values=found["cosines"]))
    if affinity := between.get("affinity"):
        millionths = [[None if value is None else 1e6 * value for value in row] for row in affinity]
        most = max((abs(v) for row in millionths for v in row if v is not None), default=1.0) or 1.0
        panels.append(
            partial(
                _matrix,
                head=f"Affinity, 1e-6\n{looks}",
                tasks=tasks,
                values=millionths,
                most=most,
                form=".1f",
            )
        )
    dead = {part: share for part, share in state.get("dead_units", {}).get("parts", {}).items() if share}
    if dead:
        panels.append(partial(_dead, dead=dead))
    return panels


def _lines(axes: "Axes", head: str, curves: Mapping[str, Any], name: str) -> None:
    for task, curve in curves.items():
        axes.plot(curve["steps"], curve[name], marker="o", markersize=3, linewidth=1.5, label=task)
    axes.set_xlabel("step")
    axes.set_title(head, fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(axes: "Axes", gates: Mapping[str, Any]) -> None:
    """Draw a group of bars per task, one bar per expert."""
    shares = gates["utilisation"]
    experts = max(map(len, shares.values()))
    for i in range(experts):
        at = [row + (i - (experts - 1) / 2) * 0.8 / experts for row in range(len(shares))]
        axes.bar(
            at, [one[i] or 0 for one in shares.values()], width=0.8 / experts, color=str(0.75 * i / experts)
        )
    entropies = gates["entropy"].items()
    labels = [task if value is None else f"{task}\nH {value:.2f}" for task, value in entropies]
    axes.set_xticks(range(len(shares)), labels, fontsize=8)
    axes.set_title("Mean share of each expert, entropy H", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _matrix(
    axes: "Axes",
    head: str,
    tasks: Sequence[str],
    values: Sequence[Sequence[float | None]],
    low: float | None = None,
    most: float = 1.0,
    form: str = ".2f",
) -> None:
    """Draw numbers between tasks: blue is positive, red negative."""
    floats = [[float("nan") if value is None else value for value in row] for row in values]
    axes.imshow(
        floats, cmap="RdBu" if low is None else "Blues", vmin=-most if low is None else low, vmax=most
    )
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            strong = value is not None and abs(value) > 0.6 * most
            text = "-" if value is None else f"{value:{form}}"
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if strong else INK)
    if len(values) == len(tasks):
        axes.set_xticks(range(len(tasks)), tasks)
        axes.set_yticks(range(len(tasks)), tasks)
    axes.set_title(head, fontsize=10, loc="left")
    axes.tick_params(length=0)


def _dead(axes: "Axes", dead: Mapping[str, float]) -> None:
    worst = sorted(dead.items(), key=lambda part: part[1])[-8:]
    axes.barh([part for part, _ in worst], [100 * share for _, share in worst], color="#888888")
    axes.set_title("Dead units, %", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
