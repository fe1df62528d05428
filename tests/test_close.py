"""How close a result must be: what `close` allows and what it refuses."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import close


def test_the_own_error_is_not_that_of_one_lucky_point() -> None:
    x = eg.vector("x")
    values = np.full(1, 1.75, "float32")
    third = np.float32(1) / np.float32(3)
    again = values * third * np.float32(3) - values
    assert again != 0 and (values / np.float32(3)) * np.float32(3) == values, "one way of writing 0 is exact here, the other is not"
    close([again], (x / 3) * 3 - x, {x.node: values})
    with pytest.raises(AssertionError, match="elements differ"):
        close([again * 8], (x / 3) * 3 - x, {x.node: values})
