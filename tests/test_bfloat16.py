"""bfloat16 is stored as ml_dtypes has it and computed with in float32 by every backend; without ml_dtypes it is refused with the cure."""
from __future__ import annotations

import importlib

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.dtypes import FLOATS, INTS
from exprgraph.reference import evaluate
from tests.plan_runner import CPU, GPU, interpret

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT = np.dtype(ml_dtypes.bfloat16)
EVERY = np.arange(65536, dtype="uint32").astype("uint16").view(BFLOAT)
WAYS = [{"device": "numpy"}, {"device": "pocl", "schedule": "cpu"}, {"device": "pocl", "schedule": "gpu"}]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: " ".join(w.values()))


def same(got: np.ndarray, want: np.ndarray) -> None:
    """Bit for bit, but for which NaN it is."""
    assert got.dtype == want.dtype and got.shape == want.shape
    with np.errstate(all="ignore"):
        a, b = got.astype("float64"), want.astype("float64")
    np.testing.assert_array_equal(a, b)
    assert (np.signbit(a) == np.signbit(b))[~np.isnan(b)].all()


def rounded_once(x: np.ndarray) -> np.ndarray:
    """float64 to the nearest bfloat16, to even from halfway, by whole numbers of units in the last place."""
    mantissa, exponent = np.frexp(x)
    lowest = np.maximum(exponent, -125)
    with np.errstate(all="ignore"):
        return np.ldexp(np.rint(np.ldexp(mantissa, exponent - lowest + 8)), lowest - 8).astype("float32").astype(BFLOAT)


@every_way
def test_A20_A21_every_value_and_every_border(way):
    """There and back: subnormals, infinities, halfway to even, and no double rounding on the way from float64."""
    x, y, z = eg.vector(dtype="bfloat16"), eg.vector(dtype="float32"), eg.vector(dtype="float64")
    with np.errstate(all="ignore"):
        values = np.sort(np.abs(EVERY.astype("float64")[np.isfinite(EVERY.astype("float64"))]))
    middle = (values[1:] + values[:-1]) / 2
    border = np.concatenate([middle, np.nextafter(middle, 0), np.nextafter(middle, np.inf), [1e300, np.inf]])
    border = np.concatenate([border, -border])
    f = eg.compile([x, y, z], [eg.cast(x, "float32"), eg.cast(y, "bfloat16"), eg.cast(z, "bfloat16"), eg.cast(x, "float16")], **way)
    with np.errstate(all="ignore"):
        single = border.astype("float32")
        wanted = [EVERY.astype("float32"), single.astype(BFLOAT), rounded_once(border), EVERY.astype("float32").astype("float16")]
        for got, want in zip(f(EVERY, single, border), wanted):
            same(got, want)


@every_way
@pytest.mark.parametrize("dtype", [*INTS, *FLOATS, "bool", "bfloat16"])
def test_casts_to_and_from_every_dtype(dtype, way):
    x, back = eg.vector(dtype=dtype), eg.vector(dtype="bfloat16")
    values = np.array([0, 1, 100, 127]).astype(dtype)
    f = eg.compile([x, back], [eg.cast(x, "bfloat16"), eg.cast(back, dtype)], **way)
    there, here = f(values, values.astype(BFLOAT))
    same(there, values.astype(BFLOAT))
    same(here, values)


GRAPHS = {
    "arithmetic": lambda x: x * 2 - eg.exp(x) / 3, "sum": lambda x: x.sum(0), "mean": lambda x: x.mean(), "max": lambda x: x.max(1),
    "argmax": lambda x: eg.argmax(x, axis=0), "views": lambda x: x.T[::2, ::-1], "joined": lambda x: eg.concatenate([x, x + 1], axis=1),
    "stored": lambda x: eg.concatenate([x, x], axis=1), "gather": lambda x: x[np.array([2, 0, 2])], "product": lambda x: x @ x.T,
    "with float32": lambda x: x + np.ones(5, "float32"), "cumsum": lambda x: eg.cumsum(x, 1),
    "constant": lambda x: x * eg.constant(0.1, dtype="bfloat16"),
    "placed": lambda x: eg.grad((x[1:] ** 2).sum(), x), "choice": lambda x: eg.where(x > 0, x, 0), "number": lambda x: eg.nan_to_num(x / 0)}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_agree_between_backends(name):
    """To the last place: all compute in float32 and round once."""
    x = eg.matrix("x", dtype="bfloat16")
    out = GRAPHS[name](x)
    for array in (a.astype(BFLOAT) for a in (np.random.default_rng(1).standard_normal((6, 5)), np.arange(30.0).reshape(5, 6).T)):
        want, = evaluate([out], {x.node: array})
        results = [eg.compile([x], out, **way)(array) for way in WAYS]
        results += [interpret(eg.Graph((x,), (out,)), [x.node], [np.ascontiguousarray(array)], target)[0] for target in (CPU, GPU)]
        for got in results:
            assert got.dtype == want.dtype and got.shape == want.shape
            np.testing.assert_allclose(got.astype("float64"), want.astype("float64"), rtol=2 ** -7, atol=2 ** -7)


@every_way
def test_updates_views_and_what_symbols_take(way):
    w, x = eg.shared(np.ones(4, BFLOAT), name="w"), eg.vector("x", dtype="bfloat16")
    f = eg.compile([x], (w * x).sum(), updates={w: w + x}, **way)
    for _ in range(3):
        f(np.arange(8.0).astype(BFLOAT)[::2])
    assert w.get_value().dtype == BFLOAT
    np.testing.assert_array_equal(w.get_value().astype("float32"), 1 + 3 * np.arange(0, 8, 2))
    before = w.get_value().astype("float32")
    assert f([1, 2.5, 3, 4]) == np.float32(np.dot(before, [1, 2.5, 3, 4])).astype(BFLOAT)
    with pytest.raises(eg.CallError, match="bfloat16.*cast it with"):
        f(np.ones(4, "float32"))
    y = eg.vector("y")
    np.testing.assert_array_equal(eg.compile([y], y * 1, **way)(np.ones(3, BFLOAT)), np.ones(3, "float32"))


@pytest.mark.parametrize(("other", "result"), [
    ("bfloat16", "bfloat16"), ("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int64", "bfloat16"),
    ("complex64", "complex64")])
def test_promotion(other, result):
    assert (eg.vector(dtype="bfloat16") + eg.vector(dtype=other)).dtype == result
    assert (eg.vector(dtype="bfloat16") * 1.5).dtype == "bfloat16" and (eg.vector(dtype="bfloat16") * 1j).dtype == "complex64"


def test_without_ml_dtypes_the_error_names_the_command(monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(eg.DTypeError, match=r'needs the package ml_dtypes: pip install "exprgraph\[bfloat16\]"\n  at .*test_bfloat16'):
        eg.vector(dtype="bfloat16")


def test_ml_dtypes_is_not_loaded_before_it_is_asked_for():
    import subprocess
    import sys
    code = "import sys, exprgraph; exprgraph.vector(dtype='float16') + 1; assert 'ml_dtypes' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
