"""Vector loops and their masked tails: every length gives what NumPy gives, and nothing beside the result is written."""
import numpy as np
import pytest

import exprgraph as eg
from codegen.kernel import INDEX, Accumulate, Alloc, Builder, Kernel, Let, Loop, Param, Store
from codegen.printed import program_source
from codegen.vector_loops import CHASED, HIDDEN, HIDING, MASKED, SEVERAL, has_tail, in_two, interleaved
from exprgraph.dims import constant
from tests.hand_trees import grid_map

LENGTHS = [*range(36), 47, 48, 49, 63, 64, 65, 255, 256, 257, 300, 1000]
EXPRESSIONS = {
    "map": lambda x: x * 3 + 1,
    "rows": lambda x: (x - x.max(axis=1, keepdims=True)) * 2,
    "sums": lambda x: x.sum(axis=1),
    "columns": lambda x: x.sum(axis=0) + x.min(axis=0),
    "part": lambda x: x[:, 5:-7] * x[:, 5:-7],
    "reversed": lambda x: x[:, ::-1] + x,
    "triangle": lambda x: eg.tril(x, 20) + eg.eq(eg.arange(x.shape[1])[None, :] - 3, 7 * eg.arange(x.shape[0])[:, None])}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "int16"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_length(name, dtype):
    x = eg.matrix("x", dtype=dtype)
    out = EXPRESSIONS[name](x)
    f, oracle = eg.compile([x], out, device="pocl", schedule="cpu"), eg.compile([x], out, device="numpy")
    for n in LENGTHS:
        if n == 0 and name in ("rows", "columns"):
            continue  # no maximum of nothing
        value = np.random.default_rng(n).integers(0, 9, (3, n)).astype(dtype)
        np.testing.assert_array_equal(f(value), oracle(value), err_msg=f"length {n}")


def loop(b, stop, *body, kind="vector", start=0):
    return Loop(kind, "i", b.index(start), stop if not isinstance(stop, int) else b.index(stop), b.index(1), body)


def test_which_loops_have_tails_and_which_are_interleaved():
    b = Builder()
    i, n = b.var("i"), b.var("n")
    store = Store("y", i, b.load("x", "float32", i))
    strided = Store("y", i, b.load("x", "float32", b.mul(i, n)))
    named = (Let("k", b.mul(i, n)), Store("y", i, b.load("x", "float32", b.add(b.var("k"), n))))
    assert has_tail(loop(b, n, store)) and has_tail(loop(b, n, Accumulate(("s",), b.index(0), "sum", (b.load("x", "float32", i),))))
    assert not has_tail(loop(b, n, store, kind="serial")) and not has_tail(loop(b, 40, store))
    assert not has_tail(loop(b, n, Alloc("t", "float32", 4, "private"), store))
    assert interleaved(loop(b, 256, store)) and not interleaved(loop(b, 64, store)) and not interleaved(loop(b, n, store))
    assert not interleaved(loop(b, 256, strided))
    assert interleaved(loop(b, 256, Let("k", b.add(i, n)), Store("y", i, b.load("x", "float32", b.var("k")))))
    assert interleaved(loop(b, 256, *named)) is False


def test_two_loops_for_one():
    lines = in_two(["    for (int i = a; i < b; ++i) {", "        y[i] = 1;", "    }"], ("int", "i", "a", "b"), "count", "full")
    assert [line.strip() for line in lines] == [
        "{", "const int count = a < b ? b - a : 0;", "const int full = a + (count & ~15);",
        "for (int i = a; i < full; ++i) {", "y[i] = 1;", "}",
        MASKED, "for (int i = full; i < b; ++i) {", "y[i] = 1;", "}", "}"]


def test_tails_are_for_compilers_and_CPUs_that_have_masks():
    x = eg.matrix("x")
    f = eg.compile([x], x.sum(axis=1), device="pocl", schedule="cpu")
    f(np.ones((2, 300), "f"))
    kernel = grid_map()
    for dialect in ("portable", "pocl", "pocl_avx512"):
        assert MASKED not in program_source([kernel], dialect)  # it has no vector loop
    assert MASKED not in f.source() and SEVERAL in f.source()


def test_searches_go_on_eight_at_a_time():
    """Not a gather, which waits for one load alone."""
    x, v, i = eg.vector("x"), eg.vector("v"), eg.lvector("i")
    search, gather = (eg.compile([x, v, i], out, device="pocl", schedule="cpu", on_unused_input="ignore") for out in (
        eg.searchsorted(x, v), x[i] + v))
    assert CHASED in search.source() and CHASED not in gather.source()
    keys, values = np.sort(np.arange(1000, dtype="float32") % 77), np.linspace(-5, 90, 333, dtype="float32")
    values[7] = np.nan
    for count in (0, 1, 7, 8, 9, 333):
        np.testing.assert_array_equal(search(keys, values[:count], np.arange(count)), np.searchsorted(keys, values[:count]))


def printed(body, wide=False):
    return program_source([Kernel("k", (Param("x", "int32", constant(8), "r"), Param("p", "int64", constant(8), "r"),
                                   Param("y", "int32", constant(8), "w")),
                                  (body,), wide=wide)], "pocl")


@pytest.mark.parametrize("kind, wide, shown", [("vector", False, True), ("serial", False, False), ("vector", True, False)])
def test_a_counter_is_hidden_where_a_vector_loop_compares_it(kind, wide, shown):
    b = Builder()
    i = b.var("i")
    count = b.op("cast", "int32", b.op("add", "int64", b.op("cast", "int64", i), b.lit(3, "int64")))
    same = b.op("eq", "bool", b.load("x", "int32", b.index(0)), count)
    text = printed(loop(b, 8, Store("y", i, b.op("cast", "int32", same)), kind=kind), wide)
    assert (f"^ {HIDDEN}" in text) == shown == (HIDING[1] in text)
    other = printed(loop(b, 8, Store("y", i, count), kind=kind), wide)
    assert HIDDEN not in other


def test_a_place_found_in_64_bits_stays_so():
    b = Builder()
    i = b.var("i")
    text = printed(loop(b, 8, Store("y", i, b.load("x", "int32", b.op("cast", INDEX, b.load("p", "int64", i))))))
    assert "y[i] = x[p[i]];" in text
