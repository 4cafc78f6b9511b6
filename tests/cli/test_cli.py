"""The command line, as a user meets it: output, exit codes, and what a newcomer gets wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtlbench.cli import app, main
from mtlbench.home import Home
from mtlbench.load import Prepared
from tests.conftest import Command, write_prepared

COMMANDS = (
    "prepare",
    "plan",
    "run",
    "compare",
    "inspect",
    "publish",
    "track",
    "list",
    "show",
    "ui",
    "validate-protocol",
)
HEAVY = {"torch", "polars", "mlflow", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "torchjd"}
QUICK = ("--epochs", "1", "--batch-rows", "64", "--set", "method.network=4", "--workers", "1", "--no-track")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(mtlbench: Command, command: str) -> None:
    answer = mtlbench(command, "--help")
    assert answer.code == 0
    assert "Usage" in answer.out


def test_these_are_all_commands_and_the_readme_names_them() -> None:
    names = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    assert names == set(COMMANDS)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert all(f"mtlbench {name}" in readme for name in names)


@pytest.mark.parametrize(
    ("args", "heavy"),
    [
        (["--help"], {*HEAVY, "pydantic", "mtlbench.plugins"}),
        (["run", "--help"], {*HEAVY, "mtlbench.plugins"}),
        (["list", "methods"], HEAVY),
        (["list", "balancers"], HEAVY),
    ],
)
def test_nothing_heavy_loads_before_it_is_needed(args: list[str], heavy: set[str]) -> None:
    code = (
        f"import sys; sys.argv = ['mtlbench', *{args}]\n"
        "from mtlbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split("LOADED ")[1].split())


@pytest.mark.parametrize("kind", ["methods", "balancers", "datasets", "benchmarks"])
def test_lists_have_a_name_and_a_summary(mtlbench: Command, kind: str) -> None:
    rows = mtlbench("list", kind, "--json").json
    assert rows
    assert all(row["name"] and row["summary"] for row in rows)
    assert rows[0]["name"] in mtlbench("list", kind).out


def test_the_main_job_on_a_toy(mtlbench: Command, toy: Prepared) -> None:
    answer = mtlbench("run", "--method", "hard-sharing", "--seeds", "5", "--json", *QUICK)
    assert answer.code == 0
    document = answer.json
    assert answer.err.splitlines()[0].startswith("Dataset: toy")
    assert document["dataset"] == "toy"
    assert document["simulated"] is True
    assert [(r["method"], r["seed"]) for r in document["runs"]] == [
        (method, seed) for method in ("single-task", "hard-sharing") for seed in range(5)
    ]
    for run in document["runs"]:
        assert run["status"] == "done"
        assert (toy.path.parents[2] / run["result"]).is_file()
        assert set(run["metrics"]["test"]) == {"click", "buy", "rating"}
    assert len(document["comparisons"]) == 3
    needed = {
        "method", "balancer", "baseline", "task", "metric", "gain", "se", "df", "variance", "interval",
        "p_value", "adjusted_p_value", "adjusted_interval", "alpha", "delta", "delta_unit", "family_size",
        "verdict", "material", "equivalent", "equivalence_p", "minimum_detectable_effect", "seeds",
        "clusters", "tuned",
    }  # fmt: skip
    for comparison in document["comparisons"]:
        assert needed <= set(comparison)
        assert set(comparison["variance"]) == {"seed", "user", "residual", "kurtosis"}
    (summary,) = document["summaries"]
    assert {"method", "balancer", "verdict", "harmed_tasks", "costs"} <= set(summary)


def test_again_trains_nothing_and_says_the_same(mtlbench: Command, toy: Prepared) -> None:
    args = ("run", "--method", "mmoe", "--seeds", "5", *QUICK)
    first, again = mtlbench(*args), mtlbench(*args)
    assert first.code == again.code == 0
    assert first.out == again.out
    assert "Nothing to train" in again.err
    documents = [mtlbench(*args, "--json").json, mtlbench("compare", "--json").json]
    assert {run["status"] for document in documents for run in document["runs"]} == {"reused"}
    assert documents[0]["comparisons"] == documents[1]["comparisons"]


def test_compare_needs_results_alone(mtlbench: Command, home: Home, toy: Prepared) -> None:
    args = ("run", "--method", "mmoe", "--seeds", "5", *QUICK)
    before = mtlbench(*args).out
    (home.root / "datasets").rename(home.root / "gone")
    answer = mtlbench("compare")
    assert answer.code == 0
    assert answer.out == before


def test_the_table_says_simulated_and_untuned(mtlbench: Command, toy: Prepared) -> None:
    out = " ".join(mtlbench("run", "--method", "mmoe", "--seeds", "5", *QUICK).out.split())
    for words in ("SIMULATED", "untuned", "single-task", "mmoe", "rating", "wall seconds"):
        assert words in out


def test_a_floor_beside_a_method_is_a_control_in_the_table(mtlbench: Command, toy: Prepared) -> None:
    """Its column comes after the method's, though it was named first, and the lines below say what it is."""
    args = ("run", "--method", "base-rate", "--method", "hard-sharing", "--seeds", "5", *QUICK)
    document = mtlbench(*args, "--json").json
    assert (document["family"]["arms"], document["family"]["size"]) == (["hard-sharing"], 3)
    assert document["other_families"] == [{"name": "controls", "arms": ["base-rate"], "size": 3}]
    out = mtlbench(*args).out
    (heads,) = (line for line in out.splitlines() if "task" in line and "base-rate" in line and "┃" in line)
    assert heads.index("single-task") < heads.index("hard-sharing") < heads.index("base-rate")
    said = " ".join(out.split())
    assert "1 arm x 3 tasks = 3 comparisons; verdicts: Holm" in said
    assert "Controls, judged as a family of their own: 1 arm x 3 tasks = 3 comparisons (base-rate)." in said


