"""One thing whole, in values and in a terminal."""

import json

import pytest

from mtlbench import render
from mtlbench.balancing import BALANCERS
from mtlbench.catalogue import show
from mtlbench.catalogue.docstring import as_written
from mtlbench.data import DATASETS
from mtlbench.errors import UsageError
from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.render import console


@pytest.mark.parametrize("name", [*DATASETS, *METHODS, *BALANCERS])
def test_everything_can_be_shown_and_every_option_is_explained(
    name: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    found = show(name, home)
    kinds = ("settings", "options", "shared_options")
    assert [o["name"] for kind in kinds for o in found.get(kind, ()) if not o["about"]] == []
    json.dumps(found, allow_nan=False)
    render.shown(found)
    printed = capsys.readouterr().out
    for head in ("Tasks", "Split", "Settings") if name in DATASETS else ("What", "Pitfalls"):
        assert f"\n{head}\n" in printed


@pytest.mark.parametrize("name", [*METHODS, *BALANCERS])
def test_every_method_says_what_goes_wrong_and_where_it_is_from(name: str, home: Home) -> None:
    found = show(name, home)
    assert found["title"]
    assert found["pitfalls"]
    if found["paper"]:
        assert found["reference"]
        assert found["departs"] or found["family"] in ("floor", "loss", "frontier")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_equations_keep_their_lines_at_any_width_and_words_are_broken_once(
    home: Home, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "width", width)
    found = show("mmoe", home)
    render.shown(found)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    equation = "    y_k = h^k( sum_i g^k(x)_i f_i(x) ),    g^k(x) = softmax(W_gk x)"
    assert equation in lines
    assert equation in found["body"]
    for text in (found["title"], found["departs"], found["pitfalls"]):
        assert not as_written(text)
        assert text in " ".join(" ".join(lines).split())
    start = next(i for i, line in enumerate(lines) if line == "Pitfalls") + 1
    end = lines.index("", start)
    # As many lines as the width asks for: none ends before the next word would have been too long.
    for line, following in zip(lines[start:end], lines[start + 1 : end], strict=False):
        assert len(line) + 1 + len(following.split()[0]) > width


def test_options_of_its_own_stand_apart_from_those_that_all_have(home: Home) -> None:
    found = show("mmoe", home)
    assert [o["name"] for o in found["options"]] == ["num_experts"]
    assert "embedding_dim" in [o["name"] for o in found["shared_options"]]
    assert [o["name"] for o in show("static", home)["options"]] == ["weights"]
    assert [o["name"] for o in show("logistic", home)["shared_options"]] == ["max_rows"]


def test_weights_are_counted_on_the_prepared_data(home: Home, toy: Prepared) -> None:
    """(40 users + 30 items) of 8; 26 inputs through (64, 32) with layer norm, three towers of 16."""
    bottom = 26 * 64 + 64 + 2 * 64 + 64 * 32 + 32 + 2 * 32
    tower = 32 * 16 + 16 + 2 * 16 + 16 + 1
    assert show("hard-sharing", home)["weights"] == {
        "on": "toy",
        "dense": bottom + 3 * tower,
        "embedding": 70 * 8,
    }
    assert show("single-task", home)["weights"] == {
        "on": "toy",
        "dense": 3 * (bottom + tower),
        "embedding": 3 * 70 * 8,
    }
    assert show("gbdt", home)["weights"] is None


def test_weights_are_counted_on_the_reference_where_the_data_do_not_fit(home: Home, toy: Prepared) -> None:
    """The toy has a regression, which ESMM refuses; named, the dataset is what is wanted, and it says so."""
    assert show("esmm", home)["weights"]["on"].startswith("8 fields of 10,000 ids")
    with pytest.raises(UsageError, match="rating is a regression"):
        show("esmm", home, "toy")
    with pytest.raises(UsageError, match="pcgrad is none"):
        show("pcgrad", home, "toy")


def test_a_balancer_says_what_it_costs(home: Home) -> None:
    found = show("pcgrad", home)
    assert (found["sees"], found["syncs"], found["extra"]) == ("gram", True, "balancers")
    assert found["passes"].startswith("K, one more")
    assert show("famo", home)["needs"] == "a second forward pass"


@pytest.mark.parametrize("name", ["benchmarks/demo.toml", "demo.toml"])
def test_a_benchmark_that_is_listed_can_be_shown(
    name: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    found = show(name, home)
    assert [arm["method"] for arm in found["arms"]] == ["single-task", "hard-sharing", "soft-sharing", "mmoe"]
    assert (found["dataset"], found["runs"]) == ("shop", 40)
    render.shown(found)
    assert f"mtlbench run {name}" in capsys.readouterr().out


def test_a_benchmark_of_ones_own_comes_before_a_shipped_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.root)
    (home.root / "benchmarks").mkdir()
    (home.root / "benchmarks" / "demo.toml").write_text('# Mine.\n[[run]]\nmethod = "cgc"\n')
    found = show("benchmarks/demo.toml", home)
    assert (found["summary"], found["arms"][-1]["method"]) == ("Mine.", "cgc")
    with pytest.raises(UsageError, match=r"Known: benchmarks/demo\.toml"):
        show("demmo.toml", home)


def test_a_prepared_dataset_is_shown_with_its_rows(
    home: Home, toy: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    render.shown(show("toy", home))
    assert "train 600 rows, validation 300 rows, test 300 rows" in capsys.readouterr().out


def test_what_a_prepared_dataset_holds_is_shown(
    home: Home, toy: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is unknown: that column is left out. A manifest of before fields were described says so."""
    render.shown(show("toy", home))
    assert "--force prepares it anew" in capsys.readouterr().out
    shares = {"train": 0.5, "validation": 0.0, "test": 0.25}
    item = {
        "name": "item",
        "kind": "categorical",
        "vocabulary": "item",
        "ids": 1234,
        "unknown": {"test": 0.0},
    }
    price = {"name": "price", "kind": "numeric", "vocabulary": "", "ids": 0, "unknown": {"test": 0.0}}
    fields = [
        {**item, "missing": {"test": 0.0}, "alone": {"task": "click", "auc": 0.7312}},
        {**price, "missing": shares, "alone": None},
    ]
    periods = {"train": "2017-11-26 .. 2017-11-30 (UTC+8)"}
    write_json(toy.path / "manifest.json", {**toy.manifest, "fields": fields, "periods": periods})
    found = show("toy", home)
    assert found["prepared"]["fields"] == fields
    render.shown(found)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["train:", *periods["train"].split()] in lines
    assert ["field", "kind", "ids", "missing", "AUC", "alone"] in lines
    assert ["item", "categorical", "1,234", "0.731", "click"] in lines
    assert ["price", "numeric", "25.0%"] in lines


def test_an_unknown_name_is_met_with_a_close_one(home: Home) -> None:
    with pytest.raises(UsageError, match="Did you mean 'taobao'"):
        show("taobo", home)


def test_an_unknown_name_is_not_met_with_a_wall_of_names(home: Home) -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'mmoe'\? All names: mtlbench list methods, or bal"):
        show("MMOE", home)


def test_a_benchmark_goes_by_the_stem_of_its_file_too(home: Home) -> None:
    assert show("demo", home)["name"] == "benchmarks/demo.toml"
    with pytest.raises(UsageError, match="Did you mean 'demo'"):
        show("demoo", home)


def test_a_benchmark_is_shown_with_families_options_and_the_baselines_that_it_will_get(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two baselines: one for each width; the frontier is more runs than can be counted without the tasks."""
    file = home.root / "mine.toml"
    file.write_text(
        'seeds = 2\n[family]\ntasks = ["buy"]\ndelta = { buy = 0.002 }\n'
        '[[run]]\nmethod = "mmoe"\nmethod_options = { network = [8, 4], num_experts = 2 }\n'
        '[[run]]\nmethod = "hard-sharing"\nbalancer = "static"\nfamily = "weights"\n'
        "balancer_options = { weights = { buy = 5.0 } }\n"
    )
    found = show(str(file), home)
    added = [(arm["method"], arm["added"]) for arm in found["arms"]]
    assert added == [("single-task", True)] * 2 + [("mmoe", False), ("hard-sharing", False)]
    assert (found["runs"], found["more_runs"]) == (8, False)
    render.shown(found)
    said = " ".join(capsys.readouterr().out.split())
    assert "4 arms, 2 seeds: 8 runs 2 of the arms are baselines, added here" in said
    assert "network=8,4 num_experts=2" in said
    assert "hard-sharing static weights weights={buy=5.0}" in said
    assert "tasks buy, baseline single-task, alpha 0.05, delta {buy=0.002}" in said
    assert show("frontier", home)["more_runs"] is True


def test_what_a_benchmark_names_and_nobody_knows_is_said(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home.root / "mine.toml"
    file.write_text('[[run]]\nmethod = "my-own"\nbalancer = "my-balancer"\n')
    found = show(str(file), home)
    render.shown(found)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 arm, 5 seeds: 5 runs at least not known here, and wanting --plugin FILE: my-balancer" in said
