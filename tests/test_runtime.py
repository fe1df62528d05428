"""The runtime on plans made by hand: memory, launches, host calls, variants, faults, plan keys, threads."""
import gc
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from codegen import opencl
from codegen.kernel import Builder, Flag, Kernel, Loop, Param, Store, dims_of
from codegen.plan import Branch, Buffer, Check, Commit, HostCall, Launch, Operand, Plan, Requirement, Site
from exprgraph import dims, pairs
from exprgraph.dims import Size, Stride, Value, as_dim, constant, of_atom, product
from exprgraph.errors import AllocationError, CallError, DeviceError, IndexFault, ShapeError, Source
from exprgraph.node import INPUT, SHARED, Condition, Graph, Node, Out, leaf
from exprgraph.program import Program
from runtime import device, memory, program
from runtime.executable import PLANS, DeviceExecutable, Generator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINE = Source("user.py", 7)
B = Builder()


def size(node: Node, axis: int = 0):
    return of_atom(Size(node, axis))


def strides_of(node, layout):
    """Element strides of a leaf of a layout."""
    shape = node.outs[0].shape
    if layout == "C":
        return [product(shape[k + 1:]) for k in range(len(shape))]
    found = [of_atom(Stride(node, k)) for k in range(len(shape))]
    return found[:-1] + [constant(1)] if layout == "S" else found


def launch(name, params, body, buffers, grid, wide=False):
    kernel = Kernel(name, tuple(params), tuple(body), wide)
    return Launch(kernel, tuple(buffers), dims_of(kernel.body), tuple(map(as_dim, grid)), (1,) * len(grid))


def along(axis, var, stop, *body):
    return Loop("grid", var, B.index(0), B.index(stop), B.index(1), tuple(body), axis)


def doubling(node, layout, wide=False, scale=2.0):
    """out[i, j] = scale * in[i, j] for a matrix of any strides."""
    n, m = node.outs[0].shape
    s, t = strides_of(node, layout)
    dtype = node.outs[0].dtype
    i, j = B.var("i"), B.var("j")
    value = B.op("mul", dtype, B.load("x", dtype, B.add(B.mul(i, B.index(s)), B.mul(j, B.index(t)))), B.lit(scale, dtype))
    body = along(0, "i", n, along(1, "j", m, Store("y", B.add(B.mul(i, B.index(m)), j), value)))
    return launch("twice", [Param("x", dtype, "r", n * m), Param("y", dtype, "w", n * m)], [body], ["in0", "out0"], (n, m), wide)


def leaf_buffer(k, node):
    return Buffer(f"in{k}", "leaf", k, node.outs[0].dtype, product(node.outs[0].shape))


def output(k, dtype, *shape):
    """The buffer of an output and its operand."""
    shape = tuple(map(as_dim, shape))
    strides = tuple(product(shape[i + 1:]) for i in range(len(shape)))
    return Buffer(f"out{k}", "output", k, dtype, product(shape)), Operand(f"out{k}", constant(0), shape, strides)


def executable(leaves, generate, *, n_outputs=1, graph=None, requirements=(), where=None, printer=opencl):
    found = where or device.choose()
    graph = graph or Graph(tuple(Out(n) for n in leaves), tuple(Out(n) for n in leaves))
    generator = Generator(generate, lambda g: tuple(requirements), pairs.pairs, pairs.decide, printer)
    return DeviceExecutable(Program(graph, tuple(leaves), n_outputs, {}), found, found.target, generator)


def twice(dtype="float32", made=None, where=None):
    """A function that doubles a matrix; `made` collects the keys of its plans."""
    x = leaf(INPUT, dtype, (None, None), "x")

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        if made is not None:
            made.append((outcomes, layouts, wide))
        out, result = output(0, dtype, size(x, 0), size(x, 1))
        return Plan((leaf_buffer(0, x), out), (doubling(x, layouts[0], wide), Commit()), (result,), ("twice: x * 2 from user.py:7",))
    return executable([x], generate, where=where)


def separate():
    """A device like the default one, but treated as one with memory of its own."""
    found = device.choose()
    return device.Device(**{**found.__dict__, "spec": "separate", "target": found.target._replace(host_shared=False)})


def misaligned():
    record = np.zeros((3, 4), np.dtype([("tag", "u1"), ("v", "<f4")]))
    record["v"] = np.arange(12).reshape(3, 4)
    return record["v"]


