"""Numerical faults (rows A1 to A30): every row through compile(), on NumPy and on PoCL under both schedules."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import exprgraph as eg
from tests.faults import WAYS, both, run, same

F, D, I32, I64, U8 = np.float32, np.float64, np.int32, np.int64, np.uint8
NAN, INF = float("nan"), float("inf")
ODD = np.array([NAN, INF, -INF, -1, 0.0, -0.0, 1e-40], F)
LIMITS = np.array([-2**31, -2**31 + 1, -1, 0, 1, 2**31 - 1], I32)
WIDE = np.array([-2**63, -1, 0, 1, 2**63 - 1], I64)
LEFT, RIGHT = (a.ravel() for a in np.meshgrid(LIMITS, LIMITS))
FLOATS, BY = (a.ravel() for a in np.meshgrid(np.array([7, -7, 0.0, -0.0, INF, -INF, NAN, 2.5], F), np.array([3, -3, 0.5, INF, -INF], F)))
P, Q = (a.ravel() for a in np.meshgrid(np.array([NAN, 1, 2, INF, -INF], F), np.array([NAN, 1, 2, INF], F)))
TIES = np.array([[1, NAN, 3, NAN], [2, 5, 5, 1], [-INF, -INF, -INF, -INF]], F)
SUMS = np.array([100, 100, 100], np.int8)

CASES = {  # the same expression in both languages, and its arguments
    "A1 times 0": (lambda m, x: [x * 0, 0 * x, x * m.zeros_like(x)], [ODD]),
    "A2 minus itself": (lambda m, x: [x - x, x / x, 0 / x], [ODD]),
    "A3 log of exp": (lambda m, x, y: [m.log(m.exp(x)) * 0 + m.exp(x), m.exp(y) * 2], [np.array([800.0]), np.array([89], F)]),
    "A4 root of square": (lambda m, x, y: [m.sqrt(x * x), m.exp(x * 0 + 1000) * m.exp(y)], [np.array([1e200]), np.array([-1000.0])]),
    "A6 signed zeros": (lambda m, x: [x + 0, x * 1, -(x * -1), x - 0, 0 + x, 1 * x, x / 1, 0 - x], [ODD]),
    "A7 no contraction": (lambda m, a, b: a * b - (a + 0) * (b * 1), [np.full(999, 1.1, F), np.linspace(1, 3, 999, dtype=F)]),
    "A8 as written": (lambda m, a, b: [(a + b) - a, a + (b - a)], [np.array([1e17]), np.array([1.0])]),
    "A9 denormals": (lambda m, x: [x * 1, x + x, -x, x / 2], [np.array([1e-40, 3e-45, -1e-39], F)]),
    "A11 accumulators": (lambda m, a, b, c: [a.sum(), b.sum(), c.sum(), a.prod(), -c, c - m.flip(c, 0)],
                         [SUMS, np.ones(300, bool), np.arange(250, 256, dtype=U8)]),
    "A12 wrap": (lambda m, a, b: [a + b, a - b, a * b, -a, abs(a), a + 1 > a], [LEFT, RIGHT]),
    "A12 wrap of int64": (lambda m, a: [a + 1, a * a, -a, abs(a), a - 2], [WIDE]),
    "A13 zero divisors": (lambda m, a, b: [a // b, a % b], [LEFT, RIGHT]),
    "A13 of int64": (lambda m, a: [a // -1, a % -1, a // 0 * 1, a % 0], [WIDE]),
    "A14 floor": (lambda m, a, b: [a // b, a % b], [np.array([-7, 7, 7, -7], I64), np.array([3, -3, 3, -3], I64)]),
    "A14 floor of floats": (lambda m, a, b: [m.floor_divide(a, b), m.remainder(a, b)], [FLOATS, BY]),
    "A15 shifts": (lambda m, a, n: [a << n, a >> n], [np.array([1, -1, 5, -5] * 3, I32), np.repeat(np.array([31, 32, 100], I32), 4)]),
    "A15 shifts of uint8": (lambda m, a, n: [a << n, a >> n], [np.array([1, 255, 255], U8), np.array([7, 8, 200], U8)]),
    "A16 NaN in extremes": (lambda m, a, b: [m.maximum(a, b), m.minimum(a, b), m.clip(a, 0.5, 1.5), m.clip(a, b, 3)], [P, Q]),
    "A17 NaN and ties": (lambda m, x: [x.max(axis=1), x.min(axis=1), x.argmax(axis=1), x.argmin(axis=1), x.max(), x.argmax(),
                                         x.argmin(axis=0)],
                         [TIES]),
    "A18 rounding": (lambda m, x: [m.round(x), m.floor(x), m.ceil(x), m.trunc(x), m.sign(x)],
                     [np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e17, -0.0, NAN, INF, 0.49999997, 8388609], F)]),
    "A19 powers": (lambda m, x: [x ** 2, x * x, x ** 0], [np.array([0, -8, 1e30, NAN, INF, -INF, -0.0], F)]),
    "A19 power 0.5": (lambda m, x: m.power(x, 0.5 + m.zeros_like(x)), [np.array([4, -4, NAN, INF], F)]),
    "A19 power of 1": (lambda m, x, y: m.power(x, y), [np.array([1, 0, NAN, -8], F), np.array([NAN, 0, 0, 1 / 3], F)]),
    "A21 wide integers": (lambda m, a, b, c: [a.astype("float32"), b.astype("float64"), b.astype("float32"), c + a.astype("float32")],
                          [np.array([2**53 + 1, 2**24 + 1, -2**63], I64), np.array([2**63 + 1025, 2**64 - 1, 7], np.uint64),
                           np.ones(3, F)]),
    "A30 isnan": (lambda m, x: [m.isnan(x), m.isinf(x), m.isfinite(x), m.isnan(x - x), x == x, x != x], [ODD]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_as_numpy(case: str, way: str) -> None:
    """The value of NumPy, to the bit and to the sign of zero."""
    expression, values = CASES[case]
    both(way, expression, values)


SMALL, BIG = np.array([1e-20, -1e-20, 0]), np.array([800.0, -800, 40, -40])
CLOSE = {  # expression, arguments, the mathematical value, relative tolerance
    "A5 log of 1 + x": (lambda m, x: m.log(1 + x), [SMALL], [np.log1p(SMALL)], 1e-15),
    "A5 exp less 1": (lambda m, x: m.exp(x) - 1, [SMALL], [np.expm1(SMALL)], 1e-15),
    "A5 log of sigmoid": (lambda m, x: m.log(m.sigmoid(x)), [BIG], [-np.logaddexp(0, -BIG)], 1e-15),
    "A5 1 less sigmoid": (lambda m, x: 1 - m.sigmoid(x), [BIG], [np.exp(-np.logaddexp(0, BIG))], 1e-14),
    "A5 log of softmax": (lambda m, x: m.log(m.softmax(x)), [BIG], [BIG - 800], 1e-15),
    "A9 exp to a denormal": (lambda m, x: m.exp(x), [np.array([-100], F)], [np.array([3.78e-44])], 0.1),
    "A22 huge arguments": (lambda m, x: [m.sin(x), m.tan(x[1:])], [np.array([1e22, np.pi / 2])],
                           [np.array([-0.8522008497671888, 1.0]), np.array([1.633123935319537e16])], 1e-14),
    "A22 erf": (lambda m, x: [m.erf(x), m.erfc(x)], [np.array([1e-20, 0.5, 6, -6])],
                [np.array([1.1283791670955126e-20, 0.5204998778130465, 1, -1]),
                 np.array([1.0, 0.4795001221869535, 2.1519736712498913e-17, 2.0])], 1e-13),
    "A27 softmax of infinite rows": (lambda m, x: [m.softmax(x, axis=1), m.logsumexp(x, axis=1)],
                                     [np.array([[-INF] * 3, [INF, 0, 0], [1, 1, 1]])],
                                     [np.array([[NAN] * 3, [NAN] * 3, [1 / 3] * 3]), np.array([-INF, INF, 1 + np.log(3)])], 1e-15),
    "A27 softmax of one": (lambda m, x: m.softmax(x, axis=1), [np.array([[5.0], [-900], [0]])], [np.ones((3, 1))], 1e-15),
    "A27 softmax of none": (lambda m, x: m.softmax(x, axis=1), [np.zeros((3, 0))], [np.zeros((3, 0))], 1e-15),
    "A28 of nothing": (lambda m, x: [x.sum(), x.prod(), x.mean(), x.any(), x.all()], [np.zeros(0, F)], [0, 1, NAN, False, True], 1e-15),
    "A11 mean of large integers": (lambda m, x: x.mean(), [np.full(1000, 2**40 + 1)], [F(2**40 + 1)], 1e-6),
    "A19 power 0.5 is no root": (lambda m, x: [x ** 0.5, m.sqrt(x)], [np.array([-INF, -0.0])], [[INF, 0.0], [NAN, -0.0]], 0.0),
    "A7 variance of a constant": (lambda m, x: [x.var(), x.std()], [np.full(512, 0.75, F)], [0.0, 0.0], 0.0),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CLOSE)
def test_of_the_mathematics(case: str, way: str) -> None:
    """The value of the mathematics where it is finite, within a few units of the last place."""
    expression, values, wanted, rtol = CLOSE[case]
    same(run(way, expression, values), wanted, rtol)


CONSTANTS = [INF, -INF, NAN, 1e400, 5e-324, 0.1, -0.0, 1e300, 2.2250738585072014e-308]


@pytest.mark.parametrize("way", WAYS)
def test_A23_constants(way: str) -> None:
    """Constants keep every bit on their way into a kernel, whatever their dtype."""
    x = np.ones(2)
    arrays = [*(D(c) for c in CONSTANTS), F(0.1), F(1e-45), F(3.4028235e38), I64(-2**63), I64(2**63 - 1), np.uint64(2**64 - 1), np.True_,
              np.int8(-128), U8(255), I32(-2**31)]
    made = run(way, lambda m, x: [m.full_like(x, m.constant(a, dtype=a.dtype.name), dtype=a.dtype.name) for a in arrays], [x])
    same(made, [np.full(2, a) for a in arrays])
    weak = run(way, lambda m, x: [m.where(x > 0, c, x) for c in CONSTANTS], [x])
    same(weak, [np.full(2, c) for c in CONSTANTS])


ODD_CASTS = np.array([NAN, INF, -INF, 3e9, -3e9, -2.9, 300.7, 1e20], F)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64", "bool"])
def test_A20_casts_out_of_range_are_the_same_on_every_device(dtype: str) -> None:
    """What does not fit is cast to the same integer by the kernels as by the NumPy backend."""
    oracle, *others = [run(way, lambda m, x: x.astype(dtype), [ODD_CASTS]) for way in WAYS]
    for other in others:
        same(other, oracle)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [lambda x: x.max(), lambda x: x.argmax(), lambda x: x.min(), lambda x: x.argmin()])
def test_A28_extremes_of_nothing(make, way: str) -> None:
    """No value, no answer: an error before anything runs, and the function stays usable."""
    x = eg.vector("x")
    f = eg.compile([x], make(x), **WAYS[way])
    with pytest.raises(ValueError, match="empty"):
        f(np.zeros(0, F))
    f(np.ones(3, F))


def test_A24_rules_come_to_rest() -> None:
    """5,000 nodes that many rules would like to change: no warning, and the value as it was."""
    x = eg.vector("x", dtype="float64")
    y = x
    for k in range(700):
        y = [lambda v: -(eg.neg(v)), lambda v: v * 2 + v * 2, lambda v: eg.log(eg.exp(v * 0.01)), lambda v: (v + 1) - 1,
             lambda v: 0.5 * v * 1, lambda v: eg.exp(eg.log(abs(v) + 1)), lambda v: -(v - x)][k % 7](y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f, plain = (eg.compile([x], y, device="numpy", optimizer=o) for o in ("full", "none"))
    v = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(f(v), plain(v), rtol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_A3_A4_real_rules_give_the_mathematical_value(way: str) -> None:
    """Where the setting is on, and only there, logarithms of exponentials and roots of squares are finite."""
    def forms(m, x, y):
        return [m.log(m.exp(x)), m.sqrt(m.sqr(y)), m.exp(x) * m.exp(-x)]
    values = [np.array([800.0]), np.array([-1e200])]
    same(run(way, forms, values), [[INF], [INF], [NAN]])
    with eg.change_flags(optimizer="unsafe"):
        same(run(way, forms, values), [[800.0], [1e200], [1.0]])


@pytest.mark.parametrize("way", WAYS)
def test_A25_updates_see_old_values(way: str) -> None:
    """Two shared variables change places; both read what was there before the call."""
    a, b = eg.shared(np.arange(3.0), "a"), eg.shared(np.full(3, 7.0), "b")
    f = eg.compile([], [a + b], updates={a: b + 0, b: a * 2}, **WAYS[way])
    for _ in range(2):
        old = a.get_value(), b.get_value()
        same(f(), [old[0] + old[1]])
        same([a.get_value(), b.get_value()], [old[1], old[0] * 2])


@pytest.mark.parametrize("way", WAYS)
def test_A26_an_untaken_division(way: str) -> None:
    """Where the condition is false, a division by zero leaves no trace."""
    values = [np.array([1, 2, -3], F), np.array([0, 4, 0], F)]
    same(run(way, lambda m, a, b: m.switch(m.neq(b, 0), a / b, 0), values), [np.array([0, 0.5, 0], F)])


@pytest.mark.parametrize("way", ["cpu", "gpu"])
def test_A10_a_long_sum(way: str) -> None:
    """2^22 times 0.1 in float32: as near as NumPy's pairwise sum."""
    got, = run(way, lambda m, x: x.sum(), [np.full(2**22, 0.1, F)])
    assert abs(got / (2**22 * D(F(0.1))) - 1) <= 2e-6
