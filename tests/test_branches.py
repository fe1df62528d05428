"""Branches over whole lists of steps, branches within them too, on plans made by hand: results, memory, what is built when, reports."""
from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest

from codegen.kernel import Builder, Flag, Loop
from codegen.plan import Branch, Buffer, Check, Commit, HostCall, Launch, Operand, Plan, Site
from exprgraph import dims
from exprgraph.dims import constant
from exprgraph.errors import IndexFault, Source
from exprgraph.node import INPUT, Node, leaf
from runtime import program
from runtime.executable import DeviceExecutable
from tests.hand_plans import doubling, executable, leaf_buffer, output, separate, size

B = Builder()
SCALES = count(1000)  # each function has kernels of its own, so that none was built before


def scaled(name: str, x: Node, scale: float, source: str, target: str, limit: float | None = None) -> Launch:
    """target = scale * source; with a limit, source[0] beyond it is a fault."""
    made = doubling(x, "C", scale=scale)
    kernel = made.kernel._replace(name=name)
    if limit is not None:
        outer, = kernel.body
        assert isinstance(outer, Loop)
        condition = B.op("lt", "bool", B.lit(limit, "float32"), B.load("x", "float32", B.index(0)))
        check = Flag(condition, 0, B.lit(7, "int64"), B.lit(3, "int64"))
        kernel = kernel._replace(body=(outer._replace(body=(check, *outer.body)),))
    return made._replace(kernel=kernel, buffers=(source, target))


def nested(where: Any = None) -> DeviceExecutable:
    """2 * x below 5 rows; else 3 * x, times 5 below 4 columns, else the matrix product of that and y."""
    x, y = (leaf(INPUT, "float32", (None, None), name) for name in "xy")
    n, m, unit = size(x, 0), size(x, 1), float(next(SCALES))

    def generate(*_: object) -> Plan:
        out, result = output(0, "float32", n, m)
        temp = Buffer("temp", "temp", 0, "float32", n * m)
        product = HostCall("matmul", (result._replace(buffer="temp"), Operand("in1", constant(0), (m, m), (m, constant(1)))), result)
        inner = Branch(dims.minimum(m // 4, 1), ((scaled("five", x, 5 * unit, "temp", "out0", 9e6),), (product,)))
        outer = Branch(dims.minimum(n // 5, 1), ((scaled("two", x, 2 * unit, "in0", "out0"),),
                                                 (scaled("three", x, 3 * unit, "in0", "temp"), inner)))
        check = Check((Site("index {index} beyond {size}", Source("user.py", 3)),))
        return Plan((leaf_buffer(0, x), leaf_buffer(1, y), out, temp), (outer, check, Commit()), (result,))
    made = executable([x, y], generate, where=where)
    made.unit = unit  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("where", ["shared", "copied"])
@pytest.mark.parametrize(("rows", "columns", "kept"), [(4, 3, ("out0", "flags")), (4, 6, ("out0", "flags")),
                                                       (5, 3, ("out0", "temp", "flags")), (6, 4, ("out0", "temp", "flags"))])
def test_the_picked_variant_runs_and_has_memory(rows: int, columns: int, kept: tuple[str, ...], where: str) -> None:
    """Calls of NumPy too, on memory that it shares with the device and on a device with memory of its own."""
    f = nested(separate() if where == "copied" else None)
    x = np.arange(rows * columns, dtype="float32").reshape(rows, columns)
    y = np.eye(columns, k=1, dtype="float32")
    unit = np.float32(f.unit)
    want = 2 * unit * x if rows < 5 else (3 * unit * x) @ y if columns >= 4 else 5 * unit * (3 * unit * x)
    assert np.array_equal(f([x, y])[0], want) and np.array_equal(f([x, y])[0], want)
    bound, = f._bounds.values()
    assert set(bound.fit.rooms) == set(kept)


def test_first_variants_are_built_with_the_plan_and_others_when_picked() -> None:
    start = program.built()

    def built(f: DeviceExecutable, rows: int, columns: int) -> int:
        f([np.ones((rows, columns), "f4"), np.ones((columns, columns), "f4")])
        return program.built() - start
    f = nested()
    assert program.built() - start == 1
    assert [built(f, *s) for s in ((4, 3), (3, 9), (5, 3), (5, 4), (2, 2))] == [1, 1, 2, 2, 2]  # one program for a whole path
    start = program.built()
    g = nested()
    g.warm()
    assert [built(g, *s) for s in ((4, 3), (5, 3), (5, 4))] == [2, 2, 2]


def test_faults_of_kernels_in_variants_are_found() -> None:
    f = nested()
    with pytest.raises(IndexFault, match=r"(?s)index 7 beyond 3.*user\.py:3"):
        f([np.full((5, 3), 1e6, "f4"), np.ones((3, 3), "f4")])
    assert f([np.full((4, 3), 1e6, "f4"), np.ones((3, 3), "f4")])[0].shape == (4, 3)


def test_reports_show_nested_variants() -> None:
    f = nested()
    lines = f.why().splitlines()
    assert [line.split("launch ")[-1].split(" on ")[0] for line in lines if "launch" in line] == ["two", "three", "five"]
    assert sum("  [1]   [0] launch five" in line for line in lines) == 1 and sum("numpy.matmul(temp, in1)" in line for line in lines) == 1
    f.warm()
    assert all(f"kernel void {name}" in f.source().replace("\n", " ") for name in ("two", "three", "five"))