def memmapped(tmp_path):
    path = tmp_path / "data.bin"
    np.arange(12, dtype="f4").tofile(path)
    return np.memmap(path, "f4", "r", shape=(3, 4))


BASE = np.arange(120, dtype="f4").reshape(10, 12)
READ_ONLY = BASE.copy()
READ_ONLY.flags.writeable = False
class Subclass(np.ndarray):
    """An array that is not quite one."""


INPUTS = {
    "plain": BASE, "rows": BASE[::2], "columns": BASE[:, ::3], "block": BASE[2:7, 3:5], "transposed": BASE.T,
    "fortran": np.asfortranarray(BASE), "reversed rows": BASE[::-1], "reversed columns": BASE[:, ::-1],
    "stride 0": np.broadcast_to(BASE[:1], (5, 12)),
    "one value": np.broadcast_to(np.float32(3), (4, 6)), "big endian": BASE.astype(">f4"), "big endian reversed": BASE.astype(">f4")[::-1],
    "misaligned": misaligned(), "read only": READ_ONLY, "read only rows": READ_ONLY[1::3], "subclass": BASE.view(Subclass),
    "field": np.rec.fromarrays([BASE[:, :4], BASE[:, :4]], names="a,b")["a"], "one by one": BASE[4:5, 5:6], "one column": BASE[:, 5:6],
    "zero rows": BASE[:0], "zero columns": BASE[:, :0], "nothing": BASE[:0, :0], "one reversed": BASE[:1][::-1]}
_shared = []


def doubler(where):
    """One executable per kind of memory for the whole module, with all of its plans."""
    if not _shared:
        _shared.extend([twice(), twice(where=separate())])
    return _shared[where == "copied"]


@pytest.mark.parametrize("where", ["shared", "copied"])
@pytest.mark.parametrize("name", INPUTS)
def test_c1_c6_every_layout_gives_the_result_of_a_contiguous_copy(name, where):
    x = INPUTS[name]
    before = np.array(x)
    result, = doubler(where)([x])
    assert type(result) is np.ndarray and result.dtype == np.float32 and result.flags.c_contiguous and result.flags.writeable
    np.testing.assert_array_equal(result, np.asarray(x, "f4") * 2)
    np.testing.assert_array_equal(x, before)


def test_c6_a_memory_mapped_file_is_read(tmp_path):
    x = memmapped(tmp_path)
    np.testing.assert_array_equal(doubler("shared")([x])[0], np.asarray(x) * 2)


def test_layouts_are_the_plan_key_and_only_odd_arrays_are_copied():
    made = []
    f = twice(made=made)
    for x in (BASE, BASE[::2], BASE[1:9, 2:5], BASE[:, ::3], BASE.T, BASE[::-1], BASE.astype(">f4"), misaligned()):
        f([x])
    assert made == [((), ("C",), False), ((), ("S",), False), ((), ("T",), False)]


def test_after_warm_nothing_is_built():
    f = twice()
    f.warm()
    count = program.built()
    for x in INPUTS.values():
        np.testing.assert_array_equal(f([x])[0], np.asarray(x, "f4") * 2)
    for n in range(1, 300):  # more sizes than are remembered
        assert f([np.ones((n, 3), "f4")])[0].shape == (n, 3)
    assert program.built() == count and len(f.plans) == 1 and len(f._bounds) <= 256


def test_equal_kernels_are_built_once_in_a_process():
    twice("float64")
    count = program.built()
    twice("float64")
    assert program.built() == count


def test_d11_results_are_fresh_memory_and_outlive_the_function():
    f = twice()
    x = np.ones((3, 4), "f4")
    first, = f([x])
    second, = f([x])
    assert not np.shares_memory(first, second) and not np.shares_memory(first, x)
    first[:] = 7
    x[:] = 5
    np.testing.assert_array_equal(f([x])[0], np.full((3, 4), 10))
    np.testing.assert_array_equal(second, np.full((3, 4), 2))
    del f
    gc.collect()
    np.testing.assert_array_equal(first + second, np.full((3, 4), 9))


def passthrough(n_outputs):
    """A plan whose outputs are its own argument, a constant and one buffer twice: the runtime must not hand out that memory."""
    x = leaf(SHARED, "float32", (None, None), "x")
    fixed = np.arange(3, dtype="f4")

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "float32", size(x, 0), size(x, 1))
        constant_operand = Operand("c", constant(0), (constant(3),), (constant(1),))
        buffers = (leaf_buffer(0, x), out, Buffer("c", "constant", 0, "float32", constant(3), fixed))
        return Plan(buffers, (doubling(x, "C"), Commit()), (result._replace(buffer="in0"), constant_operand, result, result))
    return executable([x], generate, n_outputs=n_outputs)