def test_a_benchmark_file_with_a_family(mtlbench: Command, toy: Prepared, home: Home) -> None:
    (home.root / "grid.toml").write_text(
        'dataset = "toy"\nseeds = [1, 2, 4, 5, 6]\n[training]\nepochs = 1\nbatch_rows = 64\n'
        '[[run]]\nmethod = "mmoe"\nmethod_options = { num_experts = 2 }\n[family]\ntasks = ["buy"]\n'
    )
    document = mtlbench("run", "grid.toml", "--workers", "1", "--no-track", "--json").json
    assert [c["task"] for c in document["comparisons"]] == ["buy"]
    assert document["comparisons"][0]["family_size"] == 1
    assert document["comparisons"][0]["seeds"] == 5
    assert mtlbench("compare", "grid.toml", "--json").json["comparisons"] == document["comparisons"]


def test_a_declared_family_does_not_shrink_with_what_is_done(
    mtlbench: Command, toy: Prepared, home: Home
) -> None:
    """The arm that is there has the same verdicts before the others have run, and after they are lost."""
    arm = '[[run]]\nmethod = "{}"\nmethod_options = {{ network = 4 }}\n'
    (home.root / "grid.toml").write_text(
        'dataset = "toy"\nseeds = 5\n[training]\nepochs = 1\nbatch_rows = 64\n'
        + "".join(map(arm.format, ("hard-sharing", "mmoe", "soft-sharing")))
    )
    quick = ("--set", "method.network=4", "--epochs", "1", "--batch-rows", "64", "--workers", "1")
    first = mtlbench("run", "--method", "hard-sharing", "--dataset", "toy", *quick, "--no-track")
    assert first.code == 0
    answer = mtlbench("compare", "grid.toml")
    assert "3 arms x 3 tasks = 9 comparisons, 3 of them here" in " ".join(answer.out.split())
    assert "10 of the 20 runs of grid have no result yet: mtlbench run grid.toml" in answer.err
    document = mtlbench("compare", "grid.toml", "--json").json
    assert {c["family_size"] for c in document["comparisons"]} == {document["family"]["size"]} == {9}
    other = mtlbench("compare", "grid.toml", "--baseline", "mmoe")
    assert "have no result yet: mtlbench run grid.toml --baseline mmoe" in " ".join(other.err.split())


def test_another_baseline_is_added_and_is_no_member(mtlbench: Command, toy: Prepared) -> None:
    args = ("--baseline", "hard-sharing", "--method", "mmoe", "--seeds", "5", *QUICK)
    document = mtlbench("run", *args, "--json").json
    assert [r["method"] for r in document["runs"]][::5] == ["hard-sharing", "mmoe"]
    assert document["family"]["baseline"] == "hard-sharing"
    assert {c["method"] for c in document["comparisons"]} == {"mmoe"}
    assert "Gain over hard-sharing" in mtlbench("run", *args).out
    swapped = mtlbench("compare", "--baseline", "mmoe", "--json").json
    for one, other in zip(document["comparisons"], swapped["comparisons"], strict=True):
        assert other["gain"] == -one["gain"]


