"""The registry of launchers, and what `mtlbench run` makes of it."""

import pytest

from mtlbench.cli.options import Launcher
from mtlbench.launch import LAUNCHERS
from tests.conftest import Command


def test_the_command_line_offers_what_is_registered() -> None:
    assert {launcher.value for launcher in Launcher} == set(LAUNCHERS)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_says_what_it_does_and_can_be_made(name: str) -> None:
    assert LAUNCHERS[name].summary
    assert LAUNCHERS[name].load()(None).pick_device("cpu").type == "cpu"


def test_an_address_wants_a_cluster(mtlbench: Command) -> None:
    answer = mtlbench("run", "--method", "mmoe", "--address", "auto")
    assert answer.code == 2
    assert "--launcher ray" in answer.err
