"""Native calls: what they accept, what they leave to the general way, faults, the workspace, and where they cannot be made."""
import ctypes
import gc
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exprgraph as eg
from codegen import switchboard as board
from runtime import device, native, pins, program
from runtime.memory import data_of
from runtime.recipe import BUSY, DONE, OUTCOMES, REFUSED, Space, leaf, recipe

NEAR = next((device.session(d) for d in device.devices() if d.spec == device.choose("pocl").sibling), None)
BOARD = native.switchboard(NEAR)
pytestmark = pytest.mark.skipif(BOARD is None, reason="native calls cannot be made here")
F4, F8, I4, I8 = map(np.dtype, ("f4", "f8", "i4", "i8"))


def misaligned(n):
    return np.frombuffer(bytes(4 * n + 1), np.uint8)[1:].view("f4")


def frozen(value):
    value.flags.writeable = False
    return value


class Mine(np.ndarray):
    """A subclass may mean anything by its elements."""


ARGUMENTS = [  # dtype, shape, strides, value, argument, whether it fits
    (F4, (3,), None, None, np.zeros(3, "f4"), True), (F4, (3,), None, None, frozen(np.zeros(3, "f4")), True),
    (F4, (3,), None, None, np.zeros(4, "f4"), False), (F4, (3,), None, None, np.zeros((3, 1), "f4"), False),
    (F4, (3,), None, None, np.zeros(3, "f8"), False), (F4, (3,), None, None, np.zeros(3, ">f4"), False),
    (F4, (3,), None, None, np.zeros(6, "f4")[::2], False), (F4, (3,), None, None, misaligned(3), False),
    (F4, (3,), None, None, np.zeros(3, "f4").view(Mine), False), (F4, (3,), None, None, [0.0, 0.0, 0.0], False),
    (F4, (3,), None, None, np.ma.zeros(3, "f4"), False), (F4, (3,), None, None, None, False),
    (F4, (2, 3), (4, 8), None, np.zeros((3, 2), "f4").T, True), (F4, (2, 3), (4, 8), None, np.zeros((2, 3), "f4"), False),
    (F4, (2, 3), (0, 4), None, np.broadcast_to(np.zeros(3, "f4"), (2, 3)), True),
    (F4, (2, 3), (-12, 4), None, np.zeros((2, 3), "f4")[::-1], True), (F4, (0, 3), None, None, np.zeros((0, 3), "f4"), True),
    (F4, (), None, None, np.zeros((), "f4"), True), (F4, (), None, None, np.float32(2), True), (F4, (), None, None, 2.5, True),
    (F4, (), None, None, np.zeros(1, "f4"), False), (F4, (), None, None, np.float64(2), False), (F4, (), None, None, 2, False),
    (F4, (), None, None, 1e39, False), (F4, (), None, None, float("inf"), False), (F4, (), None, None, float("nan"), False),
    (F8, (), None, None, 1e39, True), (F8, (), None, None, float("inf"), False), (F8, (), None, None, np.float64(2), True),
    (F8, (), None, None, np.float32(2), False), (I8, (), None, None, np.int64(2), True), (I8, (), None, None, 2, False),
    (I8, (), None, None, 2.0, False), (I8, (), None, 7, np.int64(7), True), (I8, (), None, 7, np.int64(8), False),
    (I8, (), None, -1, np.asarray(-1), True), (I4, (), None, -1, np.int32(-1), True), (I4, (), None, -1, np.int32(1), False),
    (np.dtype("u1"), (), None, 255, np.uint8(255), True), (np.dtype("?"), (), None, None, np.bool_(True), True),
    (np.dtype("?"), (), None, None, True, False), (np.dtype("f2"), (), None, None, np.float16(2), True),
    (F4, (), None, None, object(), False)]


@pytest.mark.parametrize(("dtype", "shape", "strides", "value", "argument", "fits"), ARGUMENTS)
def test_what_fits(dtype, shape, strides, value, argument, fits):
    call = BOARD.of(recipe([leaf(dtype, shape, strides, value)]))
    assert call(argument) is (DONE if fits else REFUSED)


@given(st.lists(st.integers(0, 3), max_size=4), st.data())
def test_any_layout_fits_itself_and_no_other(shape, data):
    whole = np.zeros([n + 2 for n in shape], data.draw(st.sampled_from("bhilfd")))
    at = [data.draw(st.sampled_from([slice(0, n), slice(n, None, -1), slice(1, n + 1), slice(None, None, 2)])) for n in shape]
    value, other = (whole[tuple(at)].transpose(data.draw(st.permutations(range(len(shape))))) for _ in "12")
    own = BOARD.of(recipe([leaf(value.dtype, value.shape, value.strides)]))
    assert own(value) is DONE
    assert own(other) is (DONE if (other.shape, other.strides) == (value.shape, value.strides) else REFUSED)
    assert BOARD.of(recipe([leaf(value.dtype, value.shape)]))(value) is (DONE if value.flags.c_contiguous else REFUSED)


