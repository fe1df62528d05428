"""Tables of functions beside their NumPy meaning: values on both backends, gradients against finite differences."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from exprgraph.testing import check_grads

Many = tuple | list


class Row(NamedTuple):
    """A function of symbols, its meaning for arrays (by default the same text with NumPy for eg), and the arrays."""
    name: str
    make: Callable[..., Any]
    meaning: Callable[..., Any]
    arrays: Sequence[np.ndarray]
    smooth: bool = True


def flat(result: Any) -> list[Any]:
    """The result as a list, whatever sequence it is."""
    return list(result) if isinstance(result, Many) else [result]


def check_values(rows: Sequence[Row], device: str, schedule: str | None = None) -> None:
    """All rows in one function, with symbols of unknown sizes."""
    inputs, outputs, wanted, values = [], [], [], []
    for row in rows:
        symbols = [eg.tensor(f"{row.name}{k}", a.dtype, (None,) * a.ndim) for k, a in enumerate(row.arrays)]
        made = flat(row.make(*symbols))
        with np.errstate(all="ignore"):
            meant = [np.asarray(w) for w in flat(row.meaning(*row.arrays))]
        assert len(made) == len(meant), row.name
        inputs, values = inputs + symbols, values + list(row.arrays)
        outputs, wanted = outputs + made, wanted + [(row.name, w) for w in meant]
    keywords = {"schedule": schedule} if schedule else {}
    f = eg.compile(inputs, outputs, device=device, on_unused_input="ignore", **keywords)
    for got, (name, want) in zip(f(*values), wanted, strict=True):
        agree(name, got, want)


def agree(name: str, got: np.ndarray, want: np.ndarray) -> None:
    """Equal shapes, kinds of dtype and values; floats to a few units in the last place of the smaller type."""
    assert got.shape == want.shape, (name, got.shape, want.shape)
    assert got.dtype.kind == want.dtype.kind or {got.dtype.kind, want.dtype.kind} <= set("iu"), (name, got.dtype, want.dtype)
    if got.dtype.kind in "fc":
        loose = 2e-5 if "float32" in (got.dtype.name, want.dtype.name) else 1e-11
        np.testing.assert_allclose(got, want, rtol=loose, atol=loose, err_msg=name)
    else:
        np.testing.assert_array_equal(got, want, err_msg=name)


def check_slope(row: Row) -> None:
    """First and second gradients of all results that are floats."""
    def total(*symbols: Any) -> Any:
        parts = [eg.sum(o * o) for o in flat(row.make(*symbols)) if o.dtype.startswith("float")]
        return eg.sum(eg.stack(parts))
    check_grads(total, row.arrays, order=2)
