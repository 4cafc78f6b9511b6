"""The guards on matrices made by hand: 150 users, two tasks, one field of each kind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtlbench import metrics
from mtlbench.data.card import Card, card_of
from mtlbench.data.describe import describe_fields
from mtlbench.data.guards import check, examine
from mtlbench.data.readings import SAMPLE, aucs, sampled_rows
from mtlbench.data.recipe import Built
from mtlbench.errors import DataError
from mtlbench.load import SPLITS
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, Field, Schema, Task

ROWS = 3000
SCHEMA = Schema(
    fields=(
        Field(name="item", kind="categorical", vocabulary="item", of="item"),
        Field(name="item_pv", kind="numeric", of="item"),
        Field(name="user_pv", kind="numeric", of="user"),
        Field(name="recent", kind="sequence", vocabulary="item", length=3, of="user"),
    ),
    tasks=(Task(name="view"), Task(name="buy", given="view")),
)
BALANCED = {"task": "view", "of": ["item", "category"], "low": 0.4, "high": 0.6}
Matrices = dict[str, NDArray[Any]]


def made(
    folder: Path, spoil: Callable[[str, Matrices], None] = lambda split, m: None, users: int = 150
) -> Built:
    """Matrices of pure noise, after `spoil` has had its way with them."""
    rng = np.random.default_rng(1)
    for split in SPLITS:
        (folder / split).mkdir()
        view = np.arange(ROWS) % 5 == 0
        m: Matrices = {
            "categorical": rng.integers(OUT_OF_VOCABULARY, 40, (ROWS, 1)),
            "numeric": rng.poisson(1, (ROWS, 2)).astype(np.float32),
            "sequence": rng.integers(0, 40, (ROWS, 3)),
            "labels": np.stack([view, view & (rng.random(ROWS) < 0.4)], axis=1).astype(np.float32),
            "cluster": np.arange(ROWS) // 5 % users,
        }
        m |= {"group_categorical": np.empty((ROWS, 0)), "group_numeric": np.empty((ROWS, 0))}
        spoil(split, m)
        for name, values in m.items():
            np.save(folder / split / f"{name}.npy", values)
    return Built(
        schema=SCHEMA,
        vocabularies={"item": 40},
        rows=dict.fromkeys(SPLITS, ROWS),
        quirks={},
        absent={"item_pv": 0.0, "user_pv": 0.0},
        novelty=("item_pv",),
    )


def card(**explained: str) -> Card:
    return card_of("taobao", {"explained": explained, "guards": {"balanced": BALANCED}}, "card.toml")


def leak(split: str, column: int, task: int, noise: float) -> Callable[[str, Matrices], None]:
    """Make a numeric column follow a task's label in one split."""

    def spoil(here: str, m: Matrices) -> None:
        if here == split:
            values = m["labels"][:, task] + noise * np.random.default_rng(2).normal(size=ROWS)
            m["numeric"][:, column] = values.astype(np.float32)

    return spoil


def test_noise_passes_and_is_summed_up(tmp_path: Path) -> None:
    said: list[str] = []
    summary = check(made(tmp_path), tmp_path, card(), said.append)
    assert summary["above"] == []
    assert summary["not_judged"] == {"train": [], "validation": [], "test": []}
    assert summary["rows"] == dict.fromkeys(SPLITS, ROWS)
    assert abs(summary["auc"]["test"]["item_pv"]["view"] - 0.5) < 0.05
    assert "item out of vocabulary" in summary["auc"]["train"]
    assert "item train rate" in summary["auc"]["validation"]
    assert "item train rate" not in summary["auc"]["test"]
    assert sum("Items never seen before" in line for line in said) == 3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_leak_is_an_error(tmp_path: Path, split: str, sign: int) -> None:
    """A user field that all but equals the buy label, in either direction, on one split alone."""

    def spoil(here: str, m: Matrices) -> None:
        leak(split, 1, 1, 0.01)(here, m)
        m["numeric"][:, 1] *= sign

    auc = "1.000" if sign > 0 else "0.000"
    with pytest.raises(DataError, match=rf"user_pv alone has AUC {auc} on buy \({split}\), beyond 0.95"):
        check(made(tmp_path, spoil), tmp_path, card(user_pv="It is no use to explain this."), print)


