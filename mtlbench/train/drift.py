"""Catch up an embedding row, all at once, on the dense Adam steps whose batches did not hold it.

After step l, which left it the moments m and v, such a row keeps moving: at step s = l + k by

    lr  b1^k m / (1 - b1^s)  /  (sqrt(b2^k v) / c_s + eps)  =  lr m w_s / (sqrt(v) + eps e_s)

    c_s = sqrt(1 - b2^s),    e_s = c_s b2^(-k/2),    w_s = b1^k e_s / (1 - b1^s)

Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1, without a gradient. The e
and w of a row depend only on l and s, and the e of all steps that still matter are close together, since w
vanishes within a few hundred steps. So the sum over any number of steps is computed as two terms, whose nodes
and weights match the moments 0 to 3 of the e's under the w's (Gauss; Golub and Meurant, "Matrices, Moments
and Quadrature", 2010, chapter 6): exact where 1 / (sqrt(v) + eps e) is a cubic in e. The error is at most
1e-4 of a learning rate, in the first steps and for gradients below epsilon, and less than single precision
elsewhere.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW = 256
"""Number of steps after which a row no longer moves: b1^256 b2^-128 is 2e-12."""
NONE = (0.0, 0.0, 1.0, 1.0)
"""Weights and nodes that stand for no step at all."""


class Drift:
    """Quadrature nodes and weights, by the step l of a row's last batch.

    Attributes:
        step: steps made so far.
    """

    def __init__(self, rate: float, betas: tuple[float, float], epsilon: float, step: int) -> None:
        self.step, self._rate, self._betas, self._epsilon = step, rate, betas, epsilon
        self._sums = np.zeros((4, step + WINDOW))  # by l: moments 0 to 3 of the e's
        self._rule = np.full((step + WINDOW, 4), NONE, np.float32)  # by l: two weights, two nodes

    def made(self) -> None:
        """Count another step and update the rules; those of rows last held over `WINDOW` steps ago stay."""
        self.step = s = self.step + 1
        if s >= len(self._rule):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)], axis=1)
            self._rule = np.concatenate([self._rule, np.full_like(self._rule, NONE)])
        b1, b2 = self._betas
        last = slice(max(0, s - WINDOW), s)
        k = np.arange(s - last.start, 0, -1.0)
        e = (1 - b2**s) ** 0.5 * b2 ** (-k / 2)
        w = b1**k * e / (1 - b1**s)
        self._sums[:, last] += w * e ** np.arange(4)[:, None]
        self._rule[last] = _gauss(self._sums[:, last])

    def catch_up(self, values: Tensor, first: Tensor, second: Tensor, last: Tensor) -> None:
        """Bring rows (row, dim) and their moments from step `last` (row,) to the current step, in place."""
        b1, b2 = self._betas
        w1, w2, e1, e2 = (
            torch.from_numpy(self._rule).index_select(0, last).unsqueeze(-1).unbind(dim=1)
        )  # (row, 1) each
        root, k = second.sqrt(), (self.step - last).to(second.dtype).unsqueeze(1)
        moved = w1 / (root + self._epsilon * e1)
        moved += w2 / root.add_(self._epsilon * e2)
        values.addcmul_(moved, first, value=-self._rate)
        first *= b1**k
        second *= b2**k


def _gauss(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn moments 0 to 3 (4, n) of n measures into weights and nodes (n, 4) of two-point Gauss rules."""
    total = sums[0]
    mean, square, cube = sums[1:] / total
    variance = square - mean**2
    single = variance < 1e-13 * mean**2  # a single step has one node
    variance[single] = 1.0
    skew = (cube - 3 * mean * square + 2 * mean**3) / (2 * variance)
    skew[single] = 0.0
    root = np.sqrt(skew**2 + variance)
    low, high = skew - root, skew + root
    low[single] = 0.0
    share = high / (high - low)
    return np.stack([total * share, total * (1 - share), mean + low, mean + high], axis=1)