def test_no_count_of_references_changes():
    value, single = np.zeros(3, "f4"), np.float32(1)
    f = eg.compile([x := eg.vector("x"), s := eg.scalar("s")], x * s, device="pocl")
    for _ in range(3):
        f(value, single), f(value, 0.5)
    gc.collect()
    before = [sys.getrefcount(o) for o in (value, single, *OUTCOMES)]
    for _ in range(1000):
        f(value, single), f(value, 0.5)
    assert [sys.getrefcount(o) for o in (value, single, *OUTCOMES)] == before


def test_arguments_of_all_kinds_give_the_same():
    x, s, n = eg.vector("x"), eg.scalar("s"), eg.iscalar("n")
    f = eg.compile([x, s, n], x[n:] * s + n, device="pocl")
    value = np.arange(6, dtype="f")
    strided = np.repeat(value, 2)[::2]
    for a in (value, strided, value[::-1].copy()[::-1], frozen(value.copy()), value.astype(">f4").astype("f4"), value.tolist(), value):
        for b in (2.0, np.float32(2), np.asarray(2, "f4"), 2):
            for k in (np.int32(1), np.int32(3), 1, np.asarray(3, "i4")):
                np.testing.assert_array_equal(f(a, b, k), value[int(k):] * 2 + int(k))


def test_a_fault_is_found_again_and_again_and_each_thread_is_told_its_own():
    x, i = eg.vector("x"), eg.ivector("i")
    f = eg.compile([x, i], x[i] * 2, device="pocl")
    value, good = np.arange(5, dtype="f"), np.array([1, 4], "i4")
    assert f._run.state.board is not None
    wrong = []

    def work(bad):
        for _ in range(300):
            try:
                f(value, np.array([1, bad], "i4"))
                wrong.append("no error")
            except IndexError as error:
                if str(bad) not in str(error):
                    wrong.append(str(error))
            if f(value, good).tolist() != [2, 8]:
                wrong.append("not right")
    threads = [threading.Thread(target=work, args=(701 + k,)) for k in range(4)]
    before, _ = sys.getswitchinterval(), sys.setswitchinterval(1e-6)
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sys.setswitchinterval(before)
    assert not wrong


def two_kernels():
    """A function with an intermediate, on values that fit."""
    x = eg.matrix("x")
    f = eg.compile([x], (x - x.mean()) / x.std(axis=0), device="pocl")
    value = np.random.default_rng(5).random((40, 30), "f4")
    f(value), f(value)
    assert f._run.state.workspace is not None
    return f, value, f(value)


def test_the_workspace_comes_back_after_it_was_given_away():
    f, value, wanted = two_kernels()
    f._run.state.trim()
    assert not f._run.state.space[1:].any()
    np.testing.assert_array_equal(f(value), wanted)
    assert f._run.state.space[2] >= f._run.state.setting.space > 0


def test_a_workspace_in_use_is_waited_for_by_other_threads_and_refused_to_the_same():
    f, value, wanted = two_kernels()
    state, found = f._run.state, []
    with state.lock:
        state.space[0] = 1  # a call that lets go of the lock of the interpreter is under way
        with pytest.raises(RuntimeError, match="reentrant"):
            f(value)
        other = threading.Thread(target=lambda: found.append(f(value)))
        other.start()
        other.join(0.2)
        assert not found
        state.space[0] = 0
    other.join()
    np.testing.assert_array_equal(found[0], wanted)


def test_a_recipe_asks_for_room_in_the_workspace():
    space = np.zeros(3, np.int64)
    call, held = (BOARD.of(recipe([], space=Space(data_of(space), 64, used))) for used in (False, True))
    assert call() is BUSY and held() is BUSY
    space[2] = 64
    assert call() is DONE and held() is DONE
    space[0] = 1
    assert call() is BUSY and held() is DONE


def test_a_workspace_in_use_is_not_given_back(monkeypatch):
    f, value, wanted = two_kernels()
    state = f._run.state
    monkeypatch.setattr("runtime.direct.KEPT", 0)
    state.space[0] = 1
    assert not state.slim() and state.workspace is not None
    state.space[0] = 0
    assert state.slim() and state.workspace is None
    np.testing.assert_array_equal(f(value), wanted)


