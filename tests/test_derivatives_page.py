"""docs/derivatives.md: the examples of every section run, each with the names that it takes for granted."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg

PAGE = (Path(__file__).parents[1] / "docs" / "derivatives.md").read_text()
SECTIONS = {part.split("\n", 1)[0]: re.findall(r"```python\n(.*?)```", part, re.S) for part in PAGE.split("\n## ")[1:]}
GIVEN: dict[str, Any] = {"eg": eg, "np": np, "f": lambda x, y: eg.tanh(x) * y, "a": np.array([0.3, -1.2]), "b": np.array([1.5, 0.7])}


@pytest.mark.parametrize("section", [name for name, blocks in SECTIONS.items() if blocks])
def test_examples_run(section: str) -> None:
    space = dict(GIVEN)
    for block in SECTIONS[section]:
        exec(block, space)
    results = RESULTS.get(section)
    if results is not None:
        results(space)


def jacobians(space: dict[str, Any]) -> None:
    """The values of the section on Jacobians."""
    rng = np.random.default_rng(0)
    x, A = rng.standard_normal(4).astype("float32"), rng.standard_normal((3, 4)).astype("float32")
    J, H = eg.compile([space["x"], space["A"]], [space["J"], space["H"]], device="numpy")(x, A)
    np.testing.assert_allclose(J, (1 - np.tanh(A @ x) ** 2)[:, None] * A, rtol=1e-5)
    assert H.shape == (4, 4)
    band = space["band"]
    x, A = rng.standard_normal(1000).astype("float32"), (band * rng.standard_normal((1000, 1000))).astype("float32")
    values = eg.compile([space["x"], space["A"]], space["values"], device="numpy")(x, A)
    np.testing.assert_allclose(values, ((1 - np.tanh(A @ x) ** 2)[:, None] * A)[np.nonzero(band)], rtol=1e-4, atol=1e-6)


def own(space: dict[str, Any]) -> None:
    """The gradient of the section's own function."""
    x = eg.dvector("x")
    got = eg.compile([x], eg.grad(space["log1pexp"](x).sum(), x), device="numpy")([0.0, 100.0])
    np.testing.assert_allclose(got, [0.5, 1.0])


RESULTS = {"Jacobians and Hessians": jacobians, "A gradient of your own": own}