def test_d11_outputs_never_alias_arguments_constants_or_each_other():
    x = np.ones((2, 2), "f4")
    f = passthrough(4)
    found = f([x])
    for i, a in enumerate(found):
        assert a.flags.writeable and not any(np.shares_memory(a, b) for b in [x, *found[:i]])
        a[:] = -1
    again = f([x])
    np.testing.assert_array_equal(again[1], [0, 1, 2])
    np.testing.assert_array_equal(again[3], np.full((2, 2), 2))


def test_new_values_of_shared_variables_are_read_only():
    assert [a.flags.writeable for a in passthrough(2)([np.ones((2, 2), "f4")])] == [True, True, False, False]


def test_k4_values_of_shared_variables_stay_on_a_device_with_memory_of_its_own():
    w = leaf(SHARED, "float32", (None, None), "w")

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "float32", size(w, 0), size(w, 1))
        return Plan((leaf_buffer(0, w), out), (doubling(w, layouts[0]), Commit()), (result,))
    step = executable([w], generate, n_outputs=0, where=separate())
    start = np.ones((4, 5), "f4")
    start.flags.writeable = False
    counted = step.memory.account
    uploads, downloads = counted.uploads, counted.downloads
    version = start
    for _ in range(5):
        version, = step([version])
    step([start])
    assert (counted.uploads, counted.downloads) == (uploads + 1, downloads)
    np.testing.assert_array_equal(version.host(), np.full((4, 5), 32))
    version.host()
    assert counted.downloads == downloads + 1 and not version.host().flags.writeable
    here = twice()
    np.testing.assert_array_equal(here([version])[0], np.full((4, 5), 64))


def scalar_sum():
    """A 0-d result of two 0-d arguments, through a 64-bit kernel."""
    a, b = leaf(INPUT, "float64", ()), leaf(INPUT, "float64", ())

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "float64")
        zero = B.index(0)
        value = B.op("add", "float64", B.load("x", "float64", zero), B.load("z", "float64", zero))
        one = constant(1)
        params = [Param("x", "float64", "r", one), Param("z", "float64", "r", one), Param("y", "float64", "w", one)]
        return Plan((leaf_buffer(0, a), leaf_buffer(1, b), out),
                    (launch("sum", params, [Store("y", zero, value)], ["in0", "in1", "out0"], (1,), True), Commit()), (result,))
    return executable([a, b], generate)


def test_c2_scalars_are_0d_arrays():
    result, = scalar_sum()([np.array(1.5), np.array(2.0)])
    assert type(result) is np.ndarray and result.shape == () and result == 3.5


@pytest.mark.parametrize("values, words", [
    ([np.ones((2, 2), "f8")], "float32 array of 2 axes"), ([np.ones(2, "f4")], "float32 array of 2 axes"), ([3.0], "not float"),
    ([], "1 values expected, 0 given")])
def test_values_of_a_wrong_type_are_refused(values, words):
    with pytest.raises(CallError, match=words):
        doubler("shared")(values)


def product_plan(where=None):
    """out = 2 * (x @ z), with NumPy's product into an intermediate between two kernels."""
    x, z = leaf(INPUT, "float32", (None, None)), leaf(INPUT, "float32", (None, None))
    n, k, m = size(x, 0), size(x, 1), size(z, 1)

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "float32", n, m)
        i = B.var("i")
        doubled = B.op("mul", "float32", B.load("x", "float32", i), B.lit(2.0, "float32"))
        call = HostCall("matmul", (Operand("in0", constant(0), (n, k), tuple(strides_of(x, layouts[0]))),
                                   Operand("in1", constant(0), (k, m), tuple(strides_of(z, layouts[1])))),
                        Operand("t", constant(0), (n, m), (m, constant(1))))
        last = launch("twice_flat", [Param("x", "float32", "r", n * m), Param("y", "float32", "w", n * m)],
                      [along(0, "i", n * m, Store("y", i, doubled))], ["t", "out0"], (n * m,))
        buffers = (leaf_buffer(0, x), leaf_buffer(1, z), Buffer("t", "temp", 0, "float32", n * m), out)
        return Plan(buffers, (call, last, Commit()), (result,))
    message = "matmul: {left} columns against {right} rows"
    return executable([x, z], generate, requirements=[Requirement(Condition("eq", k, size(z, 0), message), LINE)], where=where)


