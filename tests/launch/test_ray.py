"""The Ray launcher, on several nodes on this machine: the numbers of one machine, whatever dies."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mtlbench.launch.ray as ray_launcher
from mtlbench import plugins
from mtlbench.config import RunSpec
from mtlbench.errors import UsageError
from mtlbench.home import Home
from mtlbench.launch.local import Local
from mtlbench.launch.ray import Ray
from mtlbench.launch.ray_node import Order, _own_home, _packed
from mtlbench.load import Prepared, open_prepared
from mtlbench.results import Scores
from mtlbench.runs.outcome import Outcome
from mtlbench.runs.store import finished
from mtlbench.train import snapshot
from tests.cli.test_cli import QUICK
from tests.conftest import Command, prepare_anew, write_prepared
from tests.launch.test_local import CPU, jobs_of
from tests.test_plugins import example, registries, specs

__all__ = ["example", "registries"]  # fixtures

NODES = 3


def ignore(rows: int) -> None:
    pass


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_launcher, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'mtlbench\[ray\]'"):
        Ray().pick_device("auto")


def test_gpus_of_the_cluster_are_used_when_they_are_asked_for() -> None:
    """The head, where this is asked, may have none."""
    pytest.importorskip("ray")
    assert [Ray().pick_device(name).type for name in ("auto", "cpu", "cuda")] == ["cpu", "cpu", "cuda"]


def test_ray_is_loaded_by_those_alone_who_use_it() -> None:
    for code in ("mtlbench.cli", "mtlbench.experiment.run", "mtlbench.launch.ray"):
        test = f"import sys, {code}; sys.exit('ray' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", test], check=False).returncode == 0, code


def test_an_address_where_nothing_is_says_what_to_do(home: Home, toy: Prepared) -> None:
    pytest.importorskip("ray")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        before = signal.getsignal(signal.SIGTERM)
        for wrong in (address, "nonsense"):
            with pytest.raises(UsageError, match="ray start --head"):
                Ray(wrong).launch(home, "toy", jobs_of(toy, 1), CPU, None, ignore, lambda outcomes: None)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not list(home.training("toy").parent.glob("shared-*"))


def head(home: Home, jobs: list[list[RunSpec]]) -> Any:
    """The side of the head, without a cluster."""
    made = ray_launcher._Head.__new__(ray_launcher._Head)
    order = Order(home, "toy", jobs[0][0].fingerprint, home.root, CPU, (), again=False, wait=False)
    made._order, made._jobs, made._deaths, made._data = order, jobs, Counter(), None
    return made


def test_a_job_that_kills_every_worker_is_given_up(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    def crash(ref: object) -> None:
        raise ray.exceptions.WorkerCrashedError

    monkeypatch.setattr(ray, "get", crash)
    tried = head(home, jobs_of(toy, 2))
    assert [tried._outcomes(0, "a reference") for _ in range(ray_launcher.TRIES - 1)] == [None, None]
    (outcome,) = tried._outcomes(0, "a reference")
    assert outcome.status == "failed"
    assert "died 3 times; last: WorkerCrashedError" in outcome.reason
    assert tried._outcomes(1, "a reference") is None, "deaths of one job are counted for another"


def test_what_a_node_sends_back_is_stored_whole_or_fails(home: Home, toy: Prepared, tmp_path: Path) -> None:
    other = Home(tmp_path / "node")
    write_prepared(other)
    jobs = jobs_of(toy, 1)
    ended: list[Outcome] = []
    Local().launch(other, "toy", jobs, CPU, 1, ignore, ended.extend)
    outcome, files = _packed(ended[0])
    assert not list(other.runs("toy").iterdir())
    damaged = head(home, jobs)._stored(outcome, {**files, "scores.npz": files["scores.npz"][:-1]})
    assert (damaged.status, damaged.reason) == ("failed", "what its node sent back is damaged")
    stored = head(home, jobs)._stored(outcome, files)
    assert stored.status == "done"
    assert stored.result == finished(home, "toy", jobs[0][0])
    (aside,) = home.set_aside("toy").iterdir()
    assert aside.name == jobs[0][0].hash


def test_data_prepared_anew_are_sent_to_no_node(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would keep them as those that the runs were planned for."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "get", lambda ref: None)  # the answer of a node that has no data yet
    tried = head(home, jobs_of(toy, 1))
    prepare_anew(home, seed=1)
    (outcome,) = tried._outcomes(0, "a reference")
    assert outcome.status == "failed"
    assert "prepared anew while this ran" in outcome.reason


def test_a_node_that_holds_other_data_under_that_name_takes_what_it_is_sent(
    home: Home, toy: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "get", lambda ref: ref)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    order = Order(home, "toy", toy.fingerprint, home.root, CPU, (), again=False, wait=False)
    files = [file for file in toy.path.rglob("*") if file.is_file()]
    sent = {file.relative_to(toy.path).as_posix(): np.fromfile(file, np.uint8) for file in files}
    node = _own_home(order, sent)
    assert open_prepared(node, "toy").manifest == toy.manifest
    assert _own_home(order, {}) == node, "it holds them already"
    prepare_anew(node, seed=1)
    assert open_prepared(_own_home(order, sent), "toy").manifest == toy.manifest


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that trains nothing, and nodes with one core each; their scratch folder is their own."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        scratch = tempfile.mkdtemp(prefix="mtl")  # short: paths of sockets may have 107 characters
        patch.setenv("TMPDIR", scratch)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        made.scratch = Path(scratch)
        for _ in range(NODES):
            made.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        yield made
        made.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def scores(home: Home, spec: RunSpec) -> list[np.ndarray[Any, Any]]:
    found = Scores.load(home.runs("toy") / spec.hash / "scores.npz")
    return [found.cluster, *found.score.values(), *found.score_best.values()]


def assert_same_as_on_one_machine(
    home: Home, jobs: list[list[RunSpec]], tmp_path: Path, rows: int = 600
) -> None:
    alone = Home(tmp_path / "alone")
    write_prepared(alone, rows=rows)
    expected: list[Outcome] = []
    Local().launch(alone, "toy", jobs, CPU, 1, ignore, expected.extend)
    for outcome in expected:
        result = finished(home, "toy", outcome.spec)
        assert result is not None
        assert outcome.result is not None
        assert result.data["metrics"] == outcome.result.data["metrics"]
        assert result.data["history"] == outcome.result.data["history"]
        for a, b in zip(scores(home, outcome.spec), scores(alone, outcome.spec), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_cluster_gives_what_one_machine_gives_and_a_bad_run_fails_alone(
    cluster: Any, home: Home, toy: Prepared, tmp_path: Path
) -> None:
    good, bad = jobs_of(toy, 3), jobs_of(toy, 1, learning_rate=1e30)
    ended: list[Outcome] = []
    Ray(cluster.address).launch(home, "toy", [*bad, *good], CPU, None, ignore, ended.extend)
    status = {o.spec.hash: o.status for o in ended}
    assert [status[spec.hash] for (spec,) in [*bad, *good]] == ["failed", "done", "done", "done"]
    assert next(o.reason for o in ended if o.status == "failed")
    assert_same_as_on_one_machine(home, good, tmp_path)
    assert not list(home.training("toy").parent.glob("shared-*"))
    again: list[Outcome] = []
    Ray(cluster.address).launch(home, "toy", good[:1], CPU, 1, ignore, again.extend)
    assert [o.status for o in again] == ["reused"]
    with pytest.raises(UsageError, match="no node of the cluster has a GPU"):
        Ray(cluster.address).launch(home, "toy", good, torch.device("cuda"), None, ignore, again.extend)


@pytest.mark.slow
def test_nodes_that_do_not_see_the_home_are_sent_the_data_and_send_back_the_results(
    cluster: Any, home: Home, toy: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is a file that no node finds, as if the home were on the head's own disk."""

    @contextmanager
    def elsewhere(home: Home, dataset: str) -> Iterator[Path]:
        yield tmp_path / "not" / "there"

    monkeypatch.setattr(ray_launcher, "_token", elsewhere)
    good, bad = jobs_of(toy, 3), jobs_of(toy, 1, learning_rate=1e30)
    ended: list[Outcome] = []
    Ray(cluster.address).launch(home, "toy", [*good, *bad], CPU, None, ignore, ended.extend)
    assert sorted(o.status for o in ended) == ["done", "done", "done", "failed"]
    assert {o.result.path.parent for o in ended if o.result} == {home.runs("toy")}
    assert_same_as_on_one_machine(home, good, tmp_path)
    (copy,) = cluster.scratch.glob(f"mtlbench-{os.getuid()}/*/datasets/toy/prepared")
    assert (copy / "test" / "labels.npy").read_bytes() == (toy.path / "test" / "labels.npy").read_bytes()
    assert not list(Home(copy.parents[2]).runs("toy").iterdir()), "results are left on the nodes"