def test_a_wide_baseline_matches_the_arm_as_the_flags_make_it(mtlbench: Command, toy: Prepared) -> None:
    """`--set` holds for the arm, for what the control is to match, and for what it grows from."""
    args = ("--baseline", "single-task-wide", "--method", "mmoe", "--method", "hard-sharing", "--seeds", "1")
    options = ("--set", "method.num_experts=2", "--set", "method.embedding_dim=3")
    document = mtlbench("run", *args, *options, *QUICK, "--json").json
    wide = [r["method_options"] for r in document["runs"] if r["method"] == "single-task-wide"]
    assert [w["match"] for w in wide] == ["mmoe", "hard-sharing"]
    for control in wide:
        (arm,) = (r for r in document["runs"] if r["method"] == control["match"])
        assert control["match_options"] == arm["method_options"]
        assert control["embedding_dim"] == 3
    assert wide[0]["match_options"]["num_experts"] == 2
    assert all(c["gain"] is not None for c in document["comparisons"])


def test_a_file_declares_baseline_and_levels_and_flags_come_first(
    mtlbench: Command, toy: Prepared, home: Home
) -> None:
    (home.root / "grid.toml").write_text(
        'dataset = "toy"\nseeds = 5\n[training]\nepochs = 1\nbatch_rows = 64\n[[run]]\nmethod = "mmoe"\n'
        'method_options = { network = 4 }\n[family]\nbaseline = "hard-sharing"\nalpha = 0.2\n'
        'metric = "log_loss"\ndelta = { buy = 0.3 }\n'
    )
    document = mtlbench("run", "grid.toml", "--workers", "1", "--no-track", "--json").json
    assert document["family"] == {
        "name": "methods",
        "baseline": "hard-sharing",
        "arms": ["mmoe"],
        "tasks": ["click", "buy", "rating"],
        "size": 3,
        "alpha": 0.2,
        "declared": "grid",
    }
    found = {c["task"]: (c["metric"], c["delta"]) for c in document["comparisons"]}
    assert found == {"click": ("log_loss", 0.002), "buy": ("log_loss", 0.3), "rating": ("r2", 0.005)}
    other = mtlbench(
        "compare", "grid.toml", "--alpha", "0.01", "--delta", "0.7", "--metric", "gauc", "--json"
    )
    assert {(c["alpha"], c["delta"]) for c in other.json["comparisons"]} == {(0.01, 0.7)}
    assert other.json["comparisons"][0]["metric"] == "gauc"
    said = " ".join(mtlbench("compare", "grid.toml").out.split())
    assert "Family, declared by the benchmark grid: 1 arm x 3 tasks = 3 comparisons" in said


@pytest.mark.parametrize(
    ("family", "words"),
    [('metric = "gacu"', "Did you mean 'gauc'?"), ("delta = { bye = 0.3 }", "Did you mean 'buy'?")],
)
def test_a_family_that_cannot_be_judged_is_refused_before_training(
    mtlbench: Command, toy: Prepared, home: Home, family: str, words: str
) -> None:
    text = f'dataset = "toy"\n[[run]]\nmethod = "mmoe"\n[family]\n{family}\n'
    (home.root / "grid.toml").write_text(text)
    for command in ("run", "plan"):
        answer = mtlbench(command, "grid.toml")
        assert answer.code == 2
        assert words in answer.err
        assert not home.results.exists()


def test_strata_are_shown_as_exploratory(mtlbench: Command, home: Home) -> None:
    shop = ("--set", "users=60", "--set", "items=80")
    assert mtlbench("prepare", "shop", *shop).code == 0
    assert mtlbench("run", "--method", "hard-sharing", "--seeds", "5", *QUICK).code == 0
    answer = mtlbench("compare", "--by", "cold-start")
    assert "EXPLORATORY: gain over single-task by train events of the user" in answer.out
    assert "by train events of the item" in answer.out
    strata = mtlbench("compare", "--by", "feedback-ratio:buy,cart", "--json").json["strata"]
    assert {c["of"] for c in strata["cells"]} == {"buy / (buy + cart) of the user"}
    wrong = mtlbench("compare", "--by", "categry")
    assert (wrong.code, wrong.out) == (2, "")
    assert "Did you mean 'category'?" in wrong.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ("--method", "single-task", "--balancer", "pcgrad"),
            "single-task trains a model a task: pcgrad has nothing to balance there and is left out.",
        ),
        (
            ("--method", "base-rate", "--balancer", "static-frontier"),
            "base-rate trains a model a task: static-frontier has nothing to balance there and is left out.",
        ),
        (("--method", "hard-sharing", "--balancer", "static"), "no weights are given, so that all are 1"),
        (("--method", "hard-sharing", "--balancer", "static", "--set", "balancer.weights.buy=2"), ""),
    ],
)
def test_a_balancer_that_changes_nothing_is_said(
    mtlbench: Command, toy: Prepared, args: tuple[str, ...], words: str
) -> None:
    quick = ("--epochs", "1", "--batch-rows", "64", "--no-track", "--workers", "1")
    answer = mtlbench("run", *args, "--seeds", "1", *quick)
    assert answer.code == 0
    said = " ".join(answer.err.split())
    assert words in said
    assert bool(words) == ("left out" in said or "no weights" in said)


