"""The printer: its kernels run on PoCL as the tree interpreter says, constants survive, names are ours, text is reproducible."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.interpret import run
from codegen.kernel import Accumulate, Alloc, Atomic, Builder, If, Kernel, Let, Loop, Param, Store
from codegen.opencl import kernel_source
from codegen.printed import program_source
from codegen.spelling import literal
from exprgraph.dtypes import FLOATS, REAL
from runtime import pocl
from tests.hand_trees import TREES, F, M, N, grid_map, loop, scatter, sizes
from tests.pocl_runner import run_pocl

LOCAL_DIALECTS = ("pocl", "portable") if pocl.dialect() == "pocl" else ("pocl_avx512", "pocl", "portable")
ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name, dialect, device", [(name, LOCAL_DIALECTS[k % len(LOCAL_DIALECTS)], ("pthread", "basic")[k // 2 % 2])
                                                   for k, name in enumerate(TREES)])
def test_values_on_pocl(name, dialect, device):
    for n in (0, 1, 70, 1000):
        memory = TREES[name].arrays(np.random.default_rng(n), n)
        expected = TREES[name].expect({k: v.copy() for k, v in memory.items()}, n)
        run_pocl(TREES[name].kernel(), memory, sizes(n), dialect, device)
        for buffer, value in expected.items():
            if n:
                np.testing.assert_array_equal(memory[buffer], value)


def bits(value, dtype):
    with np.errstate(all="ignore"):
        return np.dtype(dtype).type(value)


CONSTANTS = {
    "bool": [True, False],
    **{d: [float("inf"), -float("inf"), float("nan"), 5e-324, 1e-45, 1e40, 0.1, -0.0, 0.0, 1.0, -1.5, 3e38, 1.7e308, 2.0**-149, 1 / 3]
       for d in FLOATS},
    **{d: [0, 1, int(np.iinfo(d).min), int(np.iinfo(d).max), int(np.iinfo(d).max) - 1] for d in REAL if d not in ("bool", *FLOATS)}}


def constants(dtype):
    b = Builder()
    body = tuple(Store("y", b.index(i), b.lit(v, dtype)) for i, v in enumerate(CONSTANTS[dtype]))
    return Kernel(f"constants_{dtype}", (Param("y", dtype, "w", N),), body)


def test_constants_survive_a23():
    kernels = [constants(d) for d in CONSTANTS]
    for kernel, (dtype, values) in zip(kernels, CONSTANTS.items()):
        for runner, together in ((run, {}), (run_pocl, {"together": kernels})):
            memory = {"y": np.zeros(len(values), dtype)}
            runner(kernel, memory, sizes(len(values)), **together)
            wanted = np.array([bits(v, dtype) for v in values], dtype)
            assert memory["y"].tobytes() == wanted.tobytes(), (dtype, memory["y"], wanted)


@pytest.mark.parametrize("value, dtype, text", [
    (1.5, F, "0x1.8p+0f"), (1.0, "float64", "0x1p+0"), (-2.0, F, "(-0x1p+1f)"), (-0.0, "float64", "(-0x0p+0)"), (5, "int64", "5L"),
    (-5, "int8", "(-5)"), (-2**63, "int64", "(-9223372036854775807L - 1)"), (2**64 - 1, "uint64", "18446744073709551615UL"),
    (True, "bool", "1"), (7, "index", "7"), (1e400, F, "as_float(0x7f800000u)"), (-2**31, "int32", "(-2147483647 - 1)"),
    (2**31, "index", "2147483648L")])
def test_text_of_constants_a23(value, dtype, text):
    assert literal(value, dtype) == text


def random_kernel(seed):
    """Statements in random order over two buffers and a private array, so that loads of one place differ before and after stores."""
    rng, b = np.random.default_rng(seed), Builder()
    pool = [b.load(name, "int32", b.index(k)) for name in ("x", "y", "a") for k in range(3)]
    pool += [b.lit(3, "int32"), b.load("c", "int32", b.index(0))]

    def expression(depth):
        if depth == 0 or rng.random() < 0.2:
            return pool[rng.integers(len(pool))]
        made = b.op(("add", "mul", "maximum")[rng.integers(3)], "int32", expression(depth - 1), expression(depth - 1))
        pool.append(made)
        return made

    def block(depth, lets):
        body = []
        for _ in range(rng.integers(2, 5)):
            kind, value, at = rng.integers(7 if depth else 5), expression(2), b.index(int(rng.integers(3)))
            if kind == 0:
                body.append(Let(f"l{len(lets)}", value))
                lets.append(body[-1])
            elif kind == 1:
                body.append(Accumulate(("c",), b.index(0), "sum", (value,)))
            elif kind == 2 and rng.random() < 0.5:
                body.append(Atomic("y", at, "sum", value))
            elif kind < 5:
                body.append(Store(("x", "y", "a")[rng.integers(3)], at, value))
            elif kind == 5:
                body.append(If(b.op("lt", "bool", value, expression(2)), block(depth - 1, lets), block(depth - 1, lets)))
            else:
                lets.append(value)
                body.append(Loop("serial", f"k{len(lets)}", b.index(0), b.index(2), b.index(1), block(depth - 1, lets)))
        return tuple(body)
    start = (Alloc("a", "int32", 3, "private", b.lit(2, "int32")), Alloc("c", "int32", 1, "private", b.lit(1, "int32")))
    end = tuple(Store("z", b.index(k), b.load(n, "int32", b.index(m))) for k, (n, m) in enumerate([("a", 0), ("a", 1), ("a", 2), ("c", 0)]))
    params = (Param("x", "int32", "rw", N), Param("y", "int32", "rw", N), Param("z", "int32", "w", N + 1))
    return Kernel(f"random_{seed}", params, start + block(2, []) + end)


def test_named_values_are_forgotten_when_memory_changes():
    kernels = [random_kernel(seed) for seed in range(16)]
    for kernel in kernels:
        memory = {"x": np.array([1, 2, 3], "int32"), "y": np.array([4, 5, 6], "int32"), "z": np.zeros(4, "int32")}
        other = {k: v.copy() for k, v in memory.items()}
        run(kernel, memory, sizes(3))
        run_pocl(kernel, other, sizes(3), together=kernels)
        for name in memory:
            np.testing.assert_array_equal(other[name], memory[name], err_msg=kernel_source(kernel))


BAD_NAMES = [
    "float", "kernel", "main", "x y", "a-b", "µ", "π", "__global", "a" * 300, "*/ {", "a\nb", "a\\\nb", "??/", "a\0", "X", "_x", "",
    "d0", "flags", "get_global_id", "eg_max_f32", '#include "/etc/passwd"']


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("where", ["kernel", "param", "let", "alloc", "loop"])
def test_no_foreign_name_reaches_the_source_b9_h1(name, where):
    b = Builder()
    def pick(place):
        return name if where == place else "fine"
    body = (Let(pick("let"), b.lit(1, F)), Alloc(pick("alloc"), F, 1, "private"), loop(b, "serial", pick("loop"), 3))
    with pytest.raises(ValueError, match="cannot be an identifier of a kernel"):
        kernel_source(Kernel(pick("kernel"), (Param(pick("param"), F, "r", N),), body))


def test_text_is_as_it_should_be():
    assert kernel_source(grid_map()) == """\
