"""How many kernels an expression costs: the counts may fall, not rise."""
from __future__ import annotations

import pytest

from tests.kernel_counts import CASES, LARGE, SMALL, Case, counts

MOST = {
    "softmax of rows": (1, 1), "log-softmax of rows": (1, 1), "cross-entropy of labels and its gradient": (2, 2),
    "cross-entropy of one-hot rows and its gradient": (2, 2), "layer norm": (1, 1), "gradient of layer norm": (2, 6),
    "batch norm": (1, 5), "Adam over 10 parameters": (1, 1), "momentum over 10 parameters": (1, 1),
    "variance of everything": (1, 4), "attention head": (3, 3), "GRU step": (8, 13), "logistic-regression step": (3, 5),
    "perceptron training step": (11, 15), "GELU(x + b)": (1, 1), "log-likelihood of a mixture": (3, 3),
    "squared distances of points": (1, 1), "rows of length 1": (1, 1), "k-means assignment": (2, 2),
    "Kalman update": (5, 6), "SiLU(RMSNorm(x) g)": (1, 1), "log-sum-exp of columns": (1, 4)}
"""For `SMALL` and for `LARGE` sizes."""


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_kernels_launched(case: Case) -> None:
    """No more than before; an ideal is what no plan beats, but for what one kernel does for small sizes."""
    small, large = counts(case, SMALL, LARGE)
    assert small <= MOST[case.name][0] and large <= MOST[case.name][1]
    assert small <= large and large >= case.ideal
