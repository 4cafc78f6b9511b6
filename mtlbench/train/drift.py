"""What dense Adam does to a row of an embedding in the steps whose batch does not hold it, all at once.

After step l, at which it had the moments m and v, such a row goes on moving: at step s = l + k by

    lr  b1^k m / (1 - b1^s)  /  (sqrt(b2^k v) / c_s + eps)  =  lr m w_s / (sqrt(v) + eps e_s)

    c_s = sqrt(1 - b2^s),    e_s = c_s b2^(-k/2),    w_s = b1^k e_s / (1 - b1^s)

Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1, without a gradient. Only
l and s tell one row's e and w from another's, and the e of all steps that still matter lie close together,
since w falls to nothing within some hundred steps. So the sum over any number of steps is that of two terms,
whose nodes and weights match the moments 0 to 3 of the e's under the w's (Gauss; Golub and Meurant,
"Matrices, Moments and Quadrature", 2010, chapter 6): exact where 1 / (sqrt(v) + eps e) is a cubic in e. What
is left is at most 1e-4 of a learning rate, in the first steps and for gradients below epsilon, and less than
single precision elsewhere.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW = 256
"""Steps after which a row moves no more: b1^256 b2^-128 is 2e-12."""
NONE = (0.0, 0.0, 1.0, 1.0)
"""The rule of no step."""


class Drift:
    """Nodes and weights by the step l of a row's last batch.

    Attributes:
        step: steps made so far.
    """

    def __init__(self, rate: float, betas: tuple[float, float], epsilon: float, step: int) -> None:
        self.step, self._rate, self._betas, self._epsilon = step, rate, betas, epsilon
        self._sums = np.zeros((4, step + WINDOW))  # by l: moments 0 to 3 of the e's
        self._rule = np.full((step + WINDOW, 4), NONE, np.float32)  # by l: two weights, two nodes

    def made(self) -> None:
        """Another step has been made; of the rows whose last batch is long ago nothing changes."""
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
        """Bring rows (row, dim) and their moments, of the step `last` (row,) each, to the current one."""
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
    """Moments 0 to 3 of a measure (4, n) to weights and nodes of its Gauss rule of two points (n, 4)."""
    total = sums[0]
    mean, square, cube = sums[1:] / total
    variance = square - mean**2
    single = variance < 1e-13 * mean**2  # one step alone has one node
    variance[single] = 1.0
    skew = (cube - 3 * mean * square + 2 * mean**3) / (2 * variance)
    skew[single] = 0.0
    root = np.sqrt(skew**2 + variance)
    low, high = skew - root, skew + root
    low[single] = 0.0
    share = high / (high - low)
    return np.stack([total * share, total * (1 - share), mean + low, mean + high], axis=1)
