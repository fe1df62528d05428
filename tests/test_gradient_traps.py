"""Gradient traps: points at which a gradient has no value, or two, or a wrong one by the plain chain rule, and what it is here.

docs/derivatives.md says which conventions these are.  Each expression is summed to a cost; the values are those of a compiled function.
"""
from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import exprgraph as eg
from tests.faults import WAYS

NAN, INF = float("nan"), float("inf")
TRAPS = {  # an expression, the point, and the gradient with respect to each argument there
    "where, the dead branch is log": (lambda x: eg.where(x > 0, eg.log(x), 0), [[-1, 0, 2]], [[0, 0, 0.5]]),
    "where, the dead branch is sqrt": (lambda x: eg.where(x > 0, eg.sqrt(x), 0), [[-1, 0, 4]], [[0, 0, 0.25]]),
    "where, the dead branch divides by 0": (lambda x: eg.where(x != 0, 1 / x, 0), [[0, 2]], [[0, -0.25]]),
    "where within where": (lambda x: eg.where(x > 0, eg.log(eg.where(x > 0, x, 1)), 0), [[-1, 0, 2]], [[0, 0, 0.5]]),
    "x log x at 0": (lambda x: eg.where(x > 0, x * eg.log(x), 0), [[0, 1]], [[0, 1]]),
    "where, the dead branch is a power": (lambda x: eg.where(x > 0, x ** 0.5, 0), [[0, 4]], [[0, 0.25]]),
    "where, the dead branch overflows": (lambda x: eg.where(x < 100, eg.exp(x), 0), [[1000, 0]], [[0, 1]]),
    "norm at 0": (lambda x: eg.norm(x), [[0, 0]], [[0, 0]]),
    "norm(2) at 0": (lambda x: x.norm(2), [[0, 0]], [[0, 0]]),
    "norm of a row of zeros": (lambda x: x.norm(2, axis=1), [[[0, 0], [3, 4]]], [[[0, 0], [0.6, 0.8]]]),
    "sqrt of a sum of squares at 0, not a norm": (lambda x: eg.sqrt((x ** 2).sum()), [[0, 0]], [[NAN, NAN]]),
    "sqrt at 0": (eg.sqrt, [[0, 4]], [[INF, 0.25]]),
    "log at 0": (eg.log, [[0, 2]], [[INF, 0.5]]),
    "x**0": (lambda x: x ** 0, [[0, 2]], [[0, 0]]),
    "x**0.0": (lambda x: x ** 0.0, [[0, 2]], [[0, 0]]),
    "power, every edge": (lambda x, y: x ** y,
        [[0, 0, 0, 2, -2, -2], [2, 0, -1, 0, 2, 0]], [[0, 0, -INF, 0, -4, 0], [0, 0, 0, np.log(2), NAN, NAN]]),
    "0**x": (lambda x: 0.0 ** x, [[0, 1, -1]], [[0, 0, 0]]),
    "x**1": (lambda x: x ** 1, [[0]], [[1]]),
    "x**2": (lambda x: x ** 2, [[0]], [[0]]),
    "x**0.5": (lambda x: x ** 0.5, [[0]], [[INF]]),
    "x**-1": (lambda x: x ** -1, [[0]], [[-INF]]),
    "x**3": (lambda x: x ** 3, [[0, -2]], [[0, 12]]),
    "maximum, tie": (eg.maximum, [[1, 2], [1, 0]], [[0.5, 1], [0.5, 0]]),
    "minimum, tie": (eg.minimum, [[1, 2], [1, 0]], [[0.5, 0], [0.5, 1]]),
    "maximum of a tensor and itself": (lambda x: eg.maximum(x, x), [[1]], [[1]]),
    "max, ties": (lambda x: x.max(), [[1, 3, 3, 3]], [[0, 1 / 3, 1 / 3, 1 / 3]]),
    "max of rows, tie": (lambda x: x.max(axis=1), [[[1, 1], [2, 1]]], [[[0.5, 0.5], [1, 0]]]),
    "min, ties": (lambda x: x.min(), [[1, 1, 3]], [[0.5, 0.5, 0]]),
    "maximum with NaN": (eg.maximum, [[NAN, 1, NAN], [1, NAN, NAN]], [[0, 0, 0], [0, 0, 0]]),
    "max with NaN": (lambda x: x.max(), [[1, NAN, 3]], [[NAN, NAN, NAN]]),
    "fmax with NaN and tie": (eg.fmax, [[NAN, 1, 1], [1, NAN, 1]], [[0, 1, 0.5], [1, 0, 0.5]]),
    "clip at the edges": (lambda x: eg.clip(x, 0, 1), [[-1, 0, 0.5, 1, 2]], [[0, 0.5, 1, 0.5, 0]]),
    "clip, with respect to bounds": (lambda x, a, b: eg.clip(x, a, b), [[-1, 0, 0.5, 1, 2], 0, 1], [[0, 0.5, 1, 0.5, 0], 1.5, 1.5]),
    "clip, bounds crossed": (lambda x: eg.clip(x, 1, 0), [[-1, 0.5, 2]], [[0, 0, 0]]),
    "relu at 0": (eg.relu, [[-1, 0, 1]], [[0, 0, 1]]),
    "abs at 0": (eg.abs, [[-1, 0, 1, -0.0]], [[-1, 0, 1, 0]]),
    "leaky_relu at 0": (lambda x: eg.leaky_relu(x, 0.1), [[-1, 0, 1]], [[0.1, 0.1, 1]]),
    "elu at 0 and far out": (eg.elu, [[-1000, 0, 1]], [[0, 1, 1]]),
    "sign": (eg.sign, [[0, 1]], [[0, 0]]),
    "floor": (eg.floor, [[0.5]], [[0]]),
    "prod, one zero": (lambda x: x.prod(), [[2, 0, 3]], [[0, 6, 0]]),
    "prod, two zeros": (lambda x: x.prod(), [[0, 0, 3]], [[0, 0, 0]]),
    "cumprod, two zeros": (lambda x: eg.cumprod(x), [[2, 0, 3, 0, 5]], [[1, 8, 0, 0, 0]]),
    "cumprod, last element, one zero": (lambda x: eg.cumprod(x)[-1], [[2, 0, 3]], [[0, 6, 0]]),
    "gather, duplicates": (lambda x: x[[0, 2, 2, 0, -1]], [[1, 2, 3]], [[2, 0, 3]]),
    "take, from the end": (lambda x: x.take(-1), [[1, 2, 3]], [[0, 0, 1]]),
    "set, then read": (lambda x: x[1].set(5.0) * x, [[1, 2, 3]], [[2, 5, 6]]),
    "set to another element": (lambda x: x[0].set(x[1]) ** 2, [[1, 2, 3]], [[0, 8, 6]]),
    "set, duplicates: the last wins": (lambda x, v: x[[0, 0]].set(v), [[1, 2], [5, 7]], [[0, 1], [0, 1]]),
    "inc, duplicates": (lambda x, v: x[[0, 0]].inc(v), [[1, 2], [5, 7]], [[1, 1], [1, 1]]),
    "var of one element": (lambda x: x.var(), [[3]], [[0]]),
    "std of equal elements": (lambda x: x.std(), [[3, 3]], [[0, 0]]),
    "std of one element": (lambda x: x.std(), [[3]], [[0]]),
    "logsumexp with -inf": (lambda x: eg.logsumexp(x), [[-INF, 0, 1]], [[0, 0.26894142137, 0.73105857863]]),
    "logsumexp of -inf alone": (lambda x: eg.logsumexp(x), [[-INF, -INF]], [[NAN, NAN]]),
    "logsumexp with inf": (lambda x: eg.logsumexp(x), [[INF, 0]], [[NAN, 0]]),
    "logsumexp, large": (lambda x: eg.logsumexp(x), [[10000, 0, 10000]], [[0.5, 0, 0.5]]),
    "softmax, large": (lambda x: eg.softmax(x)[0], [[10000, 0]], [[0, -0.0]]),
    "softmax with -inf": (lambda x: eg.softmax(x)[0], [[-INF, 0, 0]], [[0, 0, 0]]),
    "log_softmax, large": (lambda x: eg.log_softmax(x)[1], [[10000, 0]], [[-1, 1]]),
    "log of softmax, large": (lambda x: eg.log(eg.softmax(x))[1], [[10000, 0]], [[-1, 1]]),
    "sort, ties": (lambda x: eg.sort(x) * np.array([1.0, 2, 3]), [[3, 1, 1]], [[3, 1, 2]]),
    "topk, ties": (lambda x: eg.topk(x, 2), [[3, 3, 3]], [[1, 1, 0]]),
    "median of four": (lambda x: eg.median(x), [[1, 2, 3, 7]], [[0, 0.5, 0.5, 0]]),
    "sigmoid far out": (eg.sigmoid, [[-1000, 0, 1000]], [[0, 0.25, 0]]),
    "log of sigmoid far out": (lambda x: eg.log(eg.sigmoid(x)), [[-1000, 0, 1000]], [[1, 0.5, 0]]),
    "softplus far out": (eg.softplus, [[-1000, 0, 1000]], [[0, 0.5, 1]]),
    "tanh far out": (eg.tanh, [[-1000, 0, 1000]], [[0, 1, 0]]),
    "arctan2 at the origin": (eg.arctan2, [[0, 0, 1], [0, 1, 0]], [[NAN, 1, 0], [NAN, 0, -1]]),
    "hypot at the origin": (eg.hypot, [[0, 3], [0, 4]], [[0, 0.6], [0, 0.8]]),
    "log1p": (eg.log1p, [[-1, 0]], [[INF, 1]]),
    "arccos": (eg.arccos, [[1, -1]], [[-INF, -INF]]),
    "arcsin": (eg.arcsin, [[1]], [[INF]]),
    "arccosh": (eg.arccosh, [[1]], [[INF]]),
    "1/x": (lambda x: 1 / x, [[0, 2]], [[-INF, -0.25]]),
    "x/x": (lambda x: x / x, [[0, 2]], [[NAN, 0]]),
    "mod, and by 0": (lambda x, y: x % y, [[4, -4, 5], [2, 3, 0]], [[1, 1, 1], [-2, 2, -INF]]),
    "logaddexp with infinities": (eg.logaddexp, [[-INF, 0, INF, -INF], [-INF, 0, INF, 1]], [[0.5, 0.5, 0.5, 0], [0.5, 0.5, 0.5, 1]]),
    "0*x": (lambda x: 0 * x, [[INF, 1]], [[0, 0]]),
    "x-x": (lambda x: x - x, [[INF]], [[0]]),
    "cummax, ties: the first": (lambda x: eg.cummax(x), [[1, 1, 2, 2]], [[2, 0, 2, 0]]),
    "mean of nothing": (lambda x: x.mean(), [np.zeros(0)], [np.zeros(0)]),
    "sum of nothing": (lambda x: x.sum(), [np.zeros(0)], [np.zeros(0)]),
    "prod of nothing": (lambda x: x.prod(), [np.zeros(0)], [np.zeros(0)]),
    "scalar times nothing": (lambda x, y: x * y, [2, np.zeros(0)], [0, np.zeros(0)]),
    "sum over no rows": (lambda x: x.sum(axis=0), [np.zeros((0, 3))], [np.zeros((0, 3))]),
    "softmax over no rows": (lambda x: eg.softmax(x, axis=0), [np.zeros((0, 3))], [np.zeros((0, 3))]),
    "(3, 1) and (1, 4)": (lambda x, y: x + y, [[[0], [0], [0]], [[0, 0, 0, 0]]], [[[4], [4], [4]], [[3, 3, 3, 3]]]),
    "exp overflows": (eg.exp, [[1000]], [[INF]]),
    "sinc": (eg.sinc, [[0, 1]], [[0, -1]]),
    "heaviside": (lambda x: eg.heaviside(x, 0.5), [[0, 1]], [[0, 0]]),
    "round": (lambda x: eg.round_half_to_even(x), [[0.5]], [[0]]),
    "trunc": (eg.trunc, [[0.5]], [[0]]),
    "ceil": (eg.ceil, [[0.5]], [[0]]),
    "product over nothing": (lambda a, b: a @ b, [np.zeros((2, 0)), np.zeros((0, 3))], [np.zeros((2, 0)), np.zeros((0, 3))]),
    "nansum": (eg.nansum, [[NAN, 1]], [[0, 1]]),
    "nanmax": (eg.nanmax, [[NAN, 1]], [[0, 1]]),
    "nan_to_num": (eg.nan_to_num, [[NAN, INF, 1]], [[0, 0, 1]]),
    "sqrt of a square at 0": (lambda x: eg.sqrt(x * x), [[0, -2]], [[NAN, -1]]),
    "power of abs at 0": (lambda x: eg.abs(x) ** 1.5, [[0]], [[0]]),
    "log of exp, far out": (lambda x: eg.log(eg.exp(x)), [[1000, -1000]], [[1, 1]]),
    "exp of log at 0": (lambda x: eg.exp(eg.log(x)), [[0, 2]], [[NAN, 1]]),
    "erf": (eg.erf, [[0, 100]], [[2 / np.sqrt(np.pi), 0]]),
    "interp": (lambda x: eg.interp(x, [0.0, 1, 2], [0.0, 1, 0]), [[-1, 0, 1, 3]], [[0, 1, -1, 0]]),
    "where of a tensor and itself": (lambda x: eg.switch(x > 0, x, x), [[0, 1]], [[1, 1]]),
    "ptp, tie": (lambda x: eg.ptp(x), [[1, 1]], [[0, 0]]),
    "a hole filled by a constant": (lambda x: eg.where(eg.eq(x, 0), 1, eg.expm1(x) / x), [[0, 1]], [[0, 1]]),
    "norm(1) at 0": (lambda x: x.norm(1), [[0, -2]], [[0, -1]]),
    "norm(inf), tie": (lambda x: x.norm(np.inf), [[2, -2]], [[0.5, -0.5]]),
    "int_div": (lambda x: x // 2, [[3]], [[0]]),
    "divmod": (lambda x: eg.divmod(x, 2)[1], [[3]], [[1]]),
}
SORTING = ("sort, ties", "topk, ties", "median of four")
"""On GPUs these are many kernels, and their gradients gathers and scatters that other traps try out."""
NAMES = {way: [name for name in TRAPS if way != "gpu" or name not in SORTING] for way in WAYS}
TOGETHER = 12
"""So many traps are compiled as one function, since a driver takes longest to start."""


@cache
def computed(way: str, part: int) -> list[list[np.ndarray]]:
    """The gradients of some traps."""
    inputs, outputs, values = [], [], []
    chosen = NAMES[way][part * TOGETHER:(part + 1) * TOGETHER]
    for name in chosen:
        function, point, _ = TRAPS[name]
        own = [eg.tensor(f"{name} {k}", "float64", (None,) * np.ndim(p)) for k, p in enumerate(point)]
        outputs.append(eg.grad(function(*own).sum(), own))
        inputs += own
        values += [np.asarray(p, "float64") for p in point]
    f = eg.compile(inputs, [g for group in outputs for g in group], on_unused_input="ignore", **WAYS[way])
    found = iter(f(*values))
    return [[next(found) for _ in group] for group in outputs]


@pytest.mark.parametrize(("way", "trap"), [(way, trap) for way, names in NAMES.items() for trap in names])
def test_traps(trap: str, way: str) -> None:
    number = NAMES[way].index(trap)
    got = computed(way, number // TOGETHER)[number % TOGETHER]
    for g, wanted, x in zip(got, TRAPS[trap][2], TRAPS[trap][1], strict=True):
        assert g.shape == np.shape(x) and g.dtype == np.float64
        np.testing.assert_allclose(g, wanted, rtol=1e-9, atol=1e-12)


def test_there_are_enough() -> None:
    assert len(TRAPS) >= 90


COMPLEX = {  # a real function of complex numbers, the point, and dC/dx + i dC/dy there
    "abs at 0": (lambda z: eg.abs(z), [0, 3 - 4j], [0, 0.6 - 0.8j]), "square of abs at 0": (lambda z: eg.abs(z) ** 2, [0, 1j], [0, 2j]),
    "real": (eg.real, [0, 1j], [1, 1]), "imag": (eg.imag, [0, 1j], [1j, 1j]), "angle": (eg.angle, [2, 2j], [0.5j, -0.5]),
    "z times its conjugate": (lambda z: eg.real(z * eg.conj(z)), [0, 1 + 2j], [0, 2 + 4j]),
    "prod with a zero": (lambda z: eg.real(z.prod()), [0, 1 - 1j, 2], [2 + 2j, 0, 0]),
    "where, the dead branch": (lambda z: eg.where(eg.abs(z) > 0, eg.abs(z), 0), [0, 2j], [0, 1j])}


@pytest.mark.parametrize("way", WAYS)
def test_complex_traps(way: str) -> None:
    inputs = [eg.zvector(f"z{k}") for k in range(len(COMPLEX))]
    outputs = [eg.grad(function(z).sum(), z) for (function, _, _), z in zip(COMPLEX.values(), inputs)]
    for name, got in zip(COMPLEX, eg.compile(inputs, outputs, on_unused_input="ignore", **WAYS[way])(
            *[np.array(point, "complex128") for _, point, _ in COMPLEX.values()])):
        np.testing.assert_allclose(got, COMPLEX[name][2], rtol=1e-12, atol=1e-14, err_msg=name)