__kernel void grid_map(__global const float *restrict x, __global const float *restrict y, __global float *restrict z, const int d0) {
    const int i = get_global_id(0);
    const float v0 = x[i];
    const float v1 = v0 + y[i];
    z[i] = (v1 * v1) - v0;
}
"""


def test_comments_only_when_asked_for():
    plain, told = (kernel_source(grid_map(), comments=c) for c in (False, True))
    assert told.endswith(plain) and told.startswith("// x: float32[") and "//" not in plain


def everything(dialect="portable"):
    kernels = [t.kernel()._replace(name=f"tree_{i}") for i, t in enumerate(TREES.values())] + [random_kernel(s) for s in range(5)]
    return program_source(kernels, dialect)


def test_text_is_the_same_in_every_process():
    """Another process has other object ids, other sizes' uids and another seed of string hashes."""
    code = "import sys; from exprgraph.node import INPUT, leaf; leaf(INPUT, 'float32', (None,)); " \
           "from tests.test_opencl import everything; sys.stdout.write(everything())"
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True).stdout
    assert other == everything() == everything()


def chain(length):
    b = Builder()
    value = b.load("x", F, b.var("i"))
    for _ in range(length):
        value = b.op("mul", F, b.op("add", F, value, b.lit(0.5, F)), b.lit(0.5, F))
    return Kernel("chain", (Param("x", F, "r", N), Param("y", F, "w", N)), (loop(b, "grid", "i", N, Store("y", b.var("i"), value)),))


