"""Benchmark files and flags become one frozen object, and typos fail."""

from pathlib import Path

import pytest

from mtlbench.config import (
    BASELINE,
    Arm,
    Benchmark,
    Family,
    RunSpec,
    TrainingSettings,
    fill,
    load_benchmark,
    parse_value,
)
from mtlbench.errors import UsageError

GOOD = """
dataset = "shop"
seeds = [3, 5]

[training]
epochs = 2
learning_rate = 0.01

[[run]]
method = "mmoe"
method_options = { num_experts = 6, network = [32] }
balancer = "static"
balancer_options = { weights = { buy = 3 } }

[family]
tasks = ["buy"]
"""


def test_a_benchmark_file_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(GOOD)
    benchmark = load_benchmark(file)
    assert benchmark.name == "grid"
    assert benchmark.dataset == "shop"
    assert benchmark.seed_numbers == (3, 5)
    assert benchmark.training == TrainingSettings(epochs=2, learning_rate=0.01)
    assert benchmark.family.tasks == ("buy",)
    (arm,) = benchmark.run
    assert (arm.method, arm.balancer) == ("mmoe", "static")
    assert arm.method_options == {"num_experts": 6, "network": [32]}


def test_a_number_of_seeds_means_the_first_ones() -> None:
    assert fill(Benchmark, {"seeds": 3, "run": [{"method": "mmoe"}]}, "x").seed_numbers == (0, 1, 2)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seed": 3}, r"grid.toml:.*'seed'\. Did you mean 'seeds'\?"),
        ({"training": {"epoch": 3}}, "Did you mean 'epochs'"),
        ({"run": [{"method": "mmoe", "balancr": "equal"}]}, "Did you mean 'balancer'"),
        ({"family": {"task": []}}, "Did you mean 'tasks'"),
        ({"run": [{"balancer": "equal"}]}, "run.0.method: Field required"),
        ({"run": []}, "nothing to run"),
        ({"seeds": []}, "seeds gives none"),
        ({"seeds": 0}, "seeds gives none"),
        ({"seeds": [1, 1]}, "different whole numbers"),
        ({"seeds": [-1]}, "from 0 on"),
        ({"seeds": "many"}, "seeds.*'many'"),
        ({"family": {"alpha": 1.0}}, "alpha = 1.0: give a chance of error between 0 and 1"),
        ({"family": {"delta": 0}}, "delta = 0.0: give the smallest effect"),
        ({"family": {"delta": {"view": -1}}}, "delta = -1.0: give the smallest effect"),
        ({"training": {"epochs": 0}}, "epochs = 0; at least 1"),
        ({"training": {"shuffle_rows": -1}}, "shuffle_rows = -1; 0 or more"),
        ({"training": {"learning_rate": -1}}, "learning_rate = -1.0; above 0"),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate = 'fast'"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        fill(Benchmark, {"run": [{"method": "mmoe"}], **change}, "grid.toml")


def test_a_file_that_is_not_toml_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("seeds = [1,")
    with pytest.raises(UsageError, match="not a TOML file"):
        load_benchmark(file)
    with pytest.raises(UsageError, match=r"Did you mean 'benchmarks/demo.toml'"):
        load_benchmark(Path("benchmarks/demoo.toml"))


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_bytes(b'\xef\xbb\xbf[[run]]\nmethod = "mmoe"\n')
    assert load_benchmark(tmp_path / "b.toml").run[0].method == "mmoe"


def test_a_shipped_benchmark_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_benchmark(Path("benchmarks/demo.toml")).dataset == "shop"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("0.1", 0.1),
        ("true", True),
        ("[64, 32]", [64, 32]),
        ("64,32", [64, 32]),
        ("view, buy", ["view", "buy"]),
        ("all", "all"),
        ('"8"', "8"),
        ("{buy = 2}", {"buy": 2}),
    ],
)
def test_values_of_flags_read_as_toml(text: str, value: object) -> None:
    assert parse_value(text) == value


def benchmark(*methods: str | dict[str, object], **family: object) -> Benchmark:
    arms = [{"method": method} if isinstance(method, str) else method for method in methods]
    return fill(Benchmark, {"run": arms, "family": family}, "x")


def test_the_baseline_is_added_once_and_in_front() -> None:
    added = benchmark("mmoe").with_baseline()
    assert [arm.method for arm in added.run] == [BASELINE, "mmoe"]
    assert added.with_baseline() is added


def test_any_method_can_be_the_baseline() -> None:
    """Named by the file or by the caller, who comes first; single-task then is an arm like any other."""
    declared = benchmark("mmoe", "single-task", baseline="disjoint").with_baseline()
    assert [arm.method for arm in declared.run] == ["disjoint", "mmoe", "single-task"]
    other = benchmark("mmoe", baseline="disjoint").with_baseline("hard-sharing")
    assert other.family.baseline == "hard-sharing"
    assert [arm.method for arm in other.run] == ["hard-sharing", "mmoe"]
    with pytest.raises(UsageError, match="Did you mean 'mmoe'"):
        benchmark("mmoe").with_baseline("mmeo")


def test_a_family_takes_what_is_given_and_keeps_the_rest() -> None:
    declared = benchmark("mmoe", alpha=0.1, delta={"view": 0.01}, metric="gauc", tasks=["view"])
    changed = declared.with_family(alpha=None, delta=0.5)
    assert (changed.family.alpha, changed.family.delta, changed.family.metric) == (0.1, 0.5, "gauc")
    assert changed.family.tasks == ("view",)
    assert declared.with_family() is declared
    with pytest.raises(UsageError, match="alpha = 7"):
        declared.with_family(alpha=7)


def spec(**changes: object) -> RunSpec:
    values: dict[str, object] = {
        "fingerprint": "f",
        "tasks": ("view", "cart"),
        "method": "mmoe",
        "method_options": {"network": (64, 32)},
        "balancer": "equal",
        "balancer_options": {},
        "training": TrainingSettings(),
        "seed": 0,
        "revision": {"loop": 1},
    }
    return RunSpec(**{**values, **changes})  # type: ignore[arg-type]


def test_every_part_of_a_run_is_in_its_identity() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"fingerprint": "g"},
        {"method": "hard-sharing"},
        {"tasks": ("view",)},
        {"method_options": {"network": (64, 16)}},
        {"balancer": "static"},
        {"balancer_options": {"weights": {"buy": 2.0}}},
        {"training": TrainingSettings(epochs=5)},
        {"seed": 1},
        {"revision": {"loop": 2}},
    ]
    assert len({spec(**change).hash for change in changes}) == len(changes)


def test_an_identity_survives_being_written_down() -> None:
    assert RunSpec.from_json(spec().to_json()).hash == spec().hash


def test_a_declared_delta_is_one_of_the_declared_metric() -> None:
    """0.02 AUC is not 2 % of log loss: another metric drops it, a delta given with the metric stays."""
    declared = Benchmark(run=(Arm(method="mmoe"),), family=Family(delta=0.02))
    assert declared.with_family(metric="log_loss").family.delta is None
    assert declared.with_family(metric="log_loss", delta=0.01).family.delta == 0.01
    assert declared.with_family(alpha=0.1).family.delta == 0.02
