"""The tree interpreter: right values on right trees, and each of its checks fires on a broken one."""
from __future__ import annotations

import numpy as np
import pytest

from codegen.interpret import run
from codegen.interpret_checks import BarrierDivergence, IndexOverflow, OutOfBounds, Race, UninitialisedRead
from codegen.interpret_values import NUMBERS, SCALAR_SOURCE, scalar_source
from codegen.kernel import Accumulate, Alloc, Barrier, Builder, If, Kernel, Let, Loop, Param, Store
from exprgraph.dtypes import REAL
from exprgraph.errors import DTypeError, GradientError
from exprgraph.node import INPUT, Out, leaf
from exprgraph.ops.table import ROWS
from tests.hand_trees import GROUP, TREES, F, M, N, loop, scatter, sizes, tree_sum
from tests.rule_cases import specials


@pytest.mark.parametrize("n", [1, 2, 25, 70])
@pytest.mark.parametrize("name", TREES)
def test_values(name, n):
    tree = TREES[name]
    memory = tree.arrays(np.random.default_rng(n), n)
    expected = tree.expect({k: v.copy() for k, v in memory.items()}, n)
    run(tree.kernel(), memory, sizes(n))
    for buffer, value in expected.items():
        np.testing.assert_array_equal(memory[buffer], value)


def test_zero_items_touch_nothing():
    run(TREES["grid_map"].kernel(), {k: np.zeros(0, F) for k in "xyz"}, sizes(0))


def test_values_of_sizes_by_the_text_of_their_atoms():
    memory = TREES["grid_map"].arrays(np.random.default_rng(0), 4)
    run(TREES["grid_map"].kernel(), memory, {N.atom.text: 4})
    np.testing.assert_array_equal(memory["z"], TREES["grid_map"].expect(memory, 4)["z"])


def kernel(build, *params, wide=False):
    b = Builder()
    return Kernel("broken", params or (Param("y", F, "w", N),), tuple(build(b)), wide)


def one(b):
    return b.lit(1, F)


def in_group(b, *body, groups=1):
    return [loop(b, "group", "g", groups, loop(b, "local", "l", GROUP, *body))]


def race_of_writes(b):
    return [loop(b, "grid", "i", N, Store("y", b.index(0), one(b)))]


def race_of_read_and_write(b):
    i = b.var("i")
    later = If(b.less(b.index(0), i), (Store("y", b.index(0), one(b)),))
    return [loop(b, "grid", "i", N, Store("z", i, b.load("y", F, b.index(0))), later)]


def race_with_atomic(b):
    atomic = scatter(F, "sum").body[0].body
    return [loop(b, "grid", "i", N, *atomic, Store("y", b.index(0), one(b)))]


def race_between_groups(b):
    body = If(b.op("eq", "bool", b.var("l"), b.index(0)), (Store("y", b.index(0), one(b)),))
    return in_group(b, Barrier(), body, groups=2)


def local_race(b):
    l = b.var("l")
    other = b.op("mod", "index", b.add(l, b.index(1)), b.index(GROUP))
    return in_group(b, Alloc("tile", F, GROUP, "local"), Store("tile", l, one(b)), Barrier(),
                    Store("tile", l, b.load("tile", F, other)))


def private_unwritten(b):
    return [Alloc("acc", F, 1, "private"), Accumulate(("acc",), b.index(0), "sum", (one(b),))]


def array_unwritten(b):
    return [Alloc("acc", F, 4, "private"), Store("acc", b.index(1), one(b)), Store("y", b.index(0), b.load("acc", F, b.index(2)))]


def local_unwritten(b):
    l = b.var("l")
    return in_group(b, Alloc("tile", F, GROUP + 1, "local"), Store("tile", l, one(b)), Barrier(),
                    Store("y", l, b.load("tile", F, b.add(l, b.index(1)))))


def output_unwritten(b):
    return [Store("y", b.index(0), b.load("y", F, b.index(1)))]


def barrier_in_branch(b):
    return in_group(b, If(b.less(b.var("l"), b.index(3)), (Barrier(),)))


def different_barriers(b):
    return in_group(b, If(b.less(b.var("l"), b.index(3)), (Barrier(),), (Barrier(),)))


def different_trips(b):
    return in_group(b, Loop("serial", "k", b.index(0), b.var("l"), b.index(1), (Barrier(),)))


def overflow(b):
    big = b.index(2**31 - 1)
    return [loop(b, "grid", "i", N, Let("far", b.add(b.var("i"), big)))]


def overflowing_loop(b):
    return [Loop("serial", "k", b.index(2**31 - 9), b.index(2**31 - 2), b.index(8), ())]


def index_from_value(b):
    return [Let("far", b.op("cast", "index", b.lit(2**40, "int64")))]


def negative_division(b):
    return [loop(b, "grid", "i", N, Let("odd", b.div(b.sub(b.var("i"), b.index(3)), b.index(2))))]


