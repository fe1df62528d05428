"""Faults of code generation (rows B2 to B20) and names from users (H1): size, depth, sharing, text, lengths, aliasing."""
from __future__ import annotations

import functools
import re
import time
import warnings

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate, requirements, uncertain
from codegen.target import Target
from runtime.device import choose
from tests.faults import WAYS, both, run, same

F = np.float32
LINE = np.linspace(-1, 1, 33, dtype=F)
LONG = 2000
"""Statements that one kernel may have at most."""


def chain(n: int, dtype: str = "float32") -> tuple[eg.Out, eg.Out]:
    """A symbol, and n elementwise operations one after the other."""
    x = eg.vector("x", dtype=dtype)
    steps = [lambda y: y + x, lambda y: y * 0.999, eg.sin, lambda y: y - x]
    return x, functools.reduce(lambda y, k: steps[k % 4](y), range(n), x)


def kernels(f: eg.Function) -> list[str]:
    """The texts of the kernels of a function."""
    return f.source().split("__kernel ")[1:]


@pytest.mark.parametrize(("n", "way"), [(2000, "cpu"), (1000, "gpu"), pytest.param(10_000, "cpu", marks=pytest.mark.campaign)])
def test_B2_a_long_chain_is_split(n: int, way: str) -> None:
    """Thousands of elementwise nodes become several kernels of bounded size, with the value of NumPy."""
    x, y = chain(n)
    f = eg.compile([x], y, **WAYS[way])
    np.testing.assert_allclose(f(LINE), eg.compile([x], y, device="numpy")(LINE), rtol=1e-6, atol=1e-7)  # last places differ
    assert len(kernels(f)) > 1 and max(k.count(";") for k in kernels(f)) < LONG


def test_B2_the_time_is_linear() -> None:
    """Four times the nodes take at most eight times as long (four, and room for a busy machine)."""
    def seconds(n: int) -> float:
        x, y = chain(n)
        start = time.process_time()
        eg.compile([x], y, device="pocl", schedule="cpu")
        return time.process_time() - start
    seconds(200)
    assert seconds(1200) < 8 * seconds(300)


def test_B2_many_values_that_are_read_again() -> None:
    """Hundreds of values that the backward pass reads again: no kernel writes more than its arguments may hold."""
    x = eg.vector("x")
    y = functools.reduce(lambda y, _: eg.sin(y), range(400), x)
    f = eg.compile([x], eg.grad(y.sum(), x), device="pocl")
    np.testing.assert_allclose(f(LINE), eg.compile([x], eg.grad(y.sum(), x), device="numpy")(LINE), rtol=1e-4)
    assert max(k.split("{")[0].count("*restrict") for k in kernels(f)) <= choose("pocl").target.argument_bytes // 16


def _many_inputs(n: int, way: str) -> None:
    inputs = [eg.vector(f"i{k}", dtype="float64") for k in range(n)]
    f = eg.compile(inputs, functools.reduce(lambda a, b: a + b, inputs), **WAYS[way])
    values = [np.full(5, float(k)) for k in range(n)]
    same([f(*values)], [np.full(5, n * (n - 1) / 2)])
    same([f(*values[:-1], np.zeros(1))], [np.full(5, (n - 1) * (n - 2) / 2)])
    for head in [k.split("{")[0] for k in kernels(f)]:
        assert 8 * head.count("*restrict") + 4 * len(re.findall(r"const int \w+", head)) <= 1024


@pytest.mark.parametrize("way", WAYS)
def test_B3_many_inputs(way: str) -> None:
    """More inputs than a kernel may have arguments: the sum is split, and an operand of length 1 still broadcasts."""
    _many_inputs(400, way)


@pytest.mark.campaign
@pytest.mark.parametrize("way", WAYS)
def test_B3_2000_inputs(way: str) -> None:
    """The same for 2,000 inputs."""
    _many_inputs(2000, way)


def _deep(n: int, way: str) -> None:
    x = eg.vector("x", dtype="float64")
    y = functools.reduce(lambda y, _: y + x, range(n), x)
    assert len(eg.pp(y)) < 100_000 and len(repr(y)) < 1000
    f, g = eg.compile([x], y, **WAYS[way]), eg.compile([x], eg.grad(y.sum(), x), **WAYS[way])
    same([f(np.arange(3.0)), g(np.arange(3.0))], [np.arange(3.0) * (n + 1), np.full(3, n + 1.0)])
    assert len(repr(f)) < 1000


@pytest.mark.parametrize("way", WAYS)
def test_B4_a_deep_chain(way: str) -> None:
    """A chain deeper than Python's stack is printed, differentiated, compiled and called."""
    _deep(4000, way)


