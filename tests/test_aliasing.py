"""What shares memory with what: every case of the rule that results are the caller's own (rows D11 and D12)."""
from __future__ import annotations

import gc
import itertools
import weakref
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from runtime import function, pages
from tests.faults import WAYS, same
from tests.hand_plans import separate

F = "float32"
LARGE = pages.SMALLEST // 4 + 1000
"""Elements of a float32 vector that lies on a page of the pool."""
SIZES = [7, LARGE]


@pytest.fixture(params=[*WAYS, "own"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of compile: the NumPy backend, PoCL with either schedule, and PoCL as a device with memory of its own."""
    if request.param == "own":
        monkeypatch.setattr(function, "choose", lambda spec: separate())
        return dict(WAYS["gpu"])
    return dict(WAYS[request.param])


def apart(*arrays: Any) -> None:
    """No two of the arrays share memory."""
    for a, b in itertools.combinations(arrays, 2):
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize("n", SIZES)
def test_D11_results_share_memory_with_nothing(way: dict[str, Any], n: int) -> None:
    """Outputs that are an input, views of it, a shared value, a constant, an intermediate, the same tensor twice."""
    x, w, c = eg.vector("x"), eg.shared(np.arange(n, dtype=F), "w"), eg.constant(np.arange(n, dtype=F) + 5)
    t = x * 2
    f = eg.compile([x], [x, x[::-1], x[1:], x.reshape((1, -1)), w, w[:3], c, c[1:], t, t, t.T, t + 1], **way)
    value = np.arange(n, dtype=F)
    held = w.get_value(borrow=True)
    for _ in range(3):
        found = f(value)
        apart(value, held, *found)
        assert all(r.flags.writeable for r in found)
        wanted = [value, value[::-1], value[1:], value.reshape(1, -1), value, value[:3], value + 5, value[1:] + 5, *[value * 2] * 3,
                  value * 2 + 1]
        same(found, wanted)
        for r in found:
            r[...] = -1
    same([w.get_value(), value], [np.arange(n), np.arange(n)])


def test_D11_a_borrowed_output_is_the_callers_own_too(way: dict[str, Any]) -> None:
    """Theano's Out(..., borrow=True) allows aliases; none are made."""
    x, w = eg.vector("x"), eg.shared(np.ones(5, F), "w")
    f = eg.compile([eg.In(x, borrow=True)], [eg.Out(x, borrow=True), eg.Out(w, borrow=True)], **way)
    value = np.arange(5, dtype=F)
    first, second = f(value)
    apart(value, w.get_value(borrow=True), first, second)


def test_D11_a_scalar_result_is_an_array_of_its_own(way: dict[str, Any]) -> None:
    x = eg.vector("x")
    f = eg.compile([x], [x.sum(), x.sum()], **way)
    a, b = f(np.ones(4, F))
    a[...] = 9
    assert b == 4 and f(np.ones(4, F))[0] == 4


@pytest.mark.parametrize("n", SIZES)
def test_D11_arguments_that_change_after_the_call_change_no_result(way: dict[str, Any], n: int) -> None:
    x, y = eg.vector("x"), eg.vector("y")
    f = eg.compile([x, y], [x + y, x, y], **way)
    value = np.ones(n, F)
    found = f(value, value)  # the same array for two inputs
    value[...] = 50
    same(found, [np.full(n, 2), np.ones(n), np.ones(n)])
    same(f(value, value)[:1], [np.full(n, 100)])


@pytest.mark.parametrize("n", SIZES)
def test_D11_arguments_are_never_written_to(way: dict[str, Any], n: int) -> None:
    """Read-only arrays, views, broadcast views, and arrays of a whole that go in twice; updates in place of an input's name."""
    x, y = eg.vector("x"), eg.vector("y")
    f = eg.compile([x, y], [(x + 1).cumsum(), (x * y)[::-1], eg.set_subtensor(x[:2], 0), x.dot(y)], **way)
    whole = np.arange(2 * n, dtype=F) / n
    frozen = np.arange(n, dtype=F) / n
    frozen.flags.writeable = False
    cases = [(frozen, frozen), (whole[:n], whole[n:]), (whole[::2], whole[1::2]), (whole[::-1][:n], frozen),
             (np.broadcast_to(np.float32(3), n), frozen), (np.frombuffer(bytes(4 * n), F), frozen)]
    for a, b in cases:
        before = a.copy(), b.copy()
        found = f(a, b)
        same([a, b], before)
        apart(*found, a)
        same(found[2:3], [np.concatenate([np.zeros(2, F), before[0][2:]])])


@pytest.mark.parametrize("n", SIZES)
def test_D12_values_of_shared_variables(way: dict[str, Any], n: int) -> None:
    """get_value and set_value with borrow on and off, before and after updates."""
    start = np.arange(n, dtype=F)
    w = eg.shared(start, "w")
    f = eg.compile([], [w, w * 2], updates={w: w + 1}, **way)
    apart(start, w.get_value(), w.get_value(borrow=True))
    for k in range(3):
        borrowed, copied = w.get_value(borrow=True), w.get_value()
        assert not borrowed.flags.writeable and copied.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            borrowed[0] = 3
        copied[...] = 99
        old, double = f()
        apart(old, double, borrowed, copied, w.get_value(borrow=True))
        old[...] = 77
        same([borrowed, double, w.get_value()], [start + k, (start + k) * 2, start + k + 1])
    lent = np.ones(n, F)
    w.set_value(lent, borrow=True)
    f()
    same([lent], [np.ones(n)])  # a new value is a new array
    lent[...] = 5
    same([w.get_value()], [np.full(n, 2)])


@pytest.mark.parametrize("n", SIZES)
def test_D12_an_update_whose_value_is_returned_too(way: dict[str, Any], n: int) -> None:
    a, b = eg.shared(np.zeros(n, F), "a"), eg.shared(np.ones(n, F), "b")
    new = a + 1
    f = eg.compile([], [new, new, a], updates={a: new, b: new}, **way)
    kept = []
    for k in range(4):
        found = f()
        apart(*found, a.get_value(borrow=True), b.get_value(borrow=True))
        kept.append(found)
        for r in found[1:]:
            r[...] = -3
        same([found[0], a.get_value(), b.get_value()], [np.full(n, k + 1)] * 3)
    same([k[0] for k in kept], [np.full(n, k + 1) for k in range(4)])


def test_D12_an_update_by_an_input_or_another_variable(way: dict[str, Any]) -> None:
    x, a, b = eg.vector("x"), eg.shared(np.zeros(5, F), "a"), eg.shared(np.ones(5, F), "b")
    f = eg.compile([x], [], updates={a: x, b: a}, **way)
    value = np.arange(5, dtype=F)
    f(value)
    value[...] = 8
    same([a.get_value(), b.get_value()], [np.arange(5), np.zeros(5)])
    apart(value, a.get_value(borrow=True), b.get_value(borrow=True))
    f(value)
    same([b.get_value()], [np.arange(5)])


def test_a_kept_result_is_never_overwritten(way: dict[str, Any]) -> None:
    """Through a thousand calls of several sizes, which use pages again."""
    x = eg.vector("x")
    f = eg.compile([x], [x * 2, x[::-1]], **way)
    kept = []
    rng = np.random.default_rng(3)
    for k in range(1000):
        n = int(rng.choice([5, 300, LARGE])) if k % 50 == 0 else int(rng.choice([5, 300]))
        found = f(np.full(n, k, F))
        if k % 50 == 0:
            kept.append((k, n, found, found[0][1::2]))
    for k, n, (double, back), part in kept:
        assert (double == 2 * k).all() and (back == k).all() and (part == 2 * k).all() and double.size == back.size == n


VIEWS = {"itself": lambda r: r, "a slice": lambda r: r[3:9], "a view of a view": lambda r: r[1:].reshape(-1)[::2][5:],
         "another dtype": lambda r: r.view("int32"), "a memoryview": memoryview, "flat": lambda r: r.flat,
         "as_strided": lambda r: np.lib.stride_tricks.as_strided(r, (4,), (8,)), "frombuffer": lambda r: np.frombuffer(r, F)[4:],
         "asarray": lambda r: np.asarray(memoryview(r))[2:], "dlpack": lambda r: np.from_dlpack(r)[2:]}


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_is_used_again_when_the_last_view_dies(view: str) -> None:
    """And not before: whatever NumPy does to bases, the owner of the page lives as long as anything that sees it."""
    x = eg.vector("x")
    f = eg.compile([x], x * 2, device="pocl", schedule="cpu")
    value = np.ones(LARGE, F)
    pages.POOL.clear()
    result = f(value)
    owner = weakref.ref(_owner(result))
    address = _owner(result).page.address
    seen = VIEWS[view](result)
    del result
    gc.collect()
    assert owner() is not None and address not in idle()
    others = [f(value * k) for k in range(3)]
    assert all(_owner(o).page.address != address for o in others)
    assert (np.asarray(seen if not isinstance(seen, np.flatiter) else seen[:6]).view(F) == 2).all()
    del seen, others
    gc.collect()
    assert owner() is None and address in idle()
    again = [f(value) for _ in range(4)]
    assert address in [_owner(a).page.address for a in again]


def idle() -> set[int]:
    """Where the pages lie that nobody uses."""
    return {p.address for free in pages.POOL._free.values() for p in free}


def _owner(array: Any) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base


def test_a_page_in_a_cycle_comes_back_with_the_collector() -> None:
    x = eg.vector("x")
    f = eg.compile([x], x * 2, device="pocl", schedule="cpu")
    pages.POOL.clear()
    holder: dict[str, Any] = {"result": f(np.ones(LARGE, F))}
    holder["itself"] = holder
    del holder
    gc.collect()
    assert pages.POOL.bytes > 0


def test_the_pool_is_bounded_and_counts_right_after_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that take and give pages of all sizes leave a pool that holds what it says, and no page twice."""
    from concurrent.futures import ThreadPoolExecutor
    pool = pages.Pool(16 << 20)

    def work(seed: int) -> bool:
        rng, held = np.random.default_rng(seed), []
        for _ in range(300):
            if held and rng.random() < 0.5:
                page, mark = held.pop(int(rng.integers(len(held))))
                if page.memory[0] != mark:
                    return False
                pool.give(page)
            else:
                page = pool.take(int(rng.integers(1, 4 << 20)))
                mark = int(rng.integers(256))
                page.memory[0] = mark
                held.append((page, mark))
            if pool.bytes > 2 * pool.limit:
                return False
        return True
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(6)))
    idle = [page for free in pool._free.values() for page in free]
    assert pool.bytes == sum(p.nbytes for p in idle) <= pool.limit and len({p.address for p in idle}) == len(idle)
    pool.clear()
    assert pool.bytes == 0 and not pool._free