def test_without_baseline_the_metrics_are_shown(mtlbench: Command, toy: Prepared) -> None:
    answer = mtlbench("run", "--method", "mmoe", "--seeds", "1", "--no-baseline", *QUICK)
    assert answer.code == 0
    assert "AUC" in answer.out
    assert "undefined" not in answer.out
    assert "no single-task run of the same seed to compare with" in " ".join(answer.out.split())


def test_a_failed_run_ends_with_1_and_its_reason(mtlbench: Command, toy: Prepared) -> None:
    answer = mtlbench("run", "--method", "mmoe", "--seeds", "1", "--learning-rate", "1e30", *QUICK)
    assert answer.code == 1
    assert "finite" in answer.err
    assert "all 2 runs failed" in answer.out
    assert "task" not in answer.out  # no empty table


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("run",), 2, "mtlbench run --method mmoe"),
        (("run", "--method", "mmeo"), 2, "Did you mean 'mmoe'?"),
        (("run", "--method", "mmoe", "--dataset", "taobao"), 3, "mtlbench prepare taobao"),
        (("run", "nothere.toml"), 2, "Known: benchmarks/demo.toml"),
        (("run", "benchmarks/demo.toml", "--method", "mmoe"), 2, "not both"),
        (("run", "--method", "mmoe", "--set", "method.expertz=3"), 2, "Unknown method option 'expertz'"),
        (("run", "--method", "mmoe", "--set", "num_experts=3"), 2, "method.dropout=0.1"),
        (("run", "--method", "mmoe", "--set", "num_experts"), 2, "KEY=VALUE"),
        (("run", "--method", "mmoe", "--seeds", "0"), 2, "--seeds"),
        (("run", "--method", "mmoe", "--learning-rate", "-1"), 2, "learning_rate = -1.0; above 0"),
        (("run", "--method", "mmoe", "--device", "tpu"), 2, "tpu"),
        (
            ("run", "--method", "mmoe", "--balancer", "static", "--set", "balancer.weights.klick=2"),
            2,
            "click",
        ),
        (("compare",), 3, "mtlbench run"),
        (("compare", "--dataset", "shop"), 3, "No results of 'shop'"),
        (("compare", "--baseline", "singel-task"), 2, "Did you mean 'single-task'?"),
        (("compare", "--alpha", "1"), 2, "between 0 and 1"),
        (("compare", "--delta", "0"), 2, "give the smallest effect that matters"),
        (("compare", "--metric", "acc"), 2, "Unknown metric 'acc'"),
        (("validate-protocol", "--only", ","), 2, "names no check"),
        (("run", "--method", "mmoe", "--baseline", "singel-task"), 2, "Did you mean 'single-task'?"),
        (("inspect", "mmoe", "--svg", "look.png"), 2, "--svg look.png: the figure is SVG"),
        (("prepare", "taobaoo"), 2, "Did you mean 'taobao'?"),
        (("lst",), 2, "No such command"),
    ],
)
def test_wrong_use_is_answered_in_a_sentence(
    mtlbench: Command, toy: Prepared, args: tuple[str, ...], code: int, words: str
) -> None:
    answer = mtlbench(*args)
    assert answer.code == code
    assert words in " ".join(answer.err.split())
    assert "Traceback" not in answer.err
    assert not answer.out


