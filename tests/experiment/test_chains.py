"""What funnels assume is counted on train: refused where it is false, said where it is a little so."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtlbench.config import Arm, Benchmark
from mtlbench.errors import UsageError
from mtlbench.experiment import chains
from mtlbench.experiment.chains import Link, check_chains, conditionals, count
from mtlbench.experiment.grid import plan
from mtlbench.experiment.run import Execution, run
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from tests.conftest import write_prepared

NAN = np.nan
TASKS = ("view", "cart", "buy")


def test_counts_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows where either is not defined do not count; parts of two rows give what the whole gives."""
    labels = np.array(
        [[1, 1, 1], [0, 1, 0], [NAN, 1, 1], [1, NAN, 1], [0, 0, 1], [0, 0, 0], [1, 1, NAN]], np.float32
    )
    links = [("cart", "view"), ("buy", "view"), ("buy", "cart")]
    expected = [
        Link("cart", "view", rows=5, without=3, positives=3, broken=1),
        Link("buy", "view", rows=5, without=3, positives=3, broken=1),
        Link("buy", "cart", rows=5, without=2, positives=3, broken=1),
    ]
    assert count(labels, TASKS, links) == expected
    monkeypatch.setattr(chains, "ROWS", 2)
    assert count(labels, TASKS, links) == expected
    assert count(labels[:0], TASKS, links[:1]) == [Link("cart", "view", 0, 0, 0, 0)]
    assert Link("cart", "view", 0, 0, 0, 0).share == 0


def relabelled(prepared: Prepared, change: Callable[[NDArray[np.float32]], None]) -> None:
    """The same with other labels on train: click, buy, rating."""
    file = prepared.path / "train" / "labels.npy"
    labels = np.load(file)
    change(labels)
    np.save(file, labels)


def only_where_clicked(labels: NDArray[np.float32]) -> None:
    labels[labels[:, 0] == 0, 1] = NAN


def never_together(labels: NDArray[np.float32]) -> None:
    labels[::2, 0] = labels[1::2, 1] = NAN


def bought_where_clicks_are_unknown(labels: NDArray[np.float32]) -> None:
    labels[labels[:, 1] == 1, 0] = NAN


def broken(prepared: Prepared, rows: int) -> Prepared:
    """The same where so many rows that were not clicked were bought."""
    file = prepared.path / "train" / "labels.npy"
    labels = np.load(file)
    labels[np.flatnonzero(labels[:, 0] == 0)[:rows], 1] = 1
    np.save(file, labels)
    return prepared


def said(home: Home, *arms: Arm, tasks: tuple[str, ...] = ("click", "buy")) -> list[str]:
    prepared = open_prepared(home, "toy", tasks)
    lines: list[str] = []
    check_chains(plan(Benchmark(run=arms, seeds=2), prepared.schema, "x"), prepared, lines.append)
    return lines


FUNNELS = (Arm(method="esmm"), Arm(method="aitm"), Arm(method="single-task"), Arm(method="base-rate"))


def test_a_true_chain_is_silent(home: Home, toy: Prepared) -> None:
    assert said(home, *FUNNELS) == []


def test_a_chain_that_is_a_little_untrue_is_said_once_with_the_share(home: Home, toy: Prepared) -> None:
    positives = int(toy.open_split("train").labels[:, 1].sum()) + 3
    broken(toy, 3)
    (line,) = said(home, *FUNNELS)
    assert line == (
        "esmm, aitm: buy is taken to happen only where click did; on train "
        f"3 of the {positives} rows with buy have no click ({3 / positives:.2%})."
    )


def test_a_false_chain_is_refused_with_the_share_and_what_would_do(home: Home, toy: Prepared) -> None:
    positives = int(toy.open_split("train").labels[:, 1].sum()) + 40
    broken(toy, 40)
    share = f"40 of the {positives} rows with buy have no click \\({40 / positives:.2%}\\)"
    with pytest.raises(UsageError, match=rf"esmm: buy is taken .* on train {share}\. .*method.chain.*--task"):
        said(home, Arm(method="esmm"))
    assert said(home, Arm(method="hierarchical"), Arm(method="mmoe")) == []