Y, Z, RW = Param("y", F, "w", N), Param("z", F, "w", N), Param("y", F, "rw", N)
BROKEN = {
    "race_of_writes": (race_of_writes, Race, r"broken: work-item 1 .* y\[0\]", ()),
    "race_of_read_and_write": (race_of_read_and_write, Race, r"y\[0\]", (RW, Z)),
    "race_with_atomic": (race_with_atomic, Race, r"y\[0\]", (RW, Param("x", F, "r", N), Param("ix", "int64", "r", N))),
    "race_between_groups": (race_between_groups, Race, r"work-item 8 .* y\[0\]", ()),
    "local_race": (local_race, Race, r"tile\[1\]", ()),
    "past_the_end": (lambda b: [Store("y", b.index(N), one(b))], OutOfBounds, "index 9 is outside y of size 9", ()),
    "before_the_start": (lambda b: [Let("got", b.load("y", F, b.index(-1)))], OutOfBounds, "index -1 is outside y of size 9", (RW,)),
    "array_bounds": (lambda b: [Alloc("acc", F, 4, "private", one(b)), Let("got", b.load("acc", F, b.index(4)))], OutOfBounds, "acc", ()),
    "private_unwritten": (private_unwritten, UninitialisedRead, r"acc\[", ()),
    "array_unwritten": (array_unwritten, UninitialisedRead, r"acc\[\(?2", ()),
    "local_unwritten": (local_unwritten, UninitialisedRead, r"tile\[8\]", ()),
    "output_unwritten": (output_unwritten, UninitialisedRead, r"y\[", ()),
    "barrier_in_branch": (barrier_in_branch, BarrierDivergence, "at barrier .*, finished", ()),
    "different_barriers": (different_barriers, BarrierDivergence, "at barrier .*, at barrier", ()),
    "different_trips": (different_trips, BarrierDivergence, "finished", ()),
    "overflow": (overflow, IndexOverflow, "2147483648 does not fit", ()),
    "overflowing_loop": (overflowing_loop, IndexOverflow, "does not fit", ()),
    "index_from_value": (index_from_value, IndexOverflow, "1099511627776", ()),
    "negative_division": (negative_division, IndexOverflow, "-3 / 2", ()),
    "unscheduled": (lambda b: [loop(b, "parallel", "i", N)], ValueError, "unscheduled", ()),
    "read_only": (lambda b: [Store("y", b.index(0), one(b))], ValueError, "read-only", (Param("y", F, "r", N),)),
    "undeclared": (lambda b: [Let("a", b.add(b.var("i"), b.index(1)))], ValueError, "i is used where it is not declared", ()),
    "out_of_scope": (lambda b: [If(b.less(b.index(0), b.index(N)), (Let("a", one(b)),)), Store("y", b.index(0), b.var("a", F))], ValueError,
                     "a is used where", ()),
    "declared_twice": (lambda b: [Let("a", one(b)), loop(b, "serial", "a", 3)], ValueError, "a is declared twice", ()),
    "wrong_dtype": (lambda b: [Store("y", b.index(0), b.lit(1, "float64"))], ValueError, "y holds float32, not float64", ()),
}


@pytest.mark.parametrize("name", BROKEN)
def test_checks_fire(name):
    build, error, message, params = BROKEN[name]
    memory = {"y": np.zeros(9, F), "z": np.zeros(9, F), "x": np.zeros(9, F), "ix": np.zeros(9, "int64")}
    with pytest.raises(error, match=message):
        run(kernel(build, *params), memory, sizes(9))


@pytest.mark.parametrize("options, error", [({"barrier": False}, (Race, UninitialisedRead)), ({"split": True}, BarrierDivergence)])
def test_tree_sum_without_its_barriers_or_with_one_in_a_branch_b14(options, error):
    with pytest.raises(error):
        run(tree_sum(**options), {"x": np.ones(40, "int64"), "y": np.zeros(3, "int64")}, sizes(40))


def test_a_barrier_orders_global_memory_within_one_group():
    def build(b):
        l = b.var("l")
        back = b.sub(b.index(GROUP - 1), l)
        return in_group(b, Store("y", l, b.op("cast", F, l)), Barrier(), Let("got", b.load("y", F, back)), Barrier(),
                        Store("y", l, b.var("got", F)))
    memory = {"y": np.zeros(GROUP, F)}
    run(kernel(build), memory, sizes(GROUP))
    np.testing.assert_array_equal(memory["y"], np.arange(GROUP)[::-1])


def test_wide_kernels_take_indices_beyond_32_bits():
    run(kernel(overflow, wide=True), {"y": np.zeros(9, F)}, sizes(9))


