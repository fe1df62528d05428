"""What the tables of faults share: the three ways to compute, and the comparison that minds NaN, infinity and the sign of zero."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import exprgraph as eg

WAYS = {"numpy": {"device": "numpy"}, "cpu": {"device": "pocl", "schedule": "cpu"}, "gpu": {"device": "pocl", "schedule": "gpu"}}


def symbols(values: Sequence[Any]) -> list[eg.Out]:
    """One symbol of unknown sizes for each array."""
    return [eg.tensor(f"x{k}", np.asarray(v).dtype.name, (None,) * np.ndim(v)) for k, v in enumerate(values)]


def listed(found: Any) -> list[Any]:
    """Several results or one, as a list."""
    return list(found) if isinstance(found, list | tuple) else [found]


def run(way: str, expression: Callable[..., Any], values: Sequence[Any], **options: Any) -> list[np.ndarray]:
    """The values of expression(eg, *symbols) in one of the three ways."""
    inputs = symbols(values)
    f = eg.compile(inputs, listed(expression(eg, *inputs)), on_unused_input="ignore", **WAYS[way], **options)
    return f(*values)


def same(got: Sequence[Any], wanted: Sequence[Any], rtol: float = 0.0, atol: float = 0.0) -> None:
    """Equal shapes and values, bit for bit unless a tolerance is given; zeros have the same sign."""
    assert len(got) == len(wanted)
    for k, (a, b) in enumerate(zip(got, wanted)):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, (k, a.shape, b.shape)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"result {k}")
        if not rtol and not atol:
            np.testing.assert_array_equal(np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b), f"signs of result {k}")


def both(way: str, expression: Callable[..., Any], values: Sequence[Any], rtol: float = 0.0, atol: float = 0.0) -> None:
    """expression(eg, ...) compiled gives what expression(np, ...) gives, dtypes included where both are arrays."""
    with np.errstate(all="ignore"):
        wanted = [np.asarray(w) for w in listed(expression(np, *values))]
    got = run(way, expression, values)
    same(got, wanted, rtol, atol)
    assert [g.dtype for g in got] == [w.dtype for w in wanted]