def test_what_is_high_must_be_explained(tmp_path: Path) -> None:
    built = made(tmp_path, leak("test", 1, 1, 0.7))
    with pytest.raises(
        DataError, match=r"user_pv alone has AUC 0\.8\d\d on buy \(test\), beyond 0.8 and not expl"
    ):
        check(built, tmp_path, card(), print)
    said: list[str] = []
    summary = check(built, tmp_path, card(**{"user_*": "They always buy."}), said.append)
    [entry] = summary["above"]
    assert (entry["field"], entry["task"], entry["split"]) == ("user_pv", "buy", "test")
    assert entry["explained"] == "They always buy."
    assert any("user_pv on buy 0.8" in line and "They always buy." in line for line in said)


def test_absence_is_a_feature_too(tmp_path: Path) -> None:
    """Values tell nothing, but they are missing just where nothing was bought."""

    def spoil(split: str, m: Matrices) -> None:
        bought = m["labels"][:, 1] > 0
        m["numeric"][:, 1] = np.where(bought, np.random.default_rng(0).choice([-1, 1], ROWS), 0)

    with pytest.raises(DataError, match=r"user_pv absent alone has AUC 0\.000 on buy"):
        check(made(tmp_path, spoil), tmp_path, card(), print)


def test_ids_are_scored_by_their_train_rates(tmp_path: Path) -> None:
    """An id whose number says nothing, but that stands for the label: only its rate on train shows it."""

    def spoil(split: str, m: Matrices) -> None:
        good = np.isin(np.arange(40), np.random.default_rng(3).permutation(np.arange(FIRST_ID, 40))[:19])
        ids = np.arange(FIRST_ID, 40)
        bought = m["labels"][:, 1] > 0
        rng = np.random.default_rng(4)
        m["categorical"][:, 0] = np.where(
            bought, rng.choice(ids[good[FIRST_ID:]], ROWS), rng.choice(ids[~good[FIRST_ID:]], ROWS)
        )

    with pytest.raises(
        DataError, match=r"item train rate alone has AUC (0.99\d|1.000) on buy \(validation\)"
    ):
        check(made(tmp_path, spoil), tmp_path, card(), print)


@pytest.mark.parametrize("what", ["item_pv", "item out of vocabulary"])
def test_item_fields_must_not_tell_views(tmp_path: Path, what: str) -> None:
    """AUC about .64 on view: far from a leak elsewhere, but negatives must be like positives by item."""

    def spoil(split: str, m: Matrices) -> None:
        viewed = m["labels"][:, 0] > 0
        if what == "item_pv":
            m["numeric"][:, 0] += viewed
        else:
            rare = viewed & (np.random.default_rng(5).random(ROWS) < 0.35)
            m["categorical"][rare, 0] = OUT_OF_VOCABULARY

    with pytest.raises(DataError, match=rf"{what} alone has AUC 0\.\d+ on view \(\w+\), outside 0.4 .. 0.6"):
        check(made(tmp_path, spoil), tmp_path, card(**{"*": "No explanation helps here."}), print)


def test_a_user_field_may_tell_views(tmp_path: Path) -> None:
    def spoil(split: str, m: Matrices) -> None:
        m["numeric"][:, 1] += m["labels"][:, 0]

    check(made(tmp_path, spoil), tmp_path, card(), print)


def test_few_users_are_not_judged_but_said_to_be(tmp_path: Path) -> None:
    built = made(tmp_path, leak("test", 1, 1, 0.01), users=60)
    findings = examine(built, tmp_path, card())
    assert findings.errors == []
    assert findings.summary["not_judged"]["test"] == ["view", "buy"]
    assert findings.summary["auc"]["test"]["user_pv"]["buy"] == 1.0
    assert any(line.startswith("NOT guarded against leaks: view, buy,") for line in findings.lines)


def test_shares_of_never_seen_items_are_counted(tmp_path: Path) -> None:
    def spoil(split: str, m: Matrices) -> None:
        m["numeric"][:, 0] = 1
        m["numeric"][:600, 0] = 0  # 120 of 600 positives, 480 of 2,400 negatives
        m["numeric"][600:660:5, 0] = 0  # and 12 positives more

    summary = check(made(tmp_path, spoil), tmp_path, card(), print)
    assert summary["never_seen"]["test"] == {"positives": 0.22, "negatives": 0.2}