@pytest.mark.parametrize("n, k, m", [(3, 4, 5), (1, 1, 1), (0, 4, 5), (3, 0, 5), (3, 4, 0), (40, 30, 20)])
@pytest.mark.parametrize("turned", [False, True])
def test_host_calls_work_on_shared_memory(n, k, m, turned):
    rng = np.random.default_rng(n + k + m)
    x, z = rng.random((n, k), "f4"), rng.random((m, k) if turned else (k, m), "f4")
    z = z.T if turned else z
    np.testing.assert_allclose(product_plan()([x, z])[0], 2 * (x @ z), rtol=1e-6)


def test_c4_conditions_on_sizes_are_checked_before_anything_runs():
    f = product_plan()
    for _ in range(2):  # a refused call is not remembered as a good one
        with pytest.raises(ShapeError, match="matmul: 4 columns against 3 rows\n  at user.py:7"):
            f([np.ones((2, 4), "f4"), np.ones((3, 2), "f4")])
    assert f([np.ones((2, 3), "f4"), np.ones((3, 2), "f4")])[0][0, 0] == 6


def gather():
    """y[i] = x[ix[i]] with a fault site; a condition on a scalar whose message begins with "index"."""
    x, ix, at = leaf(INPUT, "float32", (None,)), leaf(INPUT, "int64", (None,)), leaf(INPUT, "int64", ())
    n, m = size(x), size(ix)
    i = B.var("i")
    place = B.op("cast", "index", B.load("ix", "int64", i))
    last = B.sub(B.index(n), B.index(1))
    bad = B.op("or_", "bool", B.less(place, B.index(0)), B.less(last, place))
    safe = B.op("maximum", "index", B.least(place, last), B.index(0))
    body = along(0, "i", m, Flag(bad, 0, place, B.index(n)), Store("y", i, B.load("x", "float32", safe)))
    params = [Param("x", "float32", "r", n), Param("ix", "int64", "r", m), Param("y", "float32", "w", m)]

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "float32", m)
        check = Check((Site("index {index} is out of bounds for an axis of size {size}", LINE),))
        return Plan((leaf_buffer(0, x), leaf_buffer(1, ix), out),
                    (launch("gather", params, [body], ["in0", "in1", "out0"], (m,)), check, Commit()), (result,))
    condition = Condition("le", of_atom(Value(at)) + 1, n, "index {left} is beyond {right}", IndexFault)
    return executable([x, ix, at], generate, requirements=[Requirement(condition, LINE)])


def test_c8_d9_a_fault_in_a_kernel_is_an_error_with_index_size_and_line_and_the_next_call_is_right():
    f = gather()
    x, zero = np.arange(5, dtype="f4"), np.array(0)
    np.testing.assert_array_equal(f([x, np.array([4, 0, 2]), zero])[0], [4, 0, 2])
    for bad in (5, -1, 10**6):
        with pytest.raises(IndexFault, match=f"index {bad} is out of bounds for an axis of size 5\n  at user.py:7"):
            f([x, np.array([4, bad, 2]), zero])
        np.testing.assert_array_equal(f([x, np.array([1, 1]), zero])[0], [1, 1])
    assert f([x, np.array([], "i8"), zero])[0].shape == (0,)


def test_values_of_integer_scalars_are_part_of_what_a_call_is_remembered_by():
    f = gather()
    x, ix = np.arange(5, dtype="f4"), np.array([1])
    f([x, ix, np.array(4)])
    with pytest.raises(IndexFault, match="index 6 is beyond 5\n  at user.py:7"):
        f([x, ix, np.array(5)])
    f([x, ix, np.array(3)])


