"""The runtime on plans made by hand: faults, threads, allocations, failed builds."""
import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

from codegen.kernel import Flag, Param, Store
from codegen.plan import Check, Commit, Plan, Site
from codegen.printed import program_text
from exprgraph.dims import Value, of_atom
from exprgraph.errors import AllocationError, DeviceError, IndexFault
from exprgraph.node import INPUT, Condition, leaf
from exprgraph.requires import Requirement
from runtime import device, memory, pages
from tests.hand_plans import LINE, ROOT, B, along, doubling, executable, launch, leaf_buffer, output, product_plan, separate, size, twice


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


@pytest.mark.parametrize(("where", "name"), [(memory, "aligned"), (pages, "_new")])
def test_d3_a_failed_allocation_frees_everything_and_the_next_call_works(monkeypatch, where, name):
    f = product_plan()
    x, z = np.ones((700, 4), "f4"), np.ones((4, 600), "f4")
    f([x, z])
    f.state.trim()
    pages.POOL.clear()
    gc.collect()
    before, real = f.memory.account.bytes, getattr(where, name)

    def failing(nbytes):
        raise AllocationError("injected")
    monkeypatch.setattr(where, name, failing)
    with pytest.raises(AllocationError, match="injected|not to be had"):
        f([x, z])
    monkeypatch.setattr(where, name, real)
    f.state.trim()
    gc.collect()
    assert f.memory.account.bytes == before
    assert f([x, z])[0][0, 0] == 8


def test_pages_of_large_results_are_used_again_when_the_last_view_is_gone():
    f = twice()
    x = np.ones((600, 700), "f4")
    pages.POOL.clear()
    first, = f([x])
    place, view = first.__array_interface__["data"][0], first[5:, 3]
    del first
    second, = f([x])
    assert second.__array_interface__["data"][0] != place and (view == 2).all()
    del view
    third, = f([x * 2])
    assert third.__array_interface__["data"][0] == place and (third == 4).all() and (second == 2).all()


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
    """Puts programs together that do not compile until it is told to mend them."""
    broken = True

    def __call__(self, codes, dialect, jobs=False):
        text = program_text(codes, dialect, jobs)
        return text.replace("{", "{ this_is_wrong;", 1) if self.broken else text


def test_b18_a_failed_build_shows_source_log_and_device_and_can_be_tried_again():
    x = leaf(INPUT, "uint16", (None, None))
    wrong = Wrong()
    wrong.broken = False

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "uint16", size(x, 0), size(x, 1))
        return Plan((leaf_buffer(0, x), out), (doubling(x, layouts[0]), Commit()), (result,))
    f = executable([x], generate, text_of=wrong)
    values = np.arange(12, dtype="u2").reshape(3, 4)
    wrong.broken = True
    with pytest.raises(DeviceError) as error:
        f([values.T])
    text = str(error.value)
    assert f.device.name in text and text.count("this_is_wrong") > 1 and "undeclared" in text and "    1  #pragma" in text
    np.testing.assert_array_equal(f([values])[0], values * 2)
    wrong.broken = False
    np.testing.assert_array_equal(f([values.T])[0], values.T * 2)


def test_d13_the_interpreter_exits_cleanly_while_a_function_lives():
    code = ("import sys; sys.path.insert(0, 'tests')\nimport hand_plans as t\nimport numpy as np\nf = t.product_plan()\n"
            "print(f([np.ones((200, 300), 'f4'), np.ones((300, 100), 'f4')])[0][0, 0])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "600.0\n", "")