@pytest.mark.parametrize("array", [np.zeros(8, F), np.zeros(9, "float64"), np.zeros((3, 3), F)], ids=["short", "dtype", "rank"])
def test_memory_must_fit(array):
    with pytest.raises(ValueError, match="y must be a flat float32 array of at least 9 elements"):
        run(kernel(lambda b: []), {"y": array}, sizes(9))


def test_a_private_array_starts_anew_in_every_iteration():
    def build(b):
        k, zero = b.var("k"), b.index(0)
        body = (Alloc("acc", F, 2, "private", one(b)), Accumulate(("acc",), zero, "sum", (one(b),)), Store("y", k, b.load("acc", F, zero)))
        return [loop(b, "serial", "k", N, *body)]
    memory = {"y": np.zeros(4, F)}
    run(kernel(build), memory, sizes(4))
    np.testing.assert_array_equal(memory["y"], 2)


def test_sizes_that_are_products_of_dims():
    b = Builder()
    product = Kernel("product", (Param("y", F, "w", N * M),), (loop(b, "grid", "i", N * M, Store("y", b.var("i"), one(b))),))
    memory = {"y": np.zeros(12, F)}
    run(product, memory, sizes(4))
    assert memory["y"].all()


def operand_dtypes(row):
    """Operand dtypes that a row takes as they are, one choice for each dtype."""
    for dtype in REAL:
        given = tuple("bool" if row.name == "switch" and i == 0 else dtype for i in range(len(row.domain)))
        try:
            made = row(*(Out(leaf(INPUT, d, ())) for d in given), **({"dtype": "int16"} if row.name == "cast" else {}))
        except (DTypeError, GradientError):
            continue
        if tuple(i.dtype for i in made.node.inputs) == given:
            yield given, made.dtype


APART = ("checked", "grad_scale")
"""Rows whose further operands are no elements of the dtype; those of grad_scale never reach a kernel."""


@pytest.mark.parametrize("name", [r.name for r in ROWS.values() if r.kind == "elementwise" and r.c and r.name not in APART])
def test_every_row_works_on_scalars_of_its_dtypes(name):
    """The interpreter applies NumPy meanings to single elements: the same values as on arrays."""
    row, kinds = ROWS[name], list(operand_dtypes(ROWS[name]))
    assert kinds
    for given, result in kinds:
        b, rng = Builder(), np.random.default_rng(0)
        names = [f"x{k}" for k in range(len(given))]
        value = b.op(name, result, *(b.load(n, d, b.var("i")) for n, d in zip(names, given)))
        params = (*(Param(n, d, "r", N) for n, d in zip(names, given)), Param("y", result, "w", N))
        memory = {n: np.abs(rng.uniform(0, 1, 4) * 3).astype(d) for n, d in zip(names, given)} | {"y": np.zeros(4, result)}
        run(kernel(lambda b, v=value: [loop(b, "grid", "i", N, Store("y", b.var("i"), v))], *params), memory, sizes(4))
        wanted = row.numpy(*(memory[n] for n in names), **({"dtype": result} if name == "cast" else {}))
        np.testing.assert_allclose(memory["y"], wanted, rtol=1e-6)


def mapped(value, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """What a kernel makes of each element of equally long arrays."""
    count = len(next(iter(inputs.values())))
    params = (*(Param(n, a.dtype.name, "r", N) for n, a in inputs.items()), Param("y", value.dtype, "w", N))
    memory = inputs | {"y": np.zeros(count, value.dtype)}
    run(kernel(lambda b: [loop(b, "grid", "i", N, Store("y", b.var("i"), value))], *params), memory, sizes(count))
    return memory["y"]


def same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal, zeros in their signs too."""
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found.astype("float64"))[found == 0], np.signbit(wanted.astype("float64"))[wanted == 0])


@pytest.mark.parametrize("name", SCALAR_SOURCE)
def test_operators_of_python_mean_what_rows_mean(name):
    """Special values, each with each; what takes no call is the value of the row."""
    row, seen = ROWS[name], 0
    for given, result in operand_dtypes(row):
        b, number, kept = Builder(), len(given) - (name == "switch"), specials(given[-1])
        arrays = [a.ravel() for a in np.meshgrid(*[kept] * number)]
        arrays = [np.arange(len(arrays[0])) % 3 == 0, *arrays] if name == "switch" else arrays
        inputs = {f"x{k}": a for k, a in enumerate(arrays)}
        value = b.op(name, result, *(b.load(n, d, b.var("i")) for n, d in zip(inputs, given)))
        same_bits(mapped(value, inputs), row.numpy(*arrays))
        seen += scalar_source(value) is not None
    assert seen >= 3


@pytest.mark.parametrize("source", NUMBERS)
def test_casts_mean_what_their_row_means(source):
    for dtype in NUMBERS:
        b, x = Builder(), specials(source)
        value = b.op("cast", dtype, b.load("x", source, b.var("i")))
        same_bits(mapped(value, {"x": x}), ROWS["cast"].numpy(x, dtype=dtype))