def test_identical_tasks_and_constant_fields_are_named(tmp_path: Path) -> None:
    def spoil(split: str, m: Matrices) -> None:
        m["labels"][:, 1] = m["labels"][:, 0]
        m["numeric"][:, 0] = np.nan  # missing everywhere
        m["numeric"][:, 1] = 7

    said: list[str] = []
    summary = check(made(tmp_path, spoil), tmp_path, card(), said.append)
    assert summary["identical_tasks"] == [["view", "buy"]]
    assert summary["constant_fields"] == ["item_pv", "user_pv"]
    assert "Tasks view and buy are identical on every row." in said
    assert "Constant fields: item_pv, user_pv." in said


def test_tasks_that_differ_in_one_split_are_not_identical(tmp_path: Path) -> None:
    def spoil(split: str, m: Matrices) -> None:
        if split != "test":
            m["labels"][:, 1] = m["labels"][:, 0]

    assert examine(made(tmp_path, spoil), tmp_path, card()).summary["identical_tasks"] == []


def test_many_aucs_equal_the_metric() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, 400)
    labels = rng.random((400, 3)) < [0.1, 0.5, 0.0]
    found = aucs(values, labels)
    assert found[:2] == pytest.approx([metrics.auc(labels[:, k], values) for k in range(2)], abs=1e-12)
    assert np.isnan(found[2])


def test_large_splits_are_sampled_the_same_way_each_time() -> None:
    rows = sampled_rows(5 * SAMPLE)
    assert abs(len(rows) - SAMPLE) < 2000
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, sampled_rows(5 * SAMPLE))
    assert len(sampled_rows(SAMPLE)) == SAMPLE


def test_a_task_is_judged_on_the_rows_where_it_is_defined(tmp_path: Path) -> None:
    """A field that tells who was shown says nothing about what they did."""

    def spoil(split: str, m: Matrices) -> None:
        hidden = np.random.default_rng(4).random(ROWS) < 0.5
        m["labels"][hidden, 1] = np.nan
        m["numeric"][:, 1] = hidden  # tells perfectly where `buy` is defined

    summary = check(made(tmp_path, spoil), tmp_path, card(), print)
    assert summary["auc"]["test"]["user_pv"]["buy"] == 0.5
    assert abs(summary["auc"]["validation"]["item train rate"]["buy"] - 0.5) < 0.1


def test_a_field_that_gives_a_regression_away_is_an_error(tmp_path: Path) -> None:
    """Judged as a yes or no: is the value above the mean of train."""

    def spoil(split: str, m: Matrices) -> None:
        m["labels"][:, 1] = np.random.default_rng(4).normal(size=ROWS)
        if split == "test":
            m["numeric"][:, 1] = m["labels"][:, 1]

    built = made(tmp_path, spoil)
    tasks = (SCHEMA.tasks[0], Task(name="buy", kind="regression"))
    regression = replace(built, schema=replace(SCHEMA, tasks=tasks))
    with pytest.raises(DataError, match=r"user_pv alone has AUC 1\.000 on buy \(test\)"):
        check(regression, tmp_path, card(), print)


def test_fields_stored_once_a_group_are_judged_on_every_row(tmp_path: Path) -> None:
    plain, grouped = tmp_path / "plain", tmp_path / "grouped"
    plain.mkdir()
    grouped.mkdir()
    fields = tuple(replace(f, grouped=f.name == "user_pv") for f in SCHEMA.fields)
    ungrouped = made(plain)
    expected = check(ungrouped, plain, card(), print)

    def group(split: str, m: Matrices) -> None:
        order = np.random.default_rng(6).permutation(ROWS)
        m["group"] = np.argsort(order).astype(np.int32)
        m["group_numeric"] = m["numeric"][order, 1:]
        m["numeric"] = m["numeric"][:, :1]
        m["sequence"], m["cluster"] = m["sequence"][order], m["cluster"][order]

    built = replace(made(grouped, group), schema=replace(SCHEMA, fields=fields))
    assert check(built, grouped, card(), print) == expected
    assert describe_fields(built, grouped, expected) == describe_fields(ungrouped, plain, expected)


def test_a_sequence_whose_ids_give_a_task_away_is_an_error(tmp_path: Path) -> None:
    def spoil(split: str, m: Matrices) -> None:
        m["sequence"] = np.stack([m["labels"][:, 1] * 2 + FIRST_ID] * 3, axis=1).astype(np.int32)
        m["sequence"][:, 0] = 0

    with pytest.raises(DataError, match=r"recent train rate alone has AUC 1\.000 on buy \(validation\)"):
        check(made(tmp_path, spoil), tmp_path, card(), print)