@pytest.mark.slow
def test_a_plugin_that_nodes_see_runs_there_and_another_is_refused(
    cluster: Any, home: Home, toy: Prepared, example: Path
) -> None:
    plugins.use([example])
    jobs = [specs(toy, "film", "inverse-loss")]
    ended: list[Outcome] = []
    launch: Callable[..., None] = Ray(cluster.address).launch
    launch(home, "toy", jobs, CPU, None, ignore, ended.extend)
    assert [(o.status, o.reason) for o in ended] == [("done", "")]
    example.rename(example.with_name("moved.py"))
    launch(home, "toy", jobs, CPU, None, ignore, ended.extend, again=True)
    assert ended[1].status == "failed"
    assert "mine.py is not there on the node" in ended[1].reason


@pytest.mark.slow
def test_the_command_on_a_cluster_and_its_interrupt(
    cluster: Any, mtlbench: Command, home: Home, toy: Prepared
) -> None:
    """Ctrl-C reaches the head while it waits for nodes; what it has begun ends with it."""
    where = ("--launcher", "ray", "--address", cluster.address)
    answer = mtlbench("run", "--method", "hard-sharing", "--seeds", "1", "--json", *QUICK, *where)
    assert answer.code == 0, answer.err
    assert {one["status"] for one in answer.json["runs"]} == {"done"}
    endless = [
        sys.executable,
        "-m",
        "mtlbench",
        "run",
        "--method",
        "mmoe",
        "--seeds",
        "2",
        "--no-track",
        *where,
    ]
    environment = {**os.environ, "MTLBENCH_HOME": str(home.root), snapshot.EVERY: "0.2"}
    process = subprocess.Popen(
        [*endless, "--epochs", "1000000"], env=environment, stderr=subprocess.PIPE, text=True
    )
    training = home.training("toy")
    while not list(training.glob("*/*/*")):  # a snapshot, so a node trains
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "Interrupted" in said
    left = {path: path.stat().st_mtime_ns for path in training.glob("*/*/*")}
    time.sleep(1)
    assert {path: path.stat().st_mtime_ns for path in training.glob("*/*/*")} == left