def variants():
    """Two variants: up to 4 rows times 2, from 5 rows on times 3."""
    x = leaf(INPUT, "float32", (None, None))

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "float32", size(x, 0), size(x, 1))
        many = dims.minimum(size(x, 0) // 5, 1)
        small, large = doubling(x, layouts[0]), doubling(x, layouts[0], scale=3.0)
        large = large._replace(kernel=large.kernel._replace(name="thrice"))
        return Plan((leaf_buffer(0, x), out), (Branch(many, ((small,), (large,))), Commit()), (result,))
    return executable([x], generate)


def test_variants_are_picked_by_the_sizes_and_built_when_first_picked_or_by_warm():
    f = variants()
    assert f([np.ones((4, 3), "f4")])[0][0, 0] == 2
    count = program.built()
    assert f([np.ones((5, 3), "f4")])[0][0, 0] == 3
    assert program.built() - count in (0, 1)  # none where another test has built this kernel
    g = variants()
    g.warm()
    count = program.built()
    assert [g([np.ones((n, 3), "f4")])[0][0, 0] for n in (4, 5, 0 + 1, 50)] == [2, 3, 2, 3]
    assert program.built() == count
    assert "variant" in g.why() and "thrice" in g.source()


def broadcasting(count=1, made=None):
    """Sums of vectors that broadcast: outcomes decide the plan; the general one is made with None."""
    nodes = [leaf(INPUT, "float32", (None,)) for _ in range(count + 1)]
    total = pair_graph(nodes)
    n = total.outputs[0].type.shape[0]

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        made.append(outcomes)
        out, result = output(0, "float32", n)
        i, value = B.var("i"), B.lit(0.0, "float32")
        for k, node in enumerate(nodes):
            step = B.index(1 - dims.is_one(size(node)))
            value = B.op("add", "float32", value, B.load(f"x{k}", "float32", B.mul(i, step)))
        params = [*(Param(f"x{k}", "float32", "r", size(node)) for k, node in enumerate(nodes)), Param("y", "float32", "w", n)]
        buffers = [*(leaf_buffer(k, node) for k, node in enumerate(nodes)), out]
        return Plan(tuple(buffers), (launch("sums", params, [along(0, "i", n, Store("y", i, value))], [b.name for b in buffers], (n,)),
                                     Commit()), (result,))
    return executable(nodes, generate, graph=total)


def pair_graph(nodes):
    from exprgraph.ops.arithmetic import add
    total = Out(nodes[0])
    for node in nodes[1:]:
        total = add(total, Out(node))
    return Graph(tuple(Out(n) for n in nodes), (total,))


def test_c3_c5_outcomes_of_uncertain_pairs_choose_the_plan():
    made = []
    f = broadcasting(1, made)
    long, one = np.arange(4, dtype="f4"), np.full(1, 10, "f4")
    for a, b in ((long, long), (one, long), (long, one), (one, one), (long[:0], long[:0]), (long[:0], one)):
        np.testing.assert_array_equal(f([a, b])[0], a + b)
    assert made == [("equal",), ("left",), ("right",)]
    with pytest.raises(ShapeError, match="4 and 3"):
        f([long, long[:3]])


@pytest.mark.parametrize("warm", [False, True])
def test_there_are_few_plans_and_then_the_general_one(warm):
    made = []
    f = broadcasting(5, made)
    if warm:
        f.warm()
    count = program.built()
    for pattern in range(64):
        values = [np.full(1 if pattern >> k & 1 else 3, k, "f4") for k in range(6)]
        np.testing.assert_array_equal(f(values)[0], sum(values))
    assert len(f.plans) <= PLANS + 1 and made.count(None) == 1
    assert not warm or (made == [("equal",) * 5, None] and program.built() == count)
    assert "general" in f.why()


def test_f1_eight_threads_call_one_function():
    f = product_plan()
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            x, z = rng.random((seed + 2, 5), "f4"), rng.random((5, 3), "f4")
            if not np.allclose(f([x, z])[0], 2 * (x @ z), rtol=1e-5):
                wrong.append(seed)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_f2_eight_threads_build_at_the_same_time():
    found = []
    threads = [threading.Thread(target=lambda: found.append(twice("int32")([np.ones((2, 2), "i4")])[0])) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 8 and all((a == 2).all() for a in found)


@pytest.mark.parametrize("where", ["shared", "copied"])
def test_d14_many_calls_leave_nothing_behind(where):
    f = product_plan() if where == "shared" else twice(where=separate())
    arguments = [[np.ones((n, 4), "f4"), np.ones((4, 3), "f4")][:len(f.leaves.nodes)] for n in (1, 5, 9)]
    for values in arguments:
        f(values)
    gc.collect()
    account = f.memory.account
    before = (account.buffers, account.bytes)
    for i in range(2000):
        f(arguments[i % 3])
    gc.collect()
    assert (account.buffers, account.bytes) == before


def test_d3_a_failed_allocation_frees_everything_and_the_next_call_works(monkeypatch):
    f = product_plan()
    x, z = np.ones((50, 4), "f4"), np.ones((4, 300), "f4")
    f([x, z])
    for nth in range(2):
        f.pool.free.clear()
        gc.collect()
        before, calls, real = f.memory.account.bytes, [], memory.aligned

        def failing(nbytes, calls=calls, real=real, nth=nth):
            calls.append(nbytes)
            if len(calls) == nth + 1:
                raise AllocationError("injected")
            return real(nbytes)
        monkeypatch.setattr(memory, "aligned", failing)
        with pytest.raises(AllocationError, match="injected"):
            f([x, z])
        monkeypatch.setattr(memory, "aligned", real)
        f.pool.free.clear()
        gc.collect()
        assert f.memory.account.bytes == before
        assert f([x, z])[0][0, 0] == 8


@pytest.mark.parametrize("limits, words", [
    ({"max_alloc": 1000}, "more than .* gives one buffer: 1,000 bytes"), ({"memory": 1000}, "needs 4,032 bytes")])
def test_d4_d5_a_call_beyond_the_budget_is_refused_before_it_runs(limits, words):
    found = device.choose()
    f = twice(where=device.Device(**{**found.__dict__, "spec": f"small {limits}", **limits}))
    assert f([np.ones((2, 2), "f4")])[0][0, 0] == 2
    with pytest.raises(AllocationError, match=words):
        f([np.ones((9, 112), "f4")])
    assert f([np.ones((2, 2), "f4")])[0][0, 0] == 2


class Wrong:
    """A printer whose programs do not compile until it is told to mend them."""
    broken = True

    def kernel_source(self, kernel, dialect):
        return opencl.kernel_source(kernel, dialect)

    def program_source(self, kernels, dialect):
        text = opencl.program_source(kernels, dialect)
        return text.replace("{", "{ this_is_wrong;", 1) if self.broken else text


def test_b18_a_failed_build_shows_source_log_and_device_and_can_be_tried_again():
    x = leaf(INPUT, "uint16", (None, None))
    printer = Wrong()
    printer.broken = False

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "uint16", size(x, 0), size(x, 1))
        return Plan((leaf_buffer(0, x), out), (doubling(x, layouts[0]), Commit()), (result,))
    f = executable([x], generate, printer=printer)
    values = np.arange(12, dtype="u2").reshape(3, 4)
    printer.broken = True
    with pytest.raises(DeviceError) as error:
        f([values.T])
    text = str(error.value)
    assert f.device.name in text and "this_is_wrong" in text.split("__kernel")[1] and "undeclared" in text and "    1  #pragma" in text
    np.testing.assert_array_equal(f([values])[0], values * 2)
    printer.broken = False
    np.testing.assert_array_equal(f([values.T])[0], values.T * 2)


def test_sizes_from_2_31_on_take_the_plan_with_64_bit_indices():
    x = leaf(INPUT, "float32", (None,))
    made = []

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        made.append(wide)
        out, result = output(0, "float32", 1)
        stop = size(x) * 2**28  # a loop of that length, of which the kernel runs the last step
        last = B.sub(B.index(stop), B.index(1))
        value = B.op("cast", "float32", B.op("minimum", "index", last, B.index(2**40)))
        return Plan((leaf_buffer(0, x), out), (launch("far", [Param("y", "float32", "w", constant(1))],
                                                      [Store("y", B.index(0), value)], ["out0"], (1,), wide), Commit()), (result,))
    f = executable([x], generate)
    assert f([np.ones(2, "f4")])[0] == 2**29
    assert made == [False]
    assert f([np.ones(64, "f4")])[0] == 2**34
    assert made == [False, True]


def test_source_and_why_tell_what_was_built():
    f = twice()
    f([BASE[::2]])
    source, why = f.source(), f.why()
    assert source.startswith("// x * 2 from user.py:7\n") and "__kernel void twice(" in source
    assert "2 plans on" in why and "argument 0 is strided with inner stride 1" in why and "launch twice on" in why


def test_h1_notes_cannot_leave_their_comment():
    from runtime import report
    prepared = SimpleNamespace(plan=SimpleNamespace(notes=("k: a\n#include <x>\r\x00 \\",)))
    assert report._notes(prepared) == {"k": ["a #include <x>"]}


def test_d13_the_interpreter_exits_cleanly_while_a_function_lives():
    code = ("import sys; sys.path.insert(0, 'tests')\nimport test_runtime as t\nimport numpy as np\nf = t.product_plan()\n"
            "print(f([np.ones((200, 300), 'f4'), np.ones((300, 100), 'f4')])[0][0, 0])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "600.0\n", "")
