"""Methods and balancers from outside the package: the worked example, by file and by entry point."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from mtlbench import plugins
from mtlbench.balancing import BALANCERS
from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.devices import pick_device
from mtlbench.errors import UsageError
from mtlbench.experiment.grid import plan
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.registry import lookup
from mtlbench.runs.execute import execute
from tests.cli.test_cli import QUICK
from tests.conftest import Command
from tests.methods.toys import build, toy_inputs

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "my_method.py"
HEAD = "from mtlbench.methods.hard_sharing import HardSharing\n"


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    before = dict(METHODS), dict(BALANCERS)
    yield
    for table, entries in zip((METHODS, BALANCERS), before, strict=True):
        table.clear()
        table.update(entries)
    for name in [name for name in sys.modules if name.startswith((plugins.MODULE, "my_package"))]:
        del sys.modules[name]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copy(EXAMPLE, tmp_path / "mine.py"))


def specs(prepared: Prepared, method: str = "film", balancer: str = "equal") -> list[RunSpec]:
    options = {"network": [4], "tower": []}
    values = {
        "run": [{"method": method, "balancer": balancer, "method_options": options}],
        "training": {"epochs": 1, "batch_rows": 64},
        "seeds": 1,
    }
    (arm,) = plan(fill(Benchmark, values, "x"), prepared.schema, prepared.fingerprint)
    return arm


def test_the_example_runs_through_worker_processes_and_again_trains_nothing(
    mtlbench: Command, toy: Prepared, example: Path
) -> None:
    args = ("run", "--plugin", str(example), "--method", "film", "--balancer", "inverse-loss", "--seeds", "1")
    quick = ("--epochs", "1", "--batch-rows", "64", "--workers", "2", "--no-track", "--json")
    document = mtlbench(*args, *quick).json
    assert {(r["method"], r["balancer"]): r["status"] for r in document["runs"]} == {
        ("single-task", "equal"): "done",
        ("film", "inverse-loss"): "done",
    }
    assert {r["status"] for r in mtlbench(*args, *quick).json["runs"]} == {"reused"}


def test_edited_code_is_another_run_and_the_runs_of_others_keep_their_hashes(
    toy: Prepared, example: Path
) -> None:
    plugins.use([example])
    before = specs(toy, "film", "inverse-loss"), specs(toy, "hard-sharing")
    example.write_text(EXAMPLE.read_text().replace("torch.ones(width)", "torch.zeros(width)"))
    plugins.use([example])
    after = specs(toy, "film", "inverse-loss"), specs(toy, "hard-sharing")
    assert before[0][0].hash != after[0][0].hash
    assert before[1] == after[1]
    assert set(after[1][0].revision) == {"method", "balancer", "loop"}
    example.write_text(EXAMPLE.read_text())
    plugins.use([example])
    assert specs(toy, "film", "inverse-loss") == before[0]
    assert after[0][0].revision["method_code"] == after[0][0].revision["balancer_code"]


def test_code_that_changes_after_it_was_planned_is_not_run(home: Home, toy: Prepared, example: Path) -> None:
    plugins.use([example])
    planned = specs(toy)
    example.write_text(EXAMPLE.read_text() + "\n")
    plugins.use([example])
    with pytest.raises(UsageError, match="code of film has changed"):
        execute(home, "toy", planned, pick_device("cpu"), lambda rows: None)


def test_results_outlive_their_plugin(
    mtlbench: Command, toy: Prepared, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("run", "--plugin", str(example), "--method", "film", "--method", "mmoe", "--seeds", "5", *QUICK)
    before = mtlbench(*args).out
    monkeypatch.setenv(plugins.VARIABLE, "")
    example.unlink()
    del METHODS["film"]
    assert mtlbench("compare").out == before
    other = mtlbench("compare", "--baseline", "film", "--json")
    assert {c["baseline"] for c in other.json["comparisons"]} == {"film"}


def test_a_plugin_is_listed_and_shown_like_any_other(mtlbench: Command, example: Path) -> None:
    option = ("--plugin", str(example))
    for kind, name in (("methods", "film"), ("balancers", "inverse-loss")):
        rows = {row["name"]: row for row in mtlbench("list", kind, *option, "--json").json}
        assert rows[name]["family"] == "plugin"
    shown = mtlbench("show", "film", *option)
    assert "y_k = h^k( gamma_k * f(x) + beta_k )" in shown.out
    assert "whether tasks shift too" in " ".join(shown.out.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nclass Broken(:\n", "mine.py:2: SyntaxError"),
        ("x = 1\n\nprint(nothing)\n", "mine.py:3: NameError"),
        ("def f():\n    raise OSError('no disk')\nf()\n", "mine.py:2: OSError: no disk"),
        ("import not_there\n", "mine.py:1: ModuleNotFoundError"),
        ("x = 1\n", "names no method and no balancer"),
        ("METHODS = 3\n", "names no method and no balancer"),
        (HEAD + "METHODS = {'mmoe': HardSharing}\n", "the name 'mmoe' is taken by mtlbench itself"),
        (HEAD + "METHODS = {'shop': HardSharing}\n", "the name 'shop' is taken by mtlbench itself"),
        (HEAD + "METHODS = {'My Own': HardSharing}\n", "'My Own' is no name"),
        (
            HEAD + "from mtlbench.balancing.equal import Equal\n"
            "METHODS = {'mine': HardSharing}\nBALANCERS = {'mine': Equal}\n",
            "the name 'mine' is taken by",
        ),
        ("METHODS = {'mine': dict}\n", "not a class derived from mtlbench.methods.base.Method"),
        ("METHODS = {'mine': lambda: 0}\n", "not a class derived from mtlbench.methods.base.Method"),
        (HEAD + "BALANCERS = {'mine': HardSharing}\n", "not a class derived from mtlbench.balancing.base"),
        (
            HEAD + "class C(HardSharing.Config):\n    depth: int = 1\n"
            "class M(HardSharing):\n    Config = C\nMETHODS = {'mine': M}\n",
            "M.Config has to be a dataclass of its own",
        ),
        (
            HEAD + "from mtlbench.balancing.base import NoOptions\n"
            "class M(HardSharing):\n    Config = NoOptions\nMETHODS = {'mine': M}\n",
            "M.Config is not derived from NetworkConfig",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(
    mtlbench: Command, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    answer = mtlbench("list", "methods", "--plugin", str(file))
    assert (answer.code, answer.out) == (2, "")
    assert words in " ".join(answer.err.split())
    assert "Traceback" not in answer.err


def test_a_file_that_is_not_there_and_two_of_one_name(
    mtlbench: Command, tmp_path: Path, example: Path
) -> None:
    assert "cannot be read" in mtlbench("list", "methods", "--plugin", str(tmp_path / "none.py")).err
    other = shutil.copy(EXAMPLE, tmp_path / "other.py")
    Path(other).write_text(EXAMPLE.read_text() + "\n")
    answer = mtlbench("list", "methods", "--plugin", str(example), "--plugin", str(other))
    assert answer.code == 2
    assert f"the name 'film' is taken by {example}" in " ".join(answer.err.split())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_plugin_that_fails_in_training_fails_alone_and_says_where(
    mtlbench: Command, toy: Prepared, tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        HEAD + "class M(HardSharing):\n    def forward(self, inputs):\n"
        "        if len(inputs.numeric) > 2:\n            return {}['click']\n"  # not where it is tried
        "        return super().forward(inputs)\nMETHODS = {'mine': M}\n"
    )
    args = ("run", "--plugin", str(file), "--method", "mine", "--seeds", "1", *QUICK, "--workers", workers)
    answer = mtlbench(*args, "--json")
    assert answer.code == 1
    failed = {r["method"]: r["reason"] for r in answer.json["runs"] if r["status"] == "failed"}
    assert failed == {"mine": f"{file}:5: KeyError: 'click'"}


@pytest.mark.parametrize("balancer", ["equal", "pcgrad"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{k: t(x)[:, 0] for k, t in self.towers.items()}", "click has shape (2,) on 2 rows; wanted is (bat"),
        ("{k: t(x).sum() for k, t in self.towers.items()}", "click has shape () on 2 rows; wanted is (batch"),
        ("{k: t(x)[:1] for k, t in self.towers.items()}", "click has shape (1, 1) on 2 rows; wanted is (bat"),
        ("{'klick': self.towers['click'](x)}", "returns klick; wanted are click, buy, rating: take the name"),
        ("[t(x) for t in self.towers.values()]", "returns a list; wanted is a dict of task to tensor"),
        ("{k: 0.5 for k in self.towers}", "click is a float; wanted is a tensor"),
    ],
)
def test_outputs_that_break_the_contract_are_refused_before_training(
    mtlbench: Command, toy: Prepared, tmp_path: Path, body: str, words: str, balancer: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        HEAD + "class M(HardSharing):\n    def forward(self, inputs):\n"
        f"        x = self.bottom(self.features(inputs))\n        return {body}\nMETHODS = {{'mine': M}}\n"
    )
    answer = mtlbench("run", "--plugin", str(file), "--method", "mine", "--balancer", balancer, *QUICK)
    assert answer.code == 2
    said = " ".join(answer.err.split())
    assert f"Error: {file}:3: M.forward" in said
    assert words in said


@pytest.mark.parametrize(
    ("base", "function", "body", "words"),
    [
        (
            "Balancer",
            "weights(self, losses)",
            "losses.mean(0)",
            "shape (3,); wanted is (replica, task)",
        ),
        ("Balancer", "weights(self, losses)", "[1, 1, 1]", "a list; wanted is (replica, task), here (2, 3)"),
        ("Balancer", "weights(self, losses)", "losses.nothing", ":4: AttributeError"),
        ("GramBalancer", "weights(self, losses, gram)", "gram", "shape (2, 3, 3); wanted is (replica, task)"),
        ("GramBalancer", "mix(self, losses, gram)", "{}[1]", ":4: KeyError"),
        ("JacobianBalancer", "combine(self, losses, jacobian)", "list(jacobian)", "shape (2, 3, 3); wanted"),
    ],
)
def test_weights_that_break_the_contract_are_refused_before_training(
    mtlbench: Command, toy: Prepared, tmp_path: Path, base: str, function: str, body: str, words: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        f"from mtlbench.balancing.base import {base}\nclass B({base}):\n    def {function}:\n"
        f"        return {body}\nBALANCERS = {{'mine': B}}\n"
    )
    args = ("run", "--plugin", str(file), "--method", "hard-sharing", "--balancer", "mine", *QUICK)
    answer = mtlbench(*args)
    assert answer.code == 2
    said = " ".join(answer.err.split())
    assert f"Error: {file}:" in said
    assert words in said


@pytest.mark.parametrize("balancer", ["equal", "pcgrad"])
def test_a_forward_that_fails_is_said_with_its_line_before_training(
    mtlbench: Command, toy: Prepared, tmp_path: Path, balancer: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        HEAD + "class M(HardSharing):\n    def forward(self, inputs):\n        return self.nothing\n"
        "METHODS = {'mine': M}\n"
    )
    answer = mtlbench("run", "--plugin", str(file), "--method", "mine", "--balancer", balancer, *QUICK)
    assert answer.code == 2
    assert f"Error: {file}:4: AttributeError" in " ".join(answer.err.split())


def test_a_plugin_that_cannot_be_built_is_not_called_our_bug(
    mtlbench: Command, toy: Prepared, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        HEAD + "class M(HardSharing):\n    def __init__(self, spec, tasks, config):\n        spec.nothing\n"
        "METHODS = {'mine': M}\n"
    )
    answer = mtlbench("show", "mine", "--plugin", str(file))
    assert answer.code == 2
    assert f"{file}:4: AttributeError" in " ".join(answer.err.split())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that offers the example: its module and what pip writes beside it."""
    site = tmp_path / "site"
    info = site / "my_package-1.2.dist-info"
    info.mkdir(parents=True)
    shutil.copy(EXAMPLE, site / "my_package.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[mtlbench.methods]\nfilm = my_package:FiLM\nmissing = my_package:Nothing\n"
        "[mtlbench.balancers]\ninverse-loss = my_package:InverseLoss\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return info


def test_a_package_offers_its_own_by_entry_points_and_is_imported_when_used(
    mtlbench: Command, toy: Prepared, package: Path
) -> None:
    rows = {row["name"]: row for row in mtlbench("list", "methods", "--json").json}
    assert rows["film"]["summary"] == "of the package my-package 1.2"
    assert "my_package" not in sys.modules
    (spec,) = specs(toy, "film", "inverse-loss")
    assert spec.revision["method_code"] == spec.revision["balancer_code"] == "my-package 1.2"
    assert "my_package" in sys.modules
    with pytest.raises(UsageError, match=r"my-package 1\.2: AttributeError"):
        lookup(METHODS, "missing", "method").load()


def test_a_package_may_not_take_a_name_of_ours(package: Path) -> None:
    (package / "entry_points.txt").write_text("[mtlbench.methods]\nmmoe = my_package:FiLM\n")
    with pytest.raises(UsageError, match=r"my-package 1\.2: the name 'mmoe' is taken by mtlbench itself"):
        plugins.load()
    assert lookup(METHODS, "mmoe", "method").version == ""


def test_a_name_that_is_not_registered_is_looked_for_among_plugins(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a worker process, which knows the environment and no more."""
    monkeypatch.setenv(plugins.VARIABLE, os.pathsep.join([str(example)]))
    assert lookup(METHODS, "film", "method").load().__name__ == "FiLM"
    with pytest.raises(UsageError, match=r"Did you mean 'film'.* --plugin FILE\."):
        lookup(METHODS, "flim", "method")


def test_the_example_starts_as_hard_sharing_and_its_balancer_as_it_says(example: Path) -> None:
    """Scales are 1 and shifts 0 at first; losses of 1 and 3 weigh 1.5 and 0.5, and 1 and 1 with power 0."""
    plugins.use([example])
    model, inputs = build(lookup(METHODS, "film", "method").load()), toy_inputs()
    shared = model.get_submodule("network")(model.get_submodule("features")(inputs))
    for task, output in model(inputs).items():
        assert_close(output, model.get_submodule(f"towers.{task}")(shared))
    cls = lookup(BALANCERS, "inverse-loss", "balancer").load()
    balancer = cls(("a", "b"), [cls.Config(), cls.Config(power=0)])
    assert_close(balancer.weights(torch.tensor([[1.0, 3.0]] * 2)), torch.tensor([[1.5, 0.5], [1.0, 1.0]]))


def test_the_example_of_the_readme_trains_and_the_readme_names_everything(
    mtlbench: Command, toy: Prepared, tmp_path: Path
) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (code,) = (part for part in readme.split("```python\n")[1:] if "METHODS" in part)
    (tmp_path / "film.py").write_text(code.split("```")[0])
    args = ("run", "--plugin", str(tmp_path / "film.py"), "--method", "film", "--seeds", "1")
    assert {r["status"] for r in mtlbench(*args, *QUICK, "--json").json["runs"]} == {"done"}
    assert [name for name in (*METHODS, *BALANCERS) if name != "film" and f"`{name}`" not in readme] == []
    extra = readme.split(" need the extra:")[0].rpartition("\n\n")[2]
    named = {name for name in BALANCERS if f"`{name}`" in extra}
    assert named == {name for name, e in BALANCERS.items() if "mtlbench[balancers]" in e.needs}


def test_the_documents_of_plugins_are_plain_values(mtlbench: Command, example: Path) -> None:
    found = mtlbench("show", "inverse-loss", "--plugin", str(example), "--json").json
    assert json.loads(json.dumps(found)) == found
    assert [o["name"] for o in found["options"]] == ["power"]


def test_each_thing_of_a_file_of_several_is_shown_by_its_own_docstring(
    mtlbench: Command, example: Path
) -> None:
    """A file of one thing may describe it in its own."""
    option = ("--plugin", str(example), "--json")
    found = mtlbench("show", "inverse-loss", *option).json
    assert found["title"].startswith("Weights that are inverse to the losses")
    assert "worked example" not in json.dumps(found)
    assert mtlbench("show", "film", *option).json["title"].startswith("FiLM sharing")
    example.write_text(EXAMPLE.read_text().replace('BALANCERS = {"inverse-loss": InverseLoss}\n', ""))
    assert mtlbench("show", "film", *option).json["title"].startswith("A worked example")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_a_plugin_prints_is_no_part_of_a_document(
    home: Home, toy: Prepared, tmp_path: Path, workers: str
) -> None:
    """In a process of its own: worker processes inherit its stdout, not the one that is patched here."""
    file = tmp_path / "mine.py"
    file.write_text(
        f"print('when read')\n{HEAD}class M(HardSharing):\n    def forward(self, inputs):\n"
        "        print('when run')\n        return super().forward(inputs)\nMETHODS = {'mine': M}\n"
    )
    args = [sys.executable, "-m", "mtlbench", "run", "--method", "mine", "--plugin", str(file), "--json"]
    args += ["--seeds", "2", "--epochs", "1", "--batch-rows", "300", "--no-track", "--workers", workers]
    done = subprocess.run(
        args, env={**os.environ, "MTLBENCH_HOME": str(home.root)}, capture_output=True, text=True, check=True
    )
    assert {run["status"] for run in json.loads(done.stdout)["runs"]} == {"done"}
    assert "when read" in done.stderr
    assert "when run" in done.stderr


def test_commands_that_are_suggested_keep_the_plugin(
    mtlbench: Command, home: Home, toy: Prepared, example: Path
) -> None:
    (home.root / "grid.toml").write_text(
        'dataset = "toy"\nseeds = 1\n[training]\nepochs = 1\n[[run]]\nmethod = "film"\n'
    )
    option = ("--plugin", str(example))
    wanted = f"mtlbench run grid.toml --plugin {example}"
    assert mtlbench("show", "grid.toml", *option, "--json").json["command"] == wanted
    assert mtlbench("run", "--method", "hard-sharing", "--seeds", "1", *QUICK).code == 0
    for command in (("publish", "grid.toml"), ("compare", "grid.toml")):
        assert wanted in mtlbench(*command, *option).err.replace("\n", " ")
