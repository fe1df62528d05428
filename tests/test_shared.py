"""Shared variables: what they take, that values are copies, what may change."""
from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.shared import Shared, pin, publish

F = np.float32


@contextmanager
def quick_switches() -> Iterator[None]:
    """Threads change places after a few microseconds, so that what may go wrong between them does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


VALUES = [  # value, dtype, shape
    (0.5, "float32", ()), (3, "int64", ()), (True, "bool", ()), (np.float64(0.5), "float64", ()), (np.zeros((2, 3), F), "float32", (2, 3)),
    (np.zeros(2), "float64", (2,)), (np.zeros((0, 4), "int8"), "int8", (0, 4)), (np.arange(3, dtype=">i4"), "int32", (3,)),
    (np.arange(6, dtype=F)[::-2], "float32", (3,)), (np.asfortranarray(np.ones((2, 3))), "float64", (2, 3)),
]


@pytest.mark.parametrize(("value", "dtype", "shape"), VALUES)
def test_dtype_and_value(value: Any, dtype: str, shape: Any) -> None:
    s = eg.shared(value, name="s")
    assert isinstance(s, Shared) and (s.dtype, s.ndim, s.name) == (dtype, len(shape), "s")
    present = s.get_value()
    assert present.dtype == np.dtype(dtype) and present.dtype.isnative and present.shape == shape
    assert np.array_equal(present, value)


def test_float_follows_floatX() -> None:
    with eg.change_flags(floatX="float64"):
        assert eg.shared(0.5).dtype == "float64"


REFUSED = [
    ([1.0, 2.0], r"a value of type list was given: say which dtype: shared\(np.asarray"), (None, "None was given"), ("x", "str 'x'"),
    (np.zeros(2, "M8[s]"), "datetime64.* is not supported"), (np.zeros(2, "clongdouble"), "complex256 is not supported"),
    (np.array(["a"]), "not supported"), (np.array([None]), "object is not supported"), (np.ma.zeros(2), "a masked array"),
    (2**70, "out of the range of int64"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_A29_C7_refused(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=rf"(?s){message}.*test_shared\.py:\d+"):
        eg.shared(value)


def test_D12_values_are_copies() -> None:
    mine = np.array([1, 2], F)
    s = eg.shared(mine)
    mine[0] = 9
    got = s.get_value()
    got[1] = 9
    assert s.get_value().tolist() == [1, 2]
    s.set_value(mine)
    mine[0] = 7
    assert s.get_value().tolist() == [9, 2]


def test_D12_borrow_shares_memory_but_is_read_only() -> None:
    mine = np.array([1, 2], F)
    s = eg.shared(mine, borrow=True)
    assert np.shares_memory(s.get_value(borrow=True), mine) and mine.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        s.get_value(borrow=True)[0] = 3
    new = np.array([3, 4], F)
    s.set_value(new, borrow=True)
    assert np.shares_memory(s.get_value(borrow=True), new)


def test_set_value_may_change_sizes_and_casts_safely() -> None:
    s = eg.shared(np.zeros((2, 3), F))
    for value in (np.ones((5, 0), F), np.ones((1, 1), "int16"), [[1, 2]], np.ones((3, 2), ">f4")[::-1]):
        s.set_value(value)
        assert s.get_value().dtype == F and s.get_value().shape == np.shape(value)


SET = [(np.zeros(3), "float64 array"), (np.zeros((1, 2), F), "give it 1 axis"), (1.0, "give it 1 axis"), (None, "None was given"),
       (["a"], "numbers only"), ([[1], [1, 2]], "different lengths"), (np.zeros(3, "int64"), "int64 array")]


@pytest.mark.parametrize(("value", "message"), SET, ids=[m for _, m in SET])
def test_D12_set_value_refuses(value: Any, message: str) -> None:
    s = eg.shared(np.ones(2, F), name="weights")
    with pytest.raises(eg.CallError, match=rf"(?s)shared variable 'weights' is float32.*{message}.*test_shared\.py:\d+"):
        s.set_value(value)
    assert s.get_value().tolist() == [1, 1]


def test_strict_and_allow_downcast() -> None:
    strict, loose = eg.shared(np.ones(2, F), strict=True), eg.shared(np.ones(2, F), allow_downcast=True)
    with pytest.raises(eg.CallError, match="strict"):
        strict.set_value(np.ones(2, "int8"))
    strict.set_value(np.zeros(3, F))
    loose.set_value(np.full(1, 0.1))
    assert loose.get_value()[0] == F(0.1)


def test_broadcastable_axes_keep_length_1() -> None:
    s = eg.shared(np.ones((1, 3), F), broadcastable=(True, False))
    assert s.broadcastable == (True, False)
    with pytest.raises(eg.ShapeError, match="known length of 1 on axis 0"):
        s.set_value(np.ones((2, 3), F))
    with pytest.raises(eg.ShapeError):
        eg.shared(np.ones((2, 3), F), broadcastable=(True, False))
    with pytest.raises(eg.RankError):
        eg.shared(np.ones((2, 3), F), broadcastable=(True,))


def test_zero_and_clone() -> None:
    s = eg.shared(np.ones((2, 2), F), name="s")
    twin = s.clone()
    s.zero()
    assert s.get_value().tolist() == [[0, 0], [0, 0]] and twin.get_value().tolist() == [[1, 1], [1, 1]]
    assert twin.name == "s" and twin.node is not s.node


def test_default_update_is_checked_when_set() -> None:
    s = eg.shared(np.ones(2, F), name="s")
    assert s.default_update is None
    with pytest.raises(eg.RankError, match="update of s"):
        s.default_update = s.sum()
    s.default_update = s * 2
    s.default_update = None
    assert s.default_update is None


def test_a_version_that_a_reader_holds_does_not_change() -> None:
    s = eg.shared(np.array([1, 2], F))
    held = s.get_value(borrow=True)
    eg.compile([], updates={s: s + 1}, device="numpy")()
    s.set_value(np.array([5, 6], F))
    assert held.tolist() == [1, 2]


def test_a_writer_waits_for_a_running_update() -> None:
    s = eg.shared(np.array([1, 2], F))
    with s.cell.lock:
        other = threading.Thread(target=s.set_value, args=(np.array([7, 8], F),))
        other.start()
        other.join(0.05)
        assert s.get_value().tolist() == [1, 2] and other.is_alive()
    other.join()
    assert s.get_value().tolist() == [7, 8]


def test_readers_see_all_new_values_of_an_update_or_none() -> None:
    cells = [eg.shared(np.zeros((), "int64")) for _ in range(200)]
    step = eg.compile([], updates={c: c + 1 for c in cells}, device="numpy")
    spread = eg.compile([], [eg.stack([c + 0 for c in cells])], device="numpy")
    pinned: list[list[int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            pinned.append([int(v) for v in pin([c.cell for c in cells])])
            assert len(set(spread()[0].tolist())) == 1
    with ThreadPoolExecutor(1) as pool, quick_switches():
        reading = pool.submit(read)
        for _ in range(60):
            step()
            publish([c.cell for c in cells], [np.asarray(c.get_value() + 1) for c in cells])
        done.set()
        reading.result()
    assert pinned and {len(set(values)) for values in pinned} == {1}
