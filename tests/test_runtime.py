"""The runtime on plans made by hand: memory, layouts, results, values that stay on the device."""
import gc

import numpy as np
import pytest

from codegen.kernel import Param, Store
from codegen.plan import Buffer, Commit, Operand, Plan
from exprgraph.dims import constant
from exprgraph.errors import CallError
from exprgraph.node import INPUT, SHARED, leaf
from runtime import program
from tests.hand_plans import (
    BASE,
    INPUTS,
    B,
    doubler,
    doubling,
    executable,
    launch,
    leaf_buffer,
    memmapped,
    misaligned,
    output,
    separate,
    size,
    twice,
)


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