def test_a_long_raw_log_is_written_and_prepares_as_it_says(mtlbench: Command, home: Home) -> None:
    answer = mtlbench("prepare", "shop", "--raw-only", "--events", "30000", "--seed", "2")
    assert answer.code == 0, answer.err
    path = home.raw("shop") / "simulated-30000-seed-2.csv"
    assert path.read_text().count("\n") == 30_000
    next_command = answer.err.split("Next: mtlbench ")[1].split()
    answer = mtlbench(*next_command, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["quirks"]["rows"] == 30_000
    assert answer.json["simulated"] is True


@pytest.mark.parametrize(
    "args",
    [
        ("shop", "--raw-only"),
        ("shop", "--events", "1000"),
        ("taobao", "--raw-only", "--events", "1000"),
        ("shop", "--raw-only", "--events", "1000", "--users", "5"),
        ("shop", "--raw-only", "--events", "1000", "--as", "other"),
    ],
)
def test_a_long_raw_log_takes_a_length_and_a_seed(
    mtlbench: Command, home: Home, args: tuple[str, ...]
) -> None:
    answer = mtlbench("prepare", *args)
    assert answer.code == 2
    assert "mtlbench prepare shop --raw-only --events 1000000" in answer.err
    assert not home.datasets.exists()


def test_bench_wants_lengths(mtlbench: Command) -> None:
    answer = mtlbench("bench", "prepare", "--events", "1e6,none")
    assert answer.code == 2
    assert "such as 1000000,10000000" in answer.err
    assert "prepare" in mtlbench("bench", "--help").out


def test_nothing_prepared_names_the_commands(mtlbench: Command) -> None:
    answer = mtlbench("run", "--method", "mmoe")
    assert answer.code == 3
    assert "mtlbench prepare shop" in answer.err


def test_cuda_asked_for_and_absent(mtlbench: Command, toy: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = mtlbench("run", "--method", "mmoe", "--device", "cuda")
    assert answer.code == 2
    assert "no CUDA device" in answer.err


def test_an_internal_error_shows_no_traceback_unless_asked(
    mtlbench: Command, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("mtlbench.experiment.run.run", broken)
    answer = mtlbench("run", "--method", "mmoe")
    assert answer.code == 1
    assert "bug of mtlbench" in answer.err
    monkeypatch.setattr(sys, "argv", ["mtlbench", "--debug", "run", "--method", "mmoe"])
    with pytest.raises(KeyError, match="oops"):
        main()


def test_no_space_is_said(mtlbench: Command, toy: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtlbench.experiment.run.run", full)
    answer = mtlbench("run", "--method", "mmoe")
    assert answer.code == 1
    assert "no space left" in answer.err
    assert "Nothing is damaged" in answer.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done_and_the_next_call_goes_on(
    home: Home, number: signal.Signals, code: int
) -> None:
    write_prepared(home, rows=3000)
    args = [sys.executable, "-m", "mtlbench", "run", "--method", "mmoe", "--seeds", "40", "--workers", "1"]
    args += ["--epochs", "1", "--no-track", "--no-baseline"]
    environment = {**os.environ, "MTLBENCH_HOME": str(home.root)}
    process = subprocess.Popen(args, env=environment, stderr=subprocess.PIPE, text=True, cwd=home.root)
    deadline = time.monotonic() + 60
    while not list(home.runs("toy").glob("[!.]*/result.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "goes on from there" in err
    assert "Traceback" not in err
    kept = len(list(home.runs("toy").glob("[!.]*/result.json")))
    assert 0 < kept < 40
    assert not list(home.runs("toy").glob(".*")), "half a run is left"
    seeds = str(kept + 1)
    again = subprocess.run(
        [*args[:7], seeds, *args[8:], "--json"], env=environment, capture_output=True, text=True, check=True
    )
    statuses = [run["status"] for run in json.loads(again.stdout)["runs"]]
    assert statuses.count("reused") >= kept - 1
    assert statuses.count("failed") == 0


def test_damaged_data_are_said_once_before_anything_is_trained(mtlbench: Command, toy: Prepared) -> None:
    labels = toy.path / "train" / "labels.npy"
    labels.write_bytes(labels.read_bytes()[:100])
    answer = mtlbench("run", "--method", "mmoe", *QUICK)
    assert answer.code == 3
    assert answer.err.count("is damaged: train/labels.npy cannot be read") == 1
    assert "--force" in answer.err


def test_every_setting_of_training_can_be_set(mtlbench: Command, toy: Prepared) -> None:
    """A flag of its own wins over --set, as it does over a file."""
    settings = ("--set", "training.patience=7", "--set", "training.epochs=3", "--seeds", "1", "--no-baseline")
    assert mtlbench("run", "--method", "hard-sharing", *settings, *QUICK).code == 0
    (file,) = Home.find().runs(toy.name).glob("*/result.json")
    stored = json.loads(file.read_text())
    assert stored["run"]["training"]["patience"] == 7
    assert stored["run"]["training"]["epochs"] == 1
    wrong = mtlbench("run", "--method", "hard-sharing", "--set", "training.patiense=7")
    assert wrong.code == 2
    assert "Did you mean 'patience'" in wrong.err
    wrong = mtlbench("run", "--method", "hard-sharing", "--set", "patience=7")
    assert wrong.code == 2
    assert "training." in wrong.err
