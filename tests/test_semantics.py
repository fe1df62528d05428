"""The tables of DESIGN 4.9 and 4.10: NaN, integer division, casts and promotion, on every backend and schedule."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg

NAN, INF = float("nan"), float("inf")
I32, I64 = np.iinfo("int32"), np.iinfo("int64")
WAYS = {"numpy": {"device": "numpy"}, "cpu": {"device": "pocl", "schedule": "cpu"}, "gpu": {"device": "pocl", "schedule": "gpu"}}


def f32(*values: float) -> np.ndarray:
    """A float32 vector."""
    return np.array(values, "float32")


VALUES = {
    "max keeps NaN on the left": (eg.maximum, [f32(NAN, 1, NAN), f32(1, NAN, NAN)], f32(NAN, NAN, NAN)),
    "min keeps NaN": (eg.minimum, [f32(NAN, 1, -INF), f32(1, NAN, 0)], f32(NAN, NAN, -INF)),
    "relu keeps NaN": (eg.relu, [f32(NAN, -1, 0, 2, -0.0)], f32(NAN, 0, 0, 2, 0)),
    "clip keeps NaN": (lambda x: eg.clip(x, -1, 1), [f32(NAN, -INF, INF, 0.5)], f32(NAN, -1, 1, 0.5)),
    "max of a row with NaN": (lambda x: x.max(), [f32(1, NAN, 3)], np.float32(NAN)),
    "argmax finds the first NaN": (lambda x: x.argmax(), [f32(1, NAN, 3, NAN)], np.int64(1)),
    "argmax finds the first maximum": (lambda x: x.argmax(), [f32(3, 1, 3)], np.int64(0)),
    "argmin finds the first NaN": (lambda x: x.argmin(), [f32(1, 0, NAN, -1)], np.int64(2)),
    "argmax of many": (lambda x: x.argmax(), [np.repeat(f32(0, 5, 0, 5), [70000, 1, 70000, 1])], np.int64(70000)),
    "floor division": (lambda a, b: a // b, [np.int32([-7, 7, -7, 7]), np.int32([3, -3, -3, 3])], np.int32([-3, -3, 2, 2])),
    "remainder has the sign of the divisor": (lambda a, b: a % b, [np.int32([-7, 7, -7]), np.int32([3, -3, -3])], np.int32([2, -2, -1])),
    "division by 0 gives 0": (lambda a, b: [a // b, a % b], [np.int32([5, -5, 0]), np.int32([0, 0, 0])], [np.int32([0] * 3)] * 2),
    "MIN // -1": (lambda a, b: [a // b, a % b], [np.int32([I32.min]), np.int32([-1])], [np.int32([I32.min]), np.int32([0])]),
    "MIN // -1 in int64": (lambda a, b: [a // b, a % b], [np.int64([I64.min]), np.int64([-1])], [np.int64([I64.min]), np.int64([0])]),
    "float floor division": (lambda a, b: [a // b, a % b], [f32(-7, 7, 1, 1), f32(3, -3, INF, 0)],
                             [f32(-3, -3, 0, INF), f32(2, -2, 1, NAN)]),
    "addition wraps": (lambda a: a + 1, [np.int32([I32.max])], np.int32([I32.min])),
    "abs of MIN": (eg.abs, [np.int32([I32.min])], np.int32([I32.min])),
    "unsigned minus wraps": (lambda a: -a, [np.uint8([1, 0])], np.uint8([255, 0])),
    "shifts beyond the width": (lambda a: [a << 40, a >> 40], [np.int32([1, -1])], [np.int32([0, 0]), np.int32([0, -1])]),
    "float to int towards zero": (lambda x: eg.cast(x, "int32"), [f32(-2.9, 2.9, NAN, 3e9)], np.int32([-2, 2, I32.min, I32.min])),
    "float to uint8": (lambda x: eg.cast(x, "uint8"), [f32(3.7, 255, 256)], np.uint8([3, 255, 0])),
    "int64 to int8 wraps": (lambda x: eg.cast(x, "int8"), [np.int64([130, -129])], np.int8([-126, 127])),
    "float to bool": (lambda x: eg.cast(x, "bool"), [f32(0, -0.0, NAN, 2)], np.array([False, False, True, True])),
    "equal products cancel": (lambda a, b: a * b - a * b, [f32(1 / 3, 1e20), f32(3, 1e20)], f32(0, NAN)),
    "a minus sign of zero stays": (lambda x: [x * 1, x - 0, eg.neg(eg.neg(x)), x + 0], [f32(-0.0)],
                                   [f32(-0.0), f32(-0.0), f32(-0.0), f32(0.0)]),
    "rounding is to even": (eg.round, [f32(0.5, 1.5, 2.5, -0.5)], f32(0, 2, 2, -0.0)),
    "sign of NaN and of -0": (eg.sign, [f32(NAN, -0.0, -3)], f32(NAN, 0, -1)),
    "0 ** 0 and 1 ** NaN": (lambda a, b: a ** b, [f32(0, 1, -8), f32(0, NAN, 1 / 3)], f32(1, 1, NAN)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", VALUES)
def test_values(case: str, way: str) -> None:
    make, given, wanted = VALUES[case]
    symbols = [eg.tensor(f"x{k}", g.dtype.name, (None,) * g.ndim) for k, g in enumerate(given)]
    got = eg.compile(symbols, make(*symbols), **WAYS[way])(*given)
    for g, w in zip(got if isinstance(wanted, list) else [got], wanted if isinstance(wanted, list) else [wanted]):
        assert g.dtype == w.dtype
        np.testing.assert_array_equal(g, w)
        if g.dtype.kind == "f" and not np.isnan(w).any():
            np.testing.assert_array_equal(np.signbit(g), np.signbit(w))


PROMOTED = [
    ("int32", "float32", "float32"), ("int64", "float32", "float32"), ("int64", "float64", "float64"), ("uint8", "int8", "int16"),
    ("uint32", "int32", "int64"), ("uint64", "int64", "float64"), ("bool", "int8", "int8"), ("bool", "bool", "bool"),
    ("float32", "float64", "float64"), ("int8", 1, "int8"), ("int8", 1.5, "float32"), ("float32", 1.5, "float32"),
    ("float64", 1, "float64"), ("bool", 1, "int64"), ("uint8", True, "uint8"), ("float32", np.float64(2), "float32"),
    ("int32", np.int64(2), "int64")]


@pytest.mark.parametrize("way", WAYS)
def test_promotion(way: str) -> None:
    symbols, outputs, values = [], [], []
    for left, right, wanted in PROMOTED:
        a = eg.vector(f"a{len(symbols)}", dtype=left)
        symbols.append(a)
        values.append(np.array([1, 0], left))
        b = right
        if isinstance(right, str):
            b = eg.vector(f"b{len(symbols)}", dtype=right)
            symbols.append(b)
            values.append(np.array([1, 1], right))
        outputs.append(a + b)
        assert outputs[-1].dtype == wanted, (left, right)
    for got, (_, _, wanted) in zip(eg.compile(symbols, outputs, **WAYS[way])(*values), PROMOTED):
        assert got.dtype == wanted


@pytest.mark.parametrize(("make", "dtype", "wanted"), [
    (lambda x: x / x, "int32", "float32"), (lambda x: x.mean(), "int32", "float32"), (lambda x: eg.exp(x), "int64", "float32"),
    (lambda x: x.sum(), "int8", "int64"), (lambda x: x.sum(), "uint8", "uint64"), (lambda x: x.sum(), "bool", "int64"),
    (lambda x: x.sum(), "float32", "float32"), (lambda x: x.prod(), "int32", "int64"), (lambda x: x.max(), "int8", "int8"),
    (lambda x: x.argmax(), "float32", "int64"), (lambda x: x // 2, "int32", "int32"), (lambda x: x > 0, "float64", "bool")])
def test_result_dtypes(make, dtype: str, wanted: str) -> None:
    assert make(eg.vector("x", dtype=dtype)).dtype == wanted


def test_floatX_decides_what_integers_divide_to() -> None:
    with eg.change_flags(floatX="float64"):
        assert (eg.ivector() / 2).dtype == eg.ivector().mean().dtype == eg.vector().dtype == "float64"
