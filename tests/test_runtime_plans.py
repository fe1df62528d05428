"""The runtime on plans made by hand: host calls, conditions, variants, which plan a call takes."""
import numpy as np
import pytest

import exprgraph as eg
from codegen.kernel import Param, Store
from codegen.notes import note_text
from codegen.plan import Branch, Commit, Note, Plan
from exprgraph import dims
from exprgraph.dims import constant
from exprgraph.errors import ShapeError, Source
from exprgraph.node import INPUT, Graph, Out, leaf
from runtime import program
from runtime.executable import PLANS
from tests.hand_plans import BASE, B, along, doubling, executable, launch, leaf_buffer, output, product_plan, separate, size, twice


@pytest.mark.parametrize("n, k, m", [(3, 4, 5), (1, 1, 1), (0, 4, 5), (3, 0, 5), (3, 4, 0), (40, 30, 20)])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("where", ["shared", "copied"])
def test_host_calls_work_on_memory_of_the_device_and_of_the_host(n, k, m, turned, where):
    rng = np.random.default_rng(n + k + m)
    x, z = rng.random((n, k), "f4"), rng.random((m, k) if turned else (k, m), "f4")
    z = z.T if turned else z
    f = product_plan(separate() if where == "copied" else None)
    np.testing.assert_allclose(f([x, z])[0], 2 * (x @ z), rtol=1e-6)


def test_c4_conditions_on_sizes_are_checked_before_anything_runs():
    f = product_plan()
    for _ in range(2):  # a refused call is not remembered as a good one
        with pytest.raises(ShapeError, match="matmul: 4 columns against 3 rows\n  at user.py:7"):
            f([np.ones((2, 4), "f4"), np.ones((3, 2), "f4")])
    assert f([np.ones((2, 3), "f4"), np.ones((3, 2), "f4")])[0][0, 0] == 6


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
    assert source.startswith("// mul over x.shape[0] x x.shape[1], from user.py:7\n") and "__kernel void twice(" in source
    assert "2 plans on" in why and "argument 0 is strided with inner stride 1" in why and "launch twice on" in why


def test_h1_notes_cannot_leave_their_comment():
    note = Note("k", ("a\n#include <x>\r\x00",), (), (Source("b\n*/", 3), Source("c \\", 4)))
    assert note_text(note) == "a #include <x>   over one element, from b */:3, c \\:4"


def test_a_long_launch_does_not_need_wide_indices():
    """The estimate of its time is no index, however many picoseconds it is."""
    x = eg.vector("x")
    y = x
    for _ in range(20):
        y = eg.sin(y + 1)
    f = eg.compile([x], y, device="pocl")
    f(np.ones(1 << 20, "f"))
    assert "64-bit" not in f.why() and f.why().startswith("1 plan ")


def test_sizes_that_cannot_all_be_equal_leave_the_general_plan():
    v = eg.vector("v")
    f = eg.compile([v], [v[:1] * np.ones(2, "float32"), eg.broadcast_to(v[:1], (1,))], device="pocl")
    for n in (1, 3):
        assert [o.shape for o in f(np.ones(n, "float32"))] == [(2,), (1,)]
    f.warm()
    g = eg.compile([v], [v + np.ones(2, "float32"), v + np.ones(3, "float32")], device="pocl")
    assert [o.shape for o in g(np.ones(1, "float32"))] == [(2,), (3,)]
    with pytest.raises(eg.ShapeError, match="do not broadcast"):
        g(np.ones(2, "float32"))


def test_trusted_calls_on_a_device_with_memory_of_its_own(monkeypatch):
    """trust_input asks for the short way first, which such a device does not have."""
    monkeypatch.setattr("runtime.function.choose", lambda spec: separate())
    x = eg.vector("x")
    f = eg.compile([x], x + 1, device="pocl")
    f.trust_input = True
    assert [f(np.array([k], "f4")).tolist() for k in (1, 2)] == [[2.0], [3.0]]
