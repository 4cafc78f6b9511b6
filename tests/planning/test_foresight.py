"""What `run` says before it is too late, and that it says it once."""

import pytest

from mtlbench.config import Benchmark
from mtlbench.errors import DataError
from mtlbench.files import seal, write_json
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.planning.foresight import Foresight
from mtlbench.planning.pilot import choose
from mtlbench.planning.power import Power, TaskPower
from mtlbench.results import FORMAT, Result
from mtlbench.runs.outcome import Outcome
from mtlbench.schema import Schema
from tests.planning.test_pilot import benchmark


def test_run_is_warned_once_as_soon_as_the_pilot_is_complete(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    chosen = benchmark("hard-sharing", seeds=5)
    foresight = Foresight(home, chosen, toy, said.append)
    foresight.warn()
    assert [line.split(":")[0] for line in said] == ["A family of 3 wants 10 seeds"]
    read: list[int] = []

    def unreadable(benchmark: Benchmark, schema: Schema, results: list[Result]) -> Power:
        read.append(len(results))
        click = TaskPower(task="click", unit="auc", delta=0.001, forecast=None, reason="it is a test")
        return Power(
            methods=(), pilot_seeds=(), seeds=5, members=3, alpha=0.05, cluster="user", tasks=(click,)
        )

    monkeypatch.setattr("mtlbench.planning.foresight.read_power", unreadable)
    specs = [spec for arm in choose(chosen, toy) for spec in arm]
    outcomes: dict[str, Outcome] = {}
    for spec in specs:
        assert foresight.power is None
        outcomes[spec.hash] = Outcome(spec, "done", Result(home.root, {}))
        foresight.look(outcomes)
    foresight.look(outcomes)
    assert read == [len(specs)]
    assert said[1:] == [
        "With 5 seeds this benchmark cannot detect an effect of its own delta on any task.",
        "click: the pilot cannot tell what will be seen: it is a test.",
    ]


def test_a_failed_pilot_is_no_ground_for_a_warning(home: Home, toy: Prepared) -> None:
    said: list[str] = []
    chosen = benchmark("hard-sharing")
    foresight = Foresight(home, chosen, toy, said.append)
    specs = [spec for arm in choose(chosen, toy) for spec in arm]
    foresight.look({spec.hash: Outcome(spec, "failed", reason="diverged") for spec in specs})
    assert foresight.power is None
    assert said == []


def test_what_is_to_be_trained_again_is_not_read_before(home: Home, toy: Prepared) -> None:
    """A file that cannot be read is what `--force` mends, so it must not stop `--force`."""
    chosen = benchmark("hard-sharing")
    for spec in (spec for arm in choose(chosen, toy) for spec in arm):
        folder = home.runs("toy") / spec.hash
        folder.mkdir(parents=True)
        write_json(
            folder / "result.json", {"format": FORMAT, "fingerprint": toy.fingerprint, "run": spec.to_json()}
        )
        (folder / "scores.npz").write_bytes(b"no scores")
        seal(folder)
    Foresight(home, chosen, toy, print, stored=False).warn()
    with pytest.raises(DataError):
        Foresight(home, chosen, toy, print).warn()