@pytest.mark.campaign
@pytest.mark.parametrize("way", WAYS)
def test_B4_100_000_nodes(way: str) -> None:
    """The same for 100,000 nodes."""
    _deep(100_000, way)


@pytest.mark.parametrize("way", WAYS)
def test_B5_sharing(way: str) -> None:
    """60 doublings, 2^60 paths: everything is linear in the nodes."""
    x = eg.vector("x")
    y = functools.reduce(lambda y, _: y + y, range(60), x)
    assert len(eg.pp(y)) < 100_000
    f = eg.compile([x], [y, eg.grad(y.sum(), x)], **WAYS[way])
    same(f(LINE), [LINE * F(2) ** 60, np.full(33, F(2) ** 60)])


@pytest.mark.parametrize("way", ["cpu", "gpu"])
def test_B6_more_than_2_to_the_31_elements(way: str) -> None:
    """Indices of 64 bits where 32 do not suffice; the argument is one element seen 2^31 + 8 times."""
    x = eg.vector("x", dtype="int8")
    f = eg.compile([x], x[-3:] + x[:3], **WAYS[way])
    many = np.broadcast_to(np.int8(1), (2**31 + 8,))
    same([f(many)], [np.full(3, 2)])
    same([f(np.arange(5, dtype=np.int8))], [np.array([2, 4, 6])])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(2**40,), (2**32, 2**32), (2**62, 4)])
def test_B6_results_beyond_all_memory(shape: tuple[int, ...], way: str) -> None:
    """A size that no memory holds, or no integer, is refused before anything is computed."""
    n = [eg.scalar(f"n{k}", dtype="int64") for k in range(len(shape))]
    f = eg.compile(n, eg.zeros(n, "float64") + 1, **WAYS[way])
    with pytest.raises((MemoryError, ValueError)):
        f(*shape)
    same([f(*(2 for _ in shape))], [np.ones((2,) * len(shape))])


@pytest.mark.parametrize("way", ["cpu", "gpu"])
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 257, 10007])
def test_B7_B11_lengths(n: int, way: str) -> None:
    """Lengths around and beyond the size of a group: nothing is left out, nothing is counted twice."""
    x = np.arange(n, dtype=np.int64) % 7
    both(way, lambda m, x: [x + 1, x.sum(), x.max(), x.argmax(), m.stack([x, x]).sum(axis=1)], [x])


@pytest.mark.parametrize("way", WAYS)
def test_B11_reductions_over_odd_axes(way: str) -> None:
    """Axes of length 0 and 1, an axis that is broadcast, all axes of a 0-d array."""
    both(way, lambda m, a, b, s: [a.sum(axis=1), a.sum(axis=0), b.sum(axis=1), m.broadcast_to(b, (4, 5)).sum(axis=1), s.sum(), s.max(),
                                  (a.sum(axis=1) + b[:, 0]).sum(), a.prod(axis=1)],
         [np.zeros((4, 0)), np.arange(4.0)[:, None], np.array(3.0)])


NAMES = ["float", "kernel", "main", "x y", "a-b", "µ", "π", "__global", "v" * 300, "*/ {", "new\nline", "back\\\nslash", "??/", "nul\0",
         '#include "/etc/passwd"', "*/ ... /*", "#pragma unroll", "exp", "get_global_id", "k"]


def test_B9_H1_names_never_reach_a_kernel(built: list[str]) -> None:
    """Names of inputs, shared variables, results and the function: all are legal, none is in a text that is compiled."""
    for number, name in enumerate(NAMES):
        x, w = eg.vector(name), eg.shared(np.arange(3, dtype=F), name=name)
        y = (x + w + 40 + number % 7).sum() * w
        y.name = name
        f = eg.compile([x], y, updates={w: w + 1}, name=name, device="pocl")
        f.why(), f.source(), repr(f), eg.pp(y)
        same([f(np.ones(3, F))], [(np.ones(3, F) + np.arange(3) + 40 + number % 7).sum() * np.arange(3)])
    words = [n for n in NAMES if n not in ("float", "k", "__global", "kernel", "get_global_id", "exp")]
    assert 7 <= len(built) < len(NAMES)  # where names made a difference each would have texts of its own
    assert not [(n, t) for n in words for t in built if n in t]
    assert all(t.isascii() and "test_faults" not in t for t in built)


@pytest.mark.parametrize("way", WAYS)
def test_B10_equal_names(way: str) -> None:
    """Two variables of one name are two variables."""
    a, b = eg.vector("exp"), eg.vector("exp")
    same([eg.compile([a, b], eg.exp(a) - b, **WAYS[way])(np.zeros(2, F), np.array([1, 3], F))], [np.array([0, -2.0])])