def test_arrays_whose_dtype_is_another_object():
    """Arrays that were unpickled have a dtype of their own, which means the same."""
    value = np.arange(6, dtype="f4")
    again = pickle.loads(pickle.dumps(value))
    call = BOARD.of(recipe([leaf(F4, (6,))]))
    assert again.dtype is not value.dtype and call(again) is DONE and call(value) is DONE
    assert call(value.astype(">f4")) is REFUSED and call(np.zeros(6, "i4")) is REFUSED
    x = eg.vector("x")
    for first, second in ((again, value), (value, again)):
        f = eg.compile([x], x + 1, device="pocl")
        f(first)
        found = f._run.quick(second)
        assert found is not None and found[0].tolist() == [1, 2, 3, 4, 5, 6]


class Looks:
    """Not an array, but with a dtype and a shape, as many containers have them."""
    dtype, shape, ndim = np.dtype("f4"), (3,), 1

    def __array__(self, dtype=None, copy=None):
        return np.array([1, 2, 3], "f4")


def test_trusted_arguments_that_are_no_arrays():
    x, s = eg.vector("x"), eg.scalar("s")
    f = eg.compile([x, s], x * s, device="pocl")
    f.trust_input = True
    value = np.arange(3, dtype="f")
    for _ in range(3):
        assert f(value, np.float32(2)).tolist() == [0, 2, 4] and f(value[:2], np.float32(3)).tolist() == [0, 3]
        assert f(Looks(), np.asarray(2, "f4")).tolist() == [2, 4, 6]


@pytest.mark.skipif(sys.platform != "linux", reason="the numbers of rounding modes")
def test_results_do_not_depend_on_the_mode_for_floats_of_the_thread():
    x = eg.vector("x")
    f, value = eg.compile([x], eg.exp(x) / 3 + x, device="pocl"), np.linspace(0, 5, 1000, dtype="f")
    wanted, m = f(value), ctypes.CDLL("libm.so.6")
    for rounding in (0x400, 0x800, 0xc00):
        try:
            assert m.fesetround(rounding) == 0
            found = f(value)
            assert m.fegetround() == rounding
        finally:
            m.fesetround(0)
        np.testing.assert_array_equal(found, wanted)


def test_only_so_many_files_are_kept_loaded(monkeypatch):
    monkeypatch.setattr(pins, "PINNED", 0)
    monkeypatch.setattr(pins, "_pinned", {})
    monkeypatch.setattr(program._cache, "built", type(program._cache.built)())
    x = eg.vector("x")
    f = eg.compile([x], x * 3 - 2, device="pocl")
    assert f(np.ones(3, "f4")).tolist() == [1, 1, 1] and f._run.state.setting is not None


def test_files_are_let_go_with_the_last_function_that_uses_them(monkeypatch):
    monkeypatch.setattr(program, "KEPT", 0)
    x = eg.vector("x")
    gc.collect()
    before = set(pins._pinned)
    functions = [eg.compile([x], x * float(k) - 29, device="pocl") for k in range(31, 36)]
    new = set(pins._pinned) - before
    assert len(new) == 5
    quick = functions[0]._run.quick
    del functions
    gc.collect()
    assert len(new & set(pins._pinned)) == 1 and quick(np.ones(1, "f4"), trusted=True)[0] == 2
    del quick
    gc.collect()
    assert not new & set(pins._pinned)


def test_where_code_might_be_unloaded_the_driver_launches(monkeypatch):
    monkeypatch.setattr(native, "pin", lambda address: None)
    monkeypatch.setattr(program._cache, "built", type(program._cache.built)())
    x = eg.vector("x")
    f, value = eg.compile([x], x * 3 - 1, device="pocl"), np.arange(5, dtype="f")
    for _ in range(3):
        np.testing.assert_array_equal(f(value), value * 3 - 1)
    assert f._run.state.setting is not None  # which only the driver's kernels need


@pytest.mark.parametrize("broken", [{"FLAGS": 60}, {"SHAPE": 40, "STRIDES": 32}, {"DATA": 48}, {"VALUE": 24}])
def test_objects_that_look_otherwise_are_noticed(broken, monkeypatch):
    assert native._layouts()
    monkeypatch.setattr(board, "OBJECTS", board.OBJECTS | broken)
    assert not native._layouts()


def test_the_setting_turns_native_calls_off():
    code = ("import numpy as np, exprgraph as eg\nx = eg.vector('x')\nf = eg.compile([x], (x * 2).sum(), device='pocl')\n"
            "print(f(np.ones(5, 'f4')), f._run.state.board)")
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "EXPRGRAPH_NATIVE": "0"}, capture_output=True, text=True,
                          check=True)
    assert done.stdout.split() == ["10.0", "None"]
