"""Kinds of numbers meet the rest of the language: half floats and complex numbers are sorted, selected, assigned, padded and summed."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg

HALF = np.random.default_rng(1).permutation(12).astype("float16")
PAIRS = (np.arange(12) - 4 + 1j * np.arange(12)[::-1]).astype("complex64")
I = np.array([0, 3, 3, -1])


def changed(x: Any, at: Any, value: Any, add: bool = False) -> Any:
    out = x.copy()
    np.add.at(out, at, value) if add else out.__setitem__(at, value)
    return out


CASES: dict[str, tuple[np.ndarray, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "half sort": (HALF, lambda x: [eg.sort(x), eg.argsort(x), eg.searchsorted(eg.sort(x), x)],
                  lambda x: [np.sort(x), np.argsort(x), np.searchsorted(np.sort(x), x)]),
    "half topk": (HALF, lambda x: [*eg.topk_and_argtopk(x, 3)], lambda x: [np.sort(x)[:-4:-1], np.argsort(x)[:-4:-1]]),
    "half selected": (HALF, lambda x: [x[x > 3], eg.unique(x), eg.median(x)], lambda x: [x[x > 3], np.unique(x), np.median(x)]),
    "half assigned": (HALF, lambda x: [x[I].set(7), x[I].inc(1), x[2:5].set(0), x[x > 3].set(1)],
                      lambda x: [changed(x, I, 7), changed(x, I, 1, True), changed(x, slice(2, 5), 0), changed(x, x > 3, 1)]),
    "half contracted": (HALF, lambda x: [eg.einsum("i,j->ij", x, x), eg.pad(x, 2, mode="reflect")],
                        lambda x: [np.einsum("i,j->ij", x, x), np.pad(x, 2, mode="reflect")]),
    "complex assigned": (PAIRS, lambda x: [x[I].set(7j), x[I].inc(1j), x[2:5].set(0), x[I]],
                         lambda x: [changed(x, I, 7j), changed(x, I, 1j, True), changed(x, slice(2, 5), 0), x[I]]),
    "complex selected": (PAIRS, lambda x: [x[eg.abs(x) > 8], *eg.nonzero(x), x.real.sort(), eg.where(x.real > 0, x, 0)],
                         lambda x: [x[np.abs(x) > 8], *np.nonzero(x), np.sort(x.real), np.where(x.real > 0, x, 0)]),
    "complex contracted": (PAIRS, lambda x: [eg.einsum("i,j->ij", x, x), eg.vdot(x, x), eg.kron(x[:3], x), eg.outer(x, x)],
                           lambda x: [np.einsum("i,j->ij", x, x), np.vdot(x, x), np.kron(x[:3], x), np.outer(x, x)]),
    "complex moved": (PAIRS, lambda x: [eg.pad(x, 2), eg.pad(x, 2, mode="reflect"), eg.roll(x, 2), eg.flip(x), eg.tile(x, 2)],
                      lambda x: [np.pad(x, 2), np.pad(x, 2, mode="reflect"), np.roll(x, 2), np.flip(x), np.tile(x, 2)])}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("device,schedule", [("numpy", "auto"), ("pocl", "cpu"), ("pocl", "gpu")])
def test_as_numpy(name: str, device: str, schedule: str) -> None:
    value, ours, numpys = CASES[name]
    x = eg.tensor("x", value.dtype.name, (None,))
    for got, want in zip(eg.compile([x], ours(x), device=device, schedule=schedule)(value), numpys(value), strict=True):
        assert got.dtype == np.asarray(want).dtype and got.shape == np.shape(want)
        np.testing.assert_allclose(got, want, rtol=1e-3 if value.dtype == "float16" else 1e-5)


def test_sizes_of_a_complex_leaf_stay_its_own() -> None:
    """A program of pairs has leaves of the same uid; what is built later from the symbol must not be given their sizes."""
    c = eg.tensor("c", "complex64", (None,))
    kept = [eg.compile([c], eg.kron(c, c), device="pocl")]
    for make in (lambda: eg.pad(c, 2, mode="reflect"), lambda: eg.roll(c, 2), lambda: eg.tile(c, 2)):
        kept.append(eg.compile([c], make(), device="pocl"))
        assert kept[-1](np.ones(3, "complex64")).dtype == "complex64"