@pytest.mark.parametrize("way", WAYS)
def test_B15_I9_duplicate_indices_accumulate(way: str) -> None:
    """The gradient of a gather adds up what its duplicates contribute, alike in every call."""
    x, i = eg.vector("x"), eg.vector("i", dtype="int64")
    f = eg.compile([x, i], eg.grad((x[i] * eg.arange(i.shape[0]).astype("float32")).sum(), x), **WAYS[way])
    where = np.tile([0, 3, 3, 1], 250)
    wanted = np.zeros(5, F)
    np.add.at(wanted, where, np.arange(1000, dtype=F))
    first = f(np.ones(5, F), where)
    np.testing.assert_allclose(first, wanted, rtol=1e-6)
    if way != "gpu":
        same([f(np.ones(5, F), where)], [first])


@pytest.mark.parametrize("way", WAYS)
def test_B16_aliasing(way: str) -> None:
    """A result is no view of an argument, and an update that reads itself elsewhere sees the old value."""
    x, w = eg.vector("x"), eg.shared(np.arange(6, dtype=F), "w")
    f = eg.compile([x], [x, x, x[1:]], updates={w: eg.concatenate([w[:1], w[:-1]])}, **WAYS[way])
    value = np.arange(4, dtype=F)
    results = f(value)
    same(results, [value, value, value[1:]])
    for k, r in enumerate(results):
        r[...] = -1 - k
    same([value, w.get_value(), *results], [np.arange(4), [0, 0, 1, 2, 3, 4], np.full(4, -1), np.full(4, -2), np.full(3, -3)])


def test_B19_the_compiler_is_not_heard() -> None:
    """Warnings of the driver's compiler are not shown."""
    x = eg.vector("x", dtype="int32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eg.compile([x], [x // 0 + x % 3, x.sum()], device="pocl")(np.arange(3, dtype=np.int32))


def test_B3_the_questions_to_a_call_are_linear() -> None:
    """What the sizes of a call must answer grows with the inputs, not with their square."""
    inputs = [eg.vector() for _ in range(300)]
    graph = eg.Graph(tuple(inputs), (functools.reduce(lambda a, b: a + b, inputs),))
    assert len(uncertain(graph)) == 299 and not requirements(graph)


@pytest.mark.parametrize("way", WAYS)
def test_C5_sizes_known_to_nobody(way: str) -> None:
    """(1, n) with (m, 1) and (m, n), all sizes unknown: the call decides; so does the one after it."""
    for shapes in [((1, 4), (3, 1)), ((3, 4), (3, 4)), ((3, 4), (1, 1)), ((1, 1), (1, 1)), ((3, 1), (3, 4)), ((0, 4), (1, 4))]:
        both(way, lambda m, a, b: [a + b, (a * b).sum(axis=0)], [np.arange(np.prod(s), dtype=float).reshape(s) for s in shapes])
    a, b = eg.matrix("a"), eg.matrix("b")
    f = eg.compile([a, b], [a + b, *eg.grad((a * b).sum(), [a, b])], **WAYS[way])
    for left, right in [((1, 4), (3, 1)), ((3, 4), (3, 4)), ((3, 1), (3, 4)), ((1, 1), (1, 1))]:
        total, *slopes = f(np.ones(left, F), np.ones(right, F))
        assert (total.shape, *(s.shape for s in slopes)) == (np.broadcast_shapes(left, right), left, right)


def test_run_refuses_nothing_silently() -> None:
    """The comparison of these tables sees a wrong sign of zero, a NaN and a shape."""
    for got, wanted in [(0.0, -0.0), (float("nan"), 0.0), ([1.0], 1.0)]:
        with pytest.raises(AssertionError):
            same([got], [wanted])
    same(run("numpy", lambda m, x: x, [np.ones(2)]), [np.ones(2)])


def test_B17_a_device_without_float64() -> None:
    """Refused before anything runs, with the dtype, the device and the user's line; float32 is not refused."""
    poor = Target(schedule="gpu", units=4, local_bytes=16384, max_group=64, fp64=False, host_shared=False, argument_bytes=1024,
                  dialect="portable", name="Pocket GPU")
    for dtype, fits in (("float32", True), ("float64", False)):
        x = eg.vector("x", dtype=dtype)
        graph = eg.Graph((x,), (eg.exp(x),))
        if fits:
            assert generate(graph, [x.node], (), "C", False, poor).steps
        else:
            with pytest.raises(eg.DeviceError, match=r"Pocket GPU has no float64(.|\n)*test_faults_b.py:\d+"):
                generate(graph, [x.node], (), "C", False, poor)