@pytest.mark.slow
def test_a_node_that_dies_takes_no_run_with_it(
    cluster: Any, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed while every node trains; its run goes on elsewhere from its snapshot."""
    monkeypatch.setenv(snapshot.EVERY, "0.2")
    prepared = write_prepared(home, rows=2000)
    jobs = jobs_of(prepared, 4, epochs=25, patience=100)
    killed: list[int] = []
    lost: list[int] = []
    ended: list[Outcome] = []
    real = ray_launcher._Head._outcomes

    def watched(head: Any, number: int, ref: Any) -> list[Outcome] | None:
        outcomes = real(head, number, ref)
        if outcomes is None:
            lost.append(number)
        return outcomes

    monkeypatch.setattr(ray_launcher._Head, "_outcomes", watched)

    def kill_one(rows: int) -> None:
        held = [path for path in home.training("toy").iterdir() if list(path.glob("*/*"))]
        if not killed and len(held) == NODES:
            cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
            killed.append(len(ended))

    Ray(cluster.address).launch(home, "toy", jobs, CPU, None, kill_one, ended.extend)
    assert killed
    assert len(lost) == 1
    assert [o.status for o in ended] == ["done"] * len(jobs)
    assert {o.spec.hash for o in ended} == {spec.hash for (spec,) in jobs}
    assert_same_as_on_one_machine(home, jobs, tmp_path, rows=2000)
