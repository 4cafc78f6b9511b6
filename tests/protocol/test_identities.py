"""What must be equal is; and the checks notice when it is not."""

from dataclasses import replace

import pytest
from torch import Tensor

from mtlbench.home import Home
from mtlbench.methods.base import Inputs
from mtlbench.methods.disjoint import Disjoint
from mtlbench.methods.soft_sharing import SoftSharing
from mtlbench.protocol import identities
from mtlbench.protocol.check import Lab
from mtlbench.protocol.fixtures import arm, drawn, held_against, train
from mtlbench.protocol.identities import DATA_SEED, EQUAL_STEPS, MIRRORED, mirror
from mtlbench.statistics.verdict import Verdict


def test_disjoint_is_single_task_and_a_shifted_one_is_caught(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [f.holds for f in identities.a3(Lab(home))] == [True, True]
    right = Disjoint.forward

    def shifted(self: Disjoint, inputs: Inputs) -> dict[str, Tensor]:
        return {task: output + 1e-3 for task, output in right(self, inputs).items()}

    monkeypatch.setattr(Disjoint, "forward", shifted)
    assert [f.holds for f in identities.a3(Lab(home))] == [False, False]


def test_weight_zero_changes_nothing_and_a_small_weight_is_caught(home: Home) -> None:
    (finding,) = identities.a5(Lab(home))
    assert finding.holds
    pair = (arm("single-task"), arm("hard-sharing", second=0.01))
    assert not identities._equal("A5", "", Lab(home), pair, EQUAL_STEPS, "score_best", ("first",)).holds


@pytest.mark.slow
def test_soft_sharing_has_its_limits_and_loses_them_without_its_penalty(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [f.holds for f in identities.a4(Lab(home))] == [True, True, True]
    monkeypatch.setattr(SoftSharing, "penalty", lambda self, inputs: inputs.numeric.new_zeros(()))
    assert [f.holds for f in identities.a4(Lab(home))] == [True, False, False]


def test_swapped_arms_mirror_and_a_skewed_interval_is_caught(home: Home) -> None:
    (finding,) = identities.a13(Lab(home))
    assert finding.holds
    with drawn(MIRRORED, DATA_SEED, home) as (inner, prepared):
        one = held_against(MIRRORED, train(MIRRORED, inner, prepared), prepared).comparisons[0]
    unlike = {name for name, (mine, theirs) in mirror(one, one).items() if mine != theirs}
    assert unlike == {"gain", "verdict", "interval", "adjusted_interval"}
    other = replace(one, judgement=replace(one.judgement, verdict=Verdict.EQUIVALENT))
    mine, theirs = mirror(replace(other, judgement=replace(other.judgement)), other)["verdict"]
    assert mine == theirs  # what is no call stays what it is
