"""Work that makes many objects: fewer full collections meanwhile, and everything as it was afterwards; results that are remembered."""
from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from weakref import ref

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.collecting import NEVER, fewer_collections
from exprgraph.dims import RESULTS, Size, of_atom


@pytest.fixture(autouse=True)
def threshold() -> Iterator[tuple[int, int, int]]:
    """A threshold of the user's own."""
    before = gc.get_threshold()
    gc.set_threshold(650, 9, 8)
    yield gc.get_threshold()
    gc.set_threshold(*before)


def test_only_full_collections_wait(threshold: tuple[int, int, int]) -> None:
    """Nested blocks, and one that ends by an error."""
    with pytest.raises(ZeroDivisionError), fewer_collections():
        with fewer_collections():
            assert gc.isenabled() and gc.get_threshold() == (650, 9, NEVER)
        assert gc.get_threshold() == (650, 9, NEVER)
        raise ZeroDivisionError
    assert gc.get_threshold() == threshold


def test_a_threshold_that_is_set_meanwhile_stays() -> None:
    """The user's word counts."""
    with fewer_collections():
        gc.set_threshold(500, 5, 5)
    assert gc.get_threshold() == (500, 5, 5)


def test_a_threshold_that_was_seen_during_a_block_may_be_put_back(threshold: tuple[int, int, int]) -> None:
    """As by a library that restores what it found: full collections must not be off for ever."""
    with fewer_collections():
        seen = gc.get_threshold()
    gc.set_threshold(*seen)
    with fewer_collections():
        pass
    assert gc.get_threshold() == threshold


def test_a_block_that_was_torn_off_ends_with_its_object(threshold: tuple[int, int, int]) -> None:
    """As by an interrupt between the end of the work and the end of the block."""
    block = fewer_collections()
    block.__enter__()
    del block
    assert gc.get_threshold() == threshold


def test_blocks_of_threads_overlap(threshold: tuple[int, int, int]) -> None:
    """The last one that ends restores."""
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with fewer_collections():
            inside.set()
            leave.wait(10)
    thread = threading.Thread(target=work)
    with fewer_collections():
        thread.start()
        assert inside.wait(10)
    assert gc.get_threshold()[2] == NEVER
    leave.set()
    thread.join()
    assert gc.get_threshold() == threshold


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_collects_as_before(threshold: tuple[int, int, int]) -> None:
    """What the parent's threads had under way does not end there."""
    with fewer_collections():
        child = os.fork()
        if not child:
            os._exit(gc.get_threshold() != threshold)
        assert os.waitpid(child, 0)[1] == 0


def test_compiling_leaves_the_threshold_and_remembers_nothing(threshold: tuple[int, int, int]) -> None:
    """Sizes would keep leaves alive, and these the values of shared variables."""
    x = eg.matrix("x")
    f = eg.compile([x], eg.exp(x).sum(axis=0), device="numpy")
    assert f(np.zeros((2, 3), "float32")).tolist() == [2, 2, 2]
    assert gc.get_threshold() == threshold and RESULTS.known is None


def test_operations_on_sizes_are_done_once() -> None:
    """Within a block equal operations give one object, which threads do not share; after it they are done again."""
    class Leaf:
        uid = 7
    a, b = of_atom(Size(Leaf(), 0)), of_atom(Size(Leaf(), 1))

    def results() -> list[object]:
        return [a + b, a - b, a * b, (a + b) // 3, a % b, (a * 2 - b) + 1]
    with RESULTS.meanwhile():
        first, elsewhere = results(), list[object]()
        thread = threading.Thread(target=lambda: elsewhere.extend(results()))
        thread.start()
        thread.join()
        assert all(x is y for x, y in zip(first, results()))
        assert all(x is not y and x == y for x, y in zip(first, elsewhere))
    assert all(x is not y and x == y for x, y in zip(first, results())) and RESULTS.known is None


@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_what_a_compile_remembers_keeps_no_value_alive(device: str) -> None:
    """Texts of kernels and rules that did not apply are remembered, not the sizes and nodes that they spoke of."""
    class Elements(np.ndarray):
        """An array whose end can be seen."""
    value = np.arange(6, dtype="float32").reshape(2, 3).view(Elements)
    s, x = eg.shared(value.copy(), "s", borrow=False), eg.matrix("x")
    node = ref(s.node)
    f = eg.compile([x], [eg.exp(s * s).sum(axis=1), x[:, 0] / s[0, 0]], updates={s: s + x}, device=device)
    f(np.ones((2, 3), "float32"))
    del f, s, x, value
    gc.collect()
    assert node() is None
