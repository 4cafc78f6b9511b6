"""The command over toy checks: order, failures, what is written and what never is; then once for real."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mtlbench import render
from mtlbench.errors import UsageError
from mtlbench.home import Home
from mtlbench.protocol import validate as command
from mtlbench.protocol.check import Check, Finding, Lab, Part, Scale
from mtlbench.protocol.validate import markdown, validate


def finding(check: str, holds: bool = True) -> Finding:
    return Finding(
        check=check,
        what=f"claim of {check}, |x| < 1",
        bound="at most 1",
        measured="0" if holds else "2",
        holds=holds,
        seeds="0-9",
        simulated="exact",
    )


def identity(item: int) -> int:
    return item


def passes(lab: Lab) -> list[Finding]:
    list(lab.map(identity, range(2 if lab.quick else 4)))
    return [finding("A1"), finding("A1")]


def breaks(lab: Lab) -> list[Finding]:
    return [finding("A2", holds=False)]


def raises(lab: Lab) -> list[Finding]:
    raise ZeroDivisionError("of some kind")


def is_stopped(lab: Lab) -> list[Finding]:
    raise KeyboardInterrupt


class Recorder:
    """A bar that keeps what it is told, and the lines said."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []
        self.said: list[str] = []

    @contextmanager
    def bar(self) -> Iterator[Any]:
        yield lambda text, done, total: self.steps.append((done, total))


def check(*functions: str) -> Check:
    return Check("something holds", tuple(Part(f"{__name__}:{f}", Scale(4, 2), 1.0) for f in functions))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(command, "CHECKS", {"A1": check("passes"), "A2": check("passes", "passes")})
    return Recorder()


def run(home: Home, recorder: Recorder, *, quick: bool = False, only: tuple[str, ...] = ()) -> dict[str, Any]:
    return validate(home, quick=quick, only=only, workers=1, say=recorder.said.append, bar=recorder.bar)


def test_the_full_run_writes_its_table(home: Home, recorder: Recorder) -> None:
    document = run(home, recorder)
    assert document["holds"]
    assert document["checks"] == ["A1", "A2"]
    assert len(document["findings"]) == 6
    assert document["command"] == "mtlbench validate-protocol"
    folder = home.results / "protocol"
    assert json.loads((folder / "validation.json").read_text()) == document
    table = (folder / "validation.md").read_text()
    assert table == markdown(document)
    assert "6 of 6 bounds hold." in table
    assert r"| A1 | claim of A1, \|x\| < 1 | at most 1 | 0 | yes | exact | 0-9 |" in table


def test_the_bar_goes_from_nothing_to_all_and_never_back(home: Home, recorder: Recorder) -> None:
    run(home, recorder)
    done = [step for step, _ in recorder.steps]
    assert {total for _, total in recorder.steps} == {12.0}
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.0, 12.0)


@pytest.mark.parametrize(("quick", "only"), [(True, ()), (False, ("A1",)), (True, ("a2",))])
def test_part_of_the_work_never_replaces_the_full_table(
    home: Home, recorder: Recorder, quick: bool, only: tuple[str, ...]
) -> None:
    run(home, recorder)
    table = home.results / "protocol" / "validation.md"
    table.write_text("the full one")
    document = run(home, recorder, quick=quick, only=only)
    assert table.read_text() == "the full one"
    assert document["checks"] == ([name.upper() for name in only] or ["A1", "A2"])


def test_a_broken_bound_is_written_down_too(
    home: Home, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "CHECKS", {"A1": check("passes"), "A2": check("breaks")})
    assert not run(home, recorder)["holds"]
    assert "2 of 3 bounds hold; BROKEN: A2." in (home.results / "protocol" / "validation.md").read_text()
    assert [said.split()[0] for said in recorder.said[:3]] == ["holds", "holds", "BROKEN"]


def test_a_check_that_fails_is_a_broken_row_and_the_others_go_on(
    home: Home, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "CHECKS", {"A1": check("raises", "nowhere"), "A2": check("passes")})
    findings = run(home, recorder)["findings"]
    assert [f["holds"] for f in findings] == [False, False, True, True]
    assert "ZeroDivisionError: of some kind (test_validate.py:" in findings[0]["measured"]
    assert "AttributeError" in findings[1]["measured"]


def test_one_that_is_stopped_leaves_nothing(
    home: Home, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "CHECKS", {"A1": check("passes"), "A2": check("is_stopped")})
    with pytest.raises(KeyboardInterrupt):
        run(home, recorder)
    assert not home.results.exists()


def test_an_unknown_check_is_told_from_the_known(home: Home, recorder: Recorder) -> None:
    with pytest.raises(UsageError, match=r"Unknown check 'A3'.*Known: A1, A2"):
        run(home, recorder, only=("A3",))
    with pytest.raises(UsageError, match=r"--only , names no check"):
        run(home, recorder, only=("", ""))


@pytest.mark.parametrize(("function", "code"), [("passes", 0), ("breaks", 1)])
def test_the_exit_code_says_whether_all_bounds_hold(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], function: str, code: int
) -> None:
    from mtlbench.cli import main

    monkeypatch.setenv("MTLBENCH_HOME", str(home.root))
    monkeypatch.setattr(command, "CHECKS", {"A1": check(function)})
    monkeypatch.setattr(sys, "argv", ["mtlbench", "validate-protocol", "--quick", "--workers", "1", "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert int(stop.value.code or 0) == code
    assert json.loads(capsys.readouterr().out)["holds"] is (code == 0)


def test_the_table_for_people_names_what_is_broken(
    home: Home, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    render.findings(run(home, recorder))
    assert "All 6 bounds hold" in capsys.readouterr().out
    monkeypatch.setattr(command, "CHECKS", {"A1": check("passes"), "A2": check("breaks")})
    render.findings(run(home, recorder))
    assert "1 of 3 bounds are BROKEN: A2" in capsys.readouterr().out


@pytest.mark.slow
def test_the_quick_validation_holds_within_five_minutes_of_two_cores(tmp_path: Path) -> None:
    """Counted in CPU time: other tests run beside it, so that its wall time says little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        [sys.executable, "-m", "mtlbench", "validate-protocol", "--quick", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    document = json.loads(finished.stdout)
    assert [f for f in document["findings"] if not f["holds"]] == []
    assert finished.returncode == 0
    assert document["checks"] == [f"A{i}" for i in range(1, 17)]
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert 10 < cpu_seconds <= 2 * 300
    assert not (tmp_path / "results").exists()
