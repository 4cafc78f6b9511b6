"""Is a gain too small to matter? Two one-sided tests (TOST).

Guards against: "no significant loss" taken for "no loss", which rewards tables with few seeds and few users.

Source: Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15(6), 1987.
"""

import math

from mtlbench.statistics.variance import Estimate, upper_tail


def tost(estimate: Estimate, df: float, delta: float) -> float:
    """Return p of "the gain lies outside (-delta, delta)": the larger of the two one-sided p-values.

    Args:
        estimate: the gain and its standard error; identical arms (both 0) are equivalent at any delta.
        df: degrees of freedom of the standard error.
        delta: smallest effect of interest, above 0, in the unit of the gain.

    Returns:
        The p-value; NaN if it is undefined.
    """
    if estimate.se == 0:
        return 0.0 if estimate.gain == 0 else math.nan
    not_below = upper_tail((delta + estimate.gain) / estimate.se, df)
    not_above = upper_tail((delta - estimate.gain) / estimate.se, df)
    return max(not_below, not_above)
