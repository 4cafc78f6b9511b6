"""Adjusted p-values against statsmodels and by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from mtlbench.statistics.multiplicity import benjamini_hochberg, holm

Adjust = Callable[..., Any]


@pytest.mark.parametrize(("adjust", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
@pytest.mark.parametrize("seed", range(5))
def test_equals_statsmodels(adjust: Adjust, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(12) ** 3, 2)  # with ties
    np.testing.assert_allclose(adjust(p), multipletests(p, method=name)[1], atol=1e-15)


def test_holm_by_hand() -> None:
    """Sorted .01 .02 .04: 3 x .01, then max with 2 x .02, then max with 1 x .04."""
    np.testing.assert_allclose(holm([0.04, 0.01, 0.02]), [0.04, 0.03, 0.04])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_members_without_a_p_value_count_as_p_1(adjust: Adjust) -> None:
    p = [0.03, 0.001, 0.2]
    np.testing.assert_allclose(adjust(p, members=5), adjust([*p, 1.0, 1.0])[:3])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_a_family_of_one_is_left_alone_and_an_empty_one_is_empty(adjust: Adjust) -> None:
    assert adjust([0.03]) == [0.03]
    assert len(adjust([])) == 0
