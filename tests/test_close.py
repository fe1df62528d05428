"""How close a result must be: what `close` allows and what it refuses."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import close


def test_the_ulps_of_a_row_count_where_they_arise() -> None:
    x = eg.vector("x")
    values = np.full(1, 5.0, "float32")
    truth = np.tanh(values)
    near, far = truth - 2 * np.spacing(truth), truth - 60 * np.spacing(truth)
    slope = 1 - eg.sqr(eg.tanh(x))
    close([1 - near * near], slope, {x.node: values})
    with pytest.raises(AssertionError, match="elements differ"):
        close([1 - far * far], slope, {x.node: values})
