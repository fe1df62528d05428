"""What PoCL's compiler is spared: programs of ours declare what they call themselves, and mean the same as with all declarations."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from codegen import switchboard
from exprgraph.ops.rows import row
from runtime import workshop
from runtime.declared import SKIPPED, declared

X, D, I = eg.vector("x"), eg.dvector("d"), eg.lvector("i")
PROGRAMS: dict[str, Callable[[], tuple[list[eg.Symbol], Any]]] = {
    "map": lambda: ([X], eg.exp(X) * 3.25),
    "fault": lambda: ([X, I], X[I] * 2.75),
    "remainders": lambda: ([X, D], [X % 0.3, D % 0.7]),
    "sums in groups": lambda: ([X], [X.sum() * 1.5, X.max()]),
    "scattered floats": lambda: ([X, I], eg.grad((X[I] * 1.125).sum(), X)),
    "scattered doubles": lambda: ([D, I], eg.grad((D[I] * 1.625).sum(), D)),
    "scattered integers": lambda: ([I], [eg.bincount(I, minlength=5), eg.bincount(eg.cast(I, "int32"), minlength=5)]),
    "positions": lambda: ([X], [eg.argmax(X), eg.cumsum(X * 1.375)])}


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each build, whether the declarations were skipped."""
    found: list[bool] = []
    compiled = workshop._compiled
    monkeypatch.setattr(workshop, "_compiled", lambda c, d, text, given: found.append(SKIPPED in given) or compiled(c, d, text, given))
    return found


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_built_without_the_declarations(name: str, schedule: str, options: list[bool]) -> None:
    inputs, outputs = PROGRAMS[name]()
    f, oracle = (eg.compile(inputs, outputs, **how) for how in ({"device": "pocl", "schedule": schedule}, {"device": "numpy"}))
    given = [np.array([2, 0, 2, 1], "i8") if v.dtype == "int64" else np.linspace(0.1, 3, 7).astype(v.dtype) for v in inputs]
    alike = zip(*(r if isinstance(r, list) else [r] for r in (f(*given), oracle(*given))), strict=True)
    for found, wanted in alike:
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert options and all(options)


def test_switchboards_are_built_without_the_declarations() -> None:
    text = declared(switchboard.source())
    assert text is not None and "atomic_xchg(volatile __global int *, int);" in text and "atom_" not in text.partition("#pragma")[0]


def test_text_of_the_users_own_may_call_all_that_OpenCL_has(options: list[bool]) -> None:
    """It is seen by the names of its functions, other calls by theirs."""
    half = eg.ElementwiseKernel("x, y", "rsqrt(x)*y + cbrt(y)", numpy=lambda x, y: y / np.sqrt(x) + np.cbrt(y))
    x, y = np.linspace(1, 2, 7, dtype="f4"), np.linspace(3, 4, 7, dtype="f4")
    a, b = eg.vector("a"), eg.vector("b")
    np.testing.assert_allclose(eg.compile([a, b], half(a, b), device="pocl")(x, y), y / np.sqrt(x) + np.cbrt(y), rtol=1e-5)
    assert options and not any(options)
    assert declared("__kernel void k(__global float *x) { x[0] = cbrt(x[0]); }") is None
    assert declared("__kernel void k(__global float *x) { x[0] = as_float(7); }") is not None


def test_a_compiler_that_refuses_is_given_all_declarations(monkeypatch: pytest.MonkeyPatch, options: list[bool]) -> None:
    """Another version of PoCL may declare the same names otherwise."""
    monkeypatch.setattr(workshop, "declared", lambda text: f"int get_global_id(float);\n{text}")
    np.testing.assert_array_equal(eg.compile([X], X * 5.375, device="pocl")([2, 4]), [10.75, 21.5])
    assert options == [True, False]


def test_what_is_ambiguous_stays_so() -> None:
    """Not the one of the declarations that are there: it would cut off what is behind the point."""
    most = row("most0", lambda a: np.maximum(a, 0), "max({0}, 0)")
    with pytest.raises(eg.DeviceError, match="ambiguous"):
        eg.compile([X], most(X), device="pocl")


def test_doubled_braces_in_the_text_of_a_row_are_single_ones_in_C() -> None:
    """As in every template of Python's; unpaired ones are refused."""
    more = row("more2", lambda a: a + 2, "({T}[2]){{0, {0} + 2}}[1]")
    np.testing.assert_array_equal(eg.compile([X], more(X), device="pocl")([1.5, -3]), [3.5, -1])
    with pytest.raises(ValueError, match="Single|expected"):
        eg.compile([X], row("unpaired", lambda a: a + 2, "({0} + 2})")(X), device="pocl")
