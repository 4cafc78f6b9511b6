"""The simulator does what its knobs say; what its data do to training is checked by the slow demo test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mtlbench.data.shop import (
    BEHAVIOURS,
    DAY_SECONDS,
    DAYS,
    START,
    TRAIN_DAYS,
    ShopSettings,
    events,
    simulate,
    truth,
)

SMALL: dict[str, Any] = {"users": 60, "items": 80, "categories": 6}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return events(ShopSettings())


def test_every_line_is_of_userbehaviors_format(tmp_path: Path) -> None:
    simulate(ShopSettings(**SMALL), tmp_path / "log.csv")
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert len(lines) > 1000
    times = []
    for line in lines:
        user, item, category, behaviour, seconds = line.split(",")
        assert 1 <= int(user) <= 60
        assert 1 <= int(item) <= 80
        assert 1 <= int(category) <= 6
        assert behaviour in BEHAVIOURS
        times.append(int(seconds))
    assert times == sorted(times)


def test_same_settings_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    logs = []
    for i, seed in enumerate((0, 0, 1)):
        simulate(ShopSettings(**SMALL, seed=seed), tmp_path / str(i))
        logs.append((tmp_path / str(i)).read_bytes())
    assert logs[0] == logs[1] != logs[2]


def test_window_and_rhythm(log: pl.DataFrame) -> None:
    """Nine days of UTC+8, quiet before dawn, busy in the evening, a third more on the last two days."""
    assert log["time"].min() >= START  # type: ignore[operator]
    assert log["time"].max() < START + DAYS * DAY_SECONDS  # type: ignore[operator]
    seconds = log["time"].to_numpy() - START
    per_day = np.bincount(seconds // DAY_SECONDS, minlength=DAYS)
    assert per_day[7:].mean() / per_day[:7].mean() == pytest.approx(1.3, abs=0.05)
    per_hour = np.bincount(seconds % DAY_SECONDS // 3600, minlength=24)
    assert per_hour[21] > 5 * per_hour[3]


def test_every_user_has_an_event_on_a_train_day() -> None:
    log = events(ShopSettings(**SMALL, events_per_day=0.1))
    day = (log["time"] - START) // DAY_SECONDS
    active = log.filter(day.is_in(list(TRAIN_DAYS)))["user"]
    assert set(active) == set(range(1, 61))


def test_shares_of_behaviours_are_the_knobs(log: pl.DataFrame) -> None:
    for behaviour, rate in zip(BEHAVIOURS, ShopSettings().rates, strict=True):
        assert (log["behaviour"] == behaviour).mean() == pytest.approx(rate, abs=0.01)


def test_an_item_stands_under_one_category(log: pl.DataFrame) -> None:
    assert log.group_by("item").agg(pl.col("category").n_unique())["category"].max() == 1


def profile(
    log: pl.DataFrame, of: Callable[[pl.DataFrame], pl.Series], behaviour: str
) -> np.ndarray[Any, Any]:
    """How often each group (a user, an hour) chose each item by that behaviour, over the item's mean."""
    own = log.filter(pl.col("behaviour") == behaviour)
    counts = np.zeros((int(of(log).to_numpy().max()) + 1, int(log["item"].to_numpy().max()) + 1))
    np.add.at(counts, (of(own).to_numpy(), own["item"].to_numpy()), 1)
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, counts / total.clip(min=1) - counts.sum(axis=0) / counts.sum(), 0))


def alike(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def users(log: pl.DataFrame) -> pl.Series:
    return log["user"]


def hours(log: pl.DataFrame) -> pl.Series:
    return (log["time"] - START) % DAY_SECONDS // 3600


def test_rho_relates_a_behaviour_to_the_views() -> None:
    """With rho 1 a user buys what he looks at; with rho 0 his carts have nothing to do with it."""
    log = events(ShopSettings(users=40, items=60, events_per_day=100, opposite_share=0.0))
    views = profile(log, users, "pv")
    assert alike(views, profile(log, users, "buy")) > 0.5
    assert alike(views, profile(log, users, "fav")) > 0.5
    assert abs(alike(views, profile(log, users, "cart"))) < 0.1


def test_only_the_unrelated_taste_follows_the_clock() -> None:
    """Between the halves of the users, an hour's carts are alike; an hour's page views are not."""
    log = events(ShopSettings(users=200, items=60, events_per_day=30))
    odd, even = (log.filter(pl.col("user") % 2 == half) for half in (1, 0))
    busy = slice(8, 24)
    assert alike(profile(odd, hours, "cart")[busy], profile(even, hours, "cart")[busy]) > 0.5
    assert abs(alike(profile(odd, hours, "pv")[busy], profile(even, hours, "pv")[busy])) < 0.2


def test_the_opposite_group_buys_what_it_does_not_look_at() -> None:
    log = events(ShopSettings(users=60, items=60, events_per_day=100, opposite_share=0.5))
    group = log["user"] <= 30
    opposite, others = log.filter(group), log.filter(~group)
    assert alike(profile(opposite, users, "pv"), profile(opposite, users, "buy")) < -0.1
    assert alike(profile(others, users, "pv"), profile(others, users, "buy")) > 0.5


def test_noise_drowns_taste() -> None:
    settings: dict[str, Any] = {"users": 40, "items": 60, "events_per_day": 100, "opposite_share": 0.0}
    clear, noisy = (events(ShopSettings(**settings, label_noise=noise)) for noise in (0.0, 1.0))
    assert alike(profile(clear, users, "pv"), profile(clear, users, "buy")) > 0.5
    assert abs(alike(profile(noisy, users, "pv"), profile(noisy, users, "buy"))) < 0.1


def test_in_a_funnel_the_rest_follows_a_page_view() -> None:
    for labels, always in (("funnel", True), ("free", False)):
        log = events(ShopSettings(**SMALL, labels=labels))  # type: ignore[arg-type]
        first = (
            log.filter(pl.col("behaviour") == "pv").group_by("user", "item").agg(seen=pl.col("time").min())
        )
        rest = log.filter(pl.col("behaviour") != "pv").join(first, on=["user", "item"], how="left")
        seen_before = (rest["seen"] <= rest["time"]).fill_null(False)
        assert bool(seen_before.all()) is always
        assert len(rest) > 100


def test_truth_follows_the_knobs() -> None:
    def of(**knobs: Any) -> tuple[str, ...]:
        return tuple(truth(ShopSettings(**knobs))[task] for task in ("view", "cart", "fav", "buy"))

    assert of() == ("none", "harms", "helps", "helps")
    assert of(rho_buy=0.5) == ("none", "harms", "helps", "none")
    assert of(rho_cart=0.5) == ("none", "none", "helps", "helps")
    assert of(rho_cart=1.0, rho_fav=0.5, rho_buy=0.5) == ("none",) * 4
    assert of(taste=0.0) == of(label_noise=1.0) == ("none",) * 4


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("users", 0),
        ("items", 0),
        ("seed", -1),
        ("negatives", 0),
        ("events_per_day", 0.0),
        ("rate_buy", -0.1),
        ("rho_cart", 1.5),
        ("taste", float("nan")),
        ("category_share", 2.0),
        ("opposite_share", -0.1),
    ],
)
def test_a_value_that_makes_no_shop_is_refused_by_name(knob: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{knob} = "):
        ShopSettings(**{knob: value})  # type: ignore[arg-type]


def test_rates_must_leave_room_for_page_views() -> None:
    with pytest.raises(ValueError, match="must be below 1"):
        ShopSettings(rate_cart=0.5, rate_fav=0.3, rate_buy=0.2)
