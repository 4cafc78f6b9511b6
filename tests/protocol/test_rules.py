"""The simulation of rules: what each promises by hand, its report, and the figure."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from mtlbench import render
from mtlbench.home import Home
from mtlbench.protocol import rules
from mtlbench.protocol.check import Scale
from mtlbench.protocol.figure import draw
from mtlbench.protocol.rules_report import compare_rules, markdown, summary
from mtlbench.statistics.variance import interval, two_way


@contextmanager
def silent() -> Iterator[Any]:
    yield lambda text, done, total: None


def compared(home: Home, quick: bool) -> dict[str, Any]:
    return compare_rules(home, quick=quick, workers=1, say=lambda _: None, bar=silent)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REPLICATES", Scale(100, 100))
    monkeypatch.setattr(rules, "RESAMPLES", 99)
    chosen = tuple(rules.Setting(seeds, 100, share) for seeds in (3, 5) for share in (0.0, 1.0))
    monkeypatch.setattr(rules, "SETTINGS", chosen)


def test_the_mean_of_a_drawn_table_has_variance_1() -> None:
    rng = np.random.default_rng(0)
    for setting in (rules.Setting(3, 100, 0.0), rules.Setting(10, 100, 0.5), rules.Setting(5, 100, 1.0)):
        means = setting.draw(2000, rng).mean(axis=(1, 2))
        assert means.std() == pytest.approx(1, abs=0.06)


def test_the_products_rules_are_the_products() -> None:
    tables = rules.Setting(5, 100, 0.3).draw(3, np.random.default_rng(1))
    bounds = rules.intervals(tables, np.random.default_rng(2))
    for i, table in enumerate(tables):
        e = two_way(table)
        for rule, df in ((rules.CAUTIOUS, 4), (rules.SATTERTHWAITE, e.df), (rules.VERDICT, min(e.df, 4))):
            assert (bounds[rule][0][i], bounds[rule][1][i]) == pytest.approx(interval(e, df, 0.05))
        assert (bounds[rules.PAIRED][0][i], bounds[rules.PAIRED][1][i]) == pytest.approx(
            interval(replace(e, user=0.0), 4, 0.05)
        )


def test_user_bootstraps_have_the_spread_of_users() -> None:
    """Normal ends: the mean less and plus 1.96 standard errors, to the noise of 999 resamples."""
    tables = rules.Setting(5, 500, 0.5).draw(4, np.random.default_rng(3))
    bounds = rules.intervals(tables, np.random.default_rng(4))
    for rule, users in ((rules.ONE_PAIR, tables[:, :, 0]), (rules.SEED_MEAN, tables.mean(axis=2))):
        half = 1.96 * users.std(axis=1, ddof=1) / math.sqrt(500)
        low, high = bounds[rule]
        np.testing.assert_allclose(low, users.mean(axis=1) - half, atol=0.2 * half.max())
        np.testing.assert_allclose(high, users.mean(axis=1) + half, atol=0.2 * half.max())


@pytest.mark.usefixtures("tiny")
def test_blind_rules_call_too_often_and_few_seeds_silence_wilcoxon(home: Home) -> None:
    found = {one["rule"]: one for one in compared(home, quick=True)["rules"]}
    assert found[rules.ONE_PAIR]["largest_rate"] > 0.3
    assert "A/A" in found[rules.ONE_PAIR]["setting"]
    assert found[rules.PAIRED]["largest_rate"] > 0.3
    assert "only users" in found[rules.PAIRED]["setting"]
    assert found[rules.WILCOXON]["largest_rate"] == 0
    assert "cannot call anything" in found[rules.WILCOXON]["conclusion"]
    assert found[rules.VERDICT]["largest_rate"] < 0.13


@pytest.mark.usefixtures("tiny")
def test_the_table_for_people_has_a_row_a_rule(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    render.rules(compared(home, quick=True))
    told = " ".join(capsys.readouterr().out.split())
    assert all(rule.split()[0] in told for rule in rules.RULES)
    assert "nominal 5%" in told


@pytest.mark.usefixtures("tiny")
def test_only_the_full_simulation_is_written_and_its_figure_is_the_same_every_time(home: Home) -> None:
    compared(home, quick=True)
    folder = home.results / "protocol"
    assert not folder.exists()
    document = compared(home, quick=False)
    assert json.loads((folder / "rules.json").read_text()) == document
    assert (folder / "rules.md").read_text() == markdown(document)
    figure = (folder / "verdicts.svg").read_text()
    assert figure == draw(document)
    assert ElementTree.fromstring(figure).tag.endswith("svg")


def test_conclusions_follow_the_rates() -> None:
    def concluded(rule: str, three: float, five: float, power: float) -> str:
        row = {"rule": rule, "setting": "", "standard_error": 0.0, "power": power}
        rows = [row | {"seeds": n, "false_positive_rate": rate} for n, rate in ((3, three), (5, five))]
        return str(summary(rule, rows)["conclusion"])

    assert concluded(rules.PAIRED, 0.3, 0.4, 0.9).startswith("up to 8 times too many")
    assert concluded(rules.SATTERTHWAITE, 0.08, 0.05, 0.9).startswith("keeps its level from 5 seeds on")
    assert concluded(rules.VERDICT, 0.05, 0.05, 0.9) == "keeps its level"
    assert "pays with power" in concluded(rules.VERDICT, 0.05, 0.05, 0.6)
    assert concluded(rules.WILCOXON, 0.0, 0.0, 0.0).startswith("with 5 seeds it cannot call")