def test_depth_needs_no_recursion_and_lines_stay_short_b4():
    text = kernel_source(chain(20000))
    assert max(map(len, text.splitlines())) < 200 and text.count("\n") > 2000


def test_shared_parts_are_written_once_b5():
    b = Builder()
    value = b.load("x", F, b.index(0))
    for _ in range(60):
        value = b.op("add", F, value, value)
    kernel = Kernel("doubling", (Param("x", F, "r", N), Param("y", F, "w", N)), (Store("y", b.index(0), value),))
    memory = {"x": np.ones(1, F), "y": np.zeros(1, F)}
    run(kernel, memory, sizes(1))
    assert memory["y"][0] == 2.0**60 and kernel_source(kernel).count("\n") < 66


def test_prelude_stands_once_and_contraction_is_off_a7():
    text = everything()
    assert text.startswith("#pragma OPENCL FP_CONTRACT OFF\n#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n")
    assert text.count("FP_CONTRACT") == 1 and len(re.findall(r"int64_base_atomics", text)) == 1
    assert "fp64" not in program_source([grid_map()]) and "atomics" not in program_source([grid_map()])


@pytest.mark.parametrize("make, message", [
    (lambda b: (loop(b, "reduce", "i", N),), "unscheduled"),
    (lambda b: scatter("int16", "sum").body, "no atomic sum on int16"),
    (lambda b: scatter("bool", "any").body, "no atomic any on bool"),
    (lambda b: (Alloc("tile", F, 4, "local", b.lit(0, F)),), "local array tile")])
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        kernel_source(Kernel("bad", (Param("y", F, "rw", N),), make(Builder())))


def test_dialects_and_names_of_a_program_are_checked():
    with pytest.raises(ValueError, match="unknown dialect 'cuda'"):
        kernel_source(grid_map(), "cuda")
    with pytest.raises(ValueError, match="two kernels of one name"):
        program_source([grid_map(), grid_map()])


def test_wide_kernels_have_long_indices_b6():
    text = kernel_source(grid_map()._replace(wide=True))
    assert "const long i = get_global_id(0);" in text
    memory = TREES["grid_map"].arrays(np.random.default_rng(0), 9)
    run_pocl(grid_map()._replace(wide=True), memory, sizes(9))
    np.testing.assert_array_equal(memory["z"], TREES["grid_map"].expect(memory, 9)["z"])


def test_an_unrolled_loop_and_products_of_sizes():
    b = Builder()
    i, k = b.var("i"), b.var("k")
    place = b.add(b.mul(i, b.index(M)), k)
    inner = loop(b, "unroll", "k", 3, Store("y", place, b.op("cast", F, b.mod(place, b.index(M)))))
    kernel = Kernel("unrolled", (Param("y", F, "w", N * M),), (loop(b, "grid", "i", N, inner),))
    assert "#pragma unroll\n" in kernel_source(kernel)
    memory = {"y": np.zeros(15, F)}
    run_pocl(kernel, memory, sizes(5))
    np.testing.assert_array_equal(memory["y"], np.tile([0, 1, 2], 5))