def test_the_chain_of_the_options_is_the_one_that_is_counted(home: Home, toy: Prepared) -> None:
    """Clicks without a purchase are many, so the chain is false the other way round."""
    backwards = Arm(method="aitm", method_options={"chain": ["buy", "click"]})
    with pytest.raises(UsageError, match="aitm: click is taken to happen only where buy did"):
        said(home, backwards)


def test_a_chain_of_unknown_tasks_is_refused_with_a_close_match(home: Home, toy: Prepared) -> None:
    with pytest.raises(UsageError, match=r"Unknown task in chain: 'clik'\. Did you mean 'click'"):
        said(home, Arm(method="esmm", method_options={"chain": ["clik", "buy"]}))


def test_a_run_is_refused_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    broken(write_prepared(home), 40)

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("it trains")

    monkeypatch.setattr("mtlbench.experiment.run.train_missing", never)
    benchmark = Benchmark(run=(Arm(method="esmm"),), dataset="toy", tasks=("click", "buy"), seeds=1)
    with pytest.raises(UsageError, match="buy is taken to happen only where click did"):
        run(home, benchmark, Execution(track=False), lambda line: None, lambda *sizes: nullcontext())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said_is"),
    [
        (
            only_where_clicked,
            r"labels only where click .*P\(buy \| click\).*label on all rows, 0 where",
        ),
        (never_together, "no row of train has a label of both.*method.chain.*--task"),
        (bought_where_clicks_are_unknown, "no row of train has buy and a label of click.*method.chain"),
    ],
)
@pytest.mark.parametrize("method", ["esmm", "escm2-ips", "escm2-dr", "aitm"])
def test_a_chain_that_its_labels_cannot_show_is_refused(
    home: Home, toy: Prepared, method: str, change: Callable[[NDArray[np.float32]], None], said_is: str
) -> None:
    """A purchase that is defined on clicked rows alone is one of them: its score ranks by P(buy | click)."""
    relabelled(toy, change)
    with pytest.raises(UsageError, match=rf"{method}: buy .*{said_is}.*assumes no chain \(mtlbench list"):
        said(home, Arm(method=method))
    assert said(home, Arm(method="hierarchical"), Arm(method="mmoe")) == []


def test_a_child_whose_label_is_missing_on_some_rows_without_its_parent_is_taken(
    home: Home, toy: Prepared
) -> None:
    """The losses know that it is 0 there."""

    def change(labels: NDArray[np.float32]) -> None:
        labels[np.flatnonzero(labels[:, 0] == 0)[1:], 1] = NAN

    relabelled(toy, change)
    assert said(home, *FUNNELS) == []


def test_a_conditional_beside_the_chain_is_said_not_to_be_the_chains() -> None:
    """Click, purchase given a click, both: the second is what ESMM's authors call CVR."""
    labels = np.array([[1, 1, 1], [1, 0, 0], [0, NAN, 0], [1, NAN, 1], [0, NAN, 0]], np.float32)
    tasks = ("ctr", "cvr", "ctcvr")
    assert conditionals(labels, tasks, ("ctcvr", "ctr")) == ["cvr"]
    for row, cvr in ((0, 0.0), (2, 0.0), (4, 1.0)):  # another label, or one without a click
        other = labels.copy()
        other[row, 1] = cvr
        assert conditionals(other, tasks, ("ctcvr", "ctr")) == []
    labels[:, 1] = NAN
    assert conditionals(labels, tasks, ("ctcvr", "ctr")) == []


def test_such_a_conditional_is_a_line_of_a_run(home: Home, toy: Prepared) -> None:
    def change(labels: NDArray[np.float32]) -> None:
        labels[:, 2] = np.where(labels[:, 0] == 1, labels[:, 1], NAN)

    relabelled(toy, change)
    manifest = toy.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"regression"', '"binary"'))
    (line,) = said(home, *FUNNELS, tasks=("click", "buy", "rating"))
    assert line == (
        "esmm, aitm: rating is buy on the rows with click, and stands outside the chain click > buy: it has "
        "a tower of its own; the conditional of buy is not what is scored as rating."
    )
