"""max_bytes: steps in another order, or run twice, give the same values in less memory; what cannot fit is refused before it runs."""
from __future__ import annotations

import itertools
import random
import tracemalloc
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import AllocationError, GraphError
from runtime import function, memory, order
from runtime.order import Problem, Task, grown, tightened
from runtime.workspace import layout, lifetimes, packing
from tests.hand_plans import separate

F = "float32"


def problem(seed: int, steps: int) -> Problem:
    """Random steps: each makes one or two intermediates out of some before, some write into what there is; the last ones are results."""
    rng = random.Random(seed)
    tasks, made, writers = list[Task](), ["in0"], dict[str, int]()
    for k in range(steps):
        reads = set(rng.sample(made, min(len(made), rng.choice([1, 1, 2, 3]))))
        writes = {f"t{k}"} | ({f"s{k}"} if rng.random() < 0.2 else set())
        if rng.random() < 0.15 and len(made) > 2:
            writes, reads = {rng.choice(made[1:])}, reads
        for b in writes:
            writers[b] = writers.get(b, 0) + 1
        made += [b for b in writes if b not in made]
        tasks.append(Task(k, frozenset(reads), frozenset(writes), rng.randint(1, 9)))
    tasks = [t._replace(again=all(writers.get(b, 1) == 1 for b in t.reads | t.writes)) for t in tasks]
    rooms = {b: 64 * rng.randint(1, 20) for b in made[1:]}
    return Problem(tuple(tasks), rooms, tuple(rng.sample(made[1:], 1)), 0)


def values(tasks: Any, results: Any) -> list[Any]:
    """What the results hold, each value told by the step that made it and by what it read."""
    held: dict[str, Any] = {"in0": "in0"}
    for t in tasks:
        original = {now: first for first, now in t.names}
        read = tuple(sorted((original.get(b, b), held[b]) for b in t.reads))
        made = {b: (t.step, original.get(b, b), read, held.get(b) if len(t.writes) == 1 and not t.again else None) for b in t.writes}
        held.update(made)
    return [held[b] for b in results]


def least(problem: Problem) -> int:
    """The least that any order of the steps needs."""
    before = order._dependencies(problem.tasks)
    found = []
    for one in itertools.permutations(range(len(problem.tasks))):
        place = {k: i for i, k in enumerate(one)}
        if all(place[j] < place[k] for k, needs in enumerate(before) for j in needs):
            found.append(max(problem.loads([problem.tasks[k] for k in one])))
    return min(found)


@pytest.mark.parametrize("seed", range(16))
def test_every_order_found_gives_the_same_values_in_no_more_memory(seed: int) -> None:
    given = problem(seed, 12)
    naive, wanted = max(given.loads(given.tasks)), values(given.tasks, given.results)
    for share in (0.9, 0.7, 0.5):
        given = given._replace(limit=int(naive * share))
        found = tightened(given)
        assert values(found, given.results) == wanted
        assert max(grown(given, found).loads(found)) <= naive
        assert tightened(given) == found


@pytest.mark.parametrize("seed", range(12))
def test_an_order_that_fits_is_found_where_there_is_one(seed: int) -> None:
    given = problem(seed + 100, 6)
    given = given._replace(limit=least(given))
    found = tightened(given)
    assert max(grown(given, found).loads(found)) <= given.limit


def test_what_is_made_again_dies_early() -> None:
    """t0 is needed at the start and at the end; between them two others of its size live."""
    reads = [("in0",), ("t0",), ("t1",), ("t2",), ("t3", "t0")]
    tasks = tuple(Task(k, frozenset(r), frozenset([f"t{k}"]), 1, True) for k, r in enumerate(reads))
    given = Problem(tasks, {f"t{k}": 64 for k in range(5)}, ("t4",), 128 + 64)
    assert max(given.loads(given.tasks)) == 192
    given = given._replace(rooms={**given.rooms, "t2": 128, "t3": 64, "t1": 128}, limit=256 + 32)
    assert max(given.loads(given.tasks)) == 320
    found = tightened(given)
    assert [t.step for t in found].count(0) == 2 and max(grown(given, found).loads(found)) <= given.limit
    assert values(found, given.results) == values(given.tasks, given.results)
    stuck = given._replace(tasks=tuple(t._replace(again=False) for t in given.tasks))
    assert max(stuck.loads(tightened(stuck))) == 320


def test_a_chain_is_made_again_as_a_whole() -> None:
    """What is needed late is made by two steps, neither of which may be kept."""
    reads = [("in0",), ("t0",), ("t1", "t0"), ("t2",), ("t3",), ("t4", "t1")]
    tasks = tuple(Task(k, frozenset(r), frozenset([f"t{k}"]), 1, True) for k, r in enumerate(reads))
    given = Problem(tasks, {"t0": 10, "t1": 64, "t2": 64, "t3": 128, "t4": 128, "t5": 1}, ("t5",), 260)
    found = tightened(given)
    assert max(given.loads(given.tasks)) == 320 and max(grown(given, found).loads(found)) <= 260
    assert values(found, given.results) == values(given.tasks, given.results)


@pytest.mark.parametrize("seed", range(10))
def test_packed_intermediates_do_not_meet(seed: int) -> None:
    given = problem(seed, 14)
    uses = [*(t.uses for t in given.tasks), given.results]
    living, found = lifetimes(uses, given.rooms), packing(uses, given.rooms)
    assert set(found.offsets) == set(layout(uses, given.rooms).offsets) and found.total >= max(given.loads(given.tasks))
    for a, b in itertools.combinations(living, 2):
        together = living[a][0] <= living[b][1] and living[b][0] <= living[a][1]
        apart = found.offsets[a] + given.rooms[a] <= found.offsets[b] or found.offsets[b] + given.rooms[b] <= found.offsets[a]
        assert apart or not together


@pytest.fixture(params=["shared", "own"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "own":
        device = separate()
        monkeypatch.setattr(function, "choose", lambda spec: device)
    return str(request.param)


def fan(x: Any, count: int = 4) -> Any:
    """Products that all lie in the first level, each of which the next level makes a number of."""
    parts = [(eg.tanh(x @ (x + k)) @ x).sum() for k in range(count)]
    return sum(parts[1:], parts[0])


def late(x: Any) -> Any:
    """A product that is needed at the start and at the end of a chain of wider ones."""
    first = x @ x
    first.name = "first"
    wide = eg.concatenate([first, first, first], axis=1)
    for _ in range(3):
        wide = eg.tanh(x.T @ wide)
    return (wide.max(axis=1, keepdims=True) * first).sum(axis=0) @ first


@pytest.mark.parametrize(("graph", "share"), [(fan, 0.87), (late, 0.92)])
def test_the_same_values_bit_for_bit_in_less_memory(where: str, graph: Any, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x = eg.matrix("x")
    plain = eg.compile([x], graph(x), device="pocl", name="net")
    value = np.random.default_rng(1).random((300, 300)).astype(F) / 300
    most = int(plain.memory((300, 300)).peak * share)
    f = eg.compile([x], graph(x), device="pocl", name="net", max_bytes=most)
    assert f.memory((300, 300)).peak <= most < plain.memory((300, 300)).peak
    np.testing.assert_array_equal(f(value), plain(value))
    np.testing.assert_array_equal(f(value[:50, :50]), plain(value[:50, :50]))
    np.testing.assert_array_equal(f(value), plain(value))
    if where == "shared":
        f.free()
        f(value)
        assert f._run.state.workspace.nbytes == f.memory((300, 300)).bytes["temporaries"] < plain._run.state.workspace.nbytes


def test_what_cannot_fit_is_refused_before_anything_runs(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = eg.matrix("x"), eg.shared(np.ones(3, F), "w")
    f = eg.compile([x], fan(x, 2), updates={w: w + 1}, device="pocl", name="net", max_bytes=2_000_000)
    assert f(np.ones((20, 20), F)) is not None
    before = w.get_value()
    with monkeypatch.context() as patch:
        patch.setattr(memory.cl, "enqueue_nd_range_kernel", lambda *a: pytest.fail("a kernel ran"))
        with pytest.raises(AllocationError, match=r"max_bytes=2,000,000: no order.*net needs less than [\d,]+ bytes.*nothing can move"):
            f(np.ones((500, 500), F))
        with pytest.raises(AllocationError, match="max_bytes"):
            f.memory((500, 500))
    np.testing.assert_array_equal(w.get_value(), before)
    f(np.ones((20, 20), F))
    small = eg.compile([x], x + 1, device="pocl", name="net", max_bytes=1000)
    with pytest.raises(AllocationError, match="max_bytes=1,000") as caught:
        small(np.ones((50, 50), F))
    assert {t.kind for t in caught.value.tensors} == {"inputs", "outputs"}  # what keeps it from fitting


def test_the_numpy_backend_refuses_too() -> None:
    x = eg.matrix("x")
    f = eg.compile([x], fan(x), device="numpy", max_bytes=100_000)
    f(np.ones((20, 20), F))
    with pytest.raises(AllocationError, match="max_bytes=100,000"):
        f(np.ones((200, 200), F))


def staged(X: Any, v: Any) -> Any:
    """Products of the first rows and columns, as many as v has positive elements: v is not needed while they are computed."""
    n = (v > 0).sum()
    return fan(X[:n, :n], 3)


def test_the_bound_is_that_of_all_stages_together(where: str) -> None:
    """What a stage does not take counts while it runs; sizes met before are bound anew where more is held now."""
    X, v, w = eg.matrix("X"), eg.vector("v"), eg.shared(np.float32(0), "w")
    plain = eg.compile([X, v], staged(X, v), device="pocl", name="net")
    value, ones = np.random.default_rng(1).random((200, 200)).astype(F) / 200, np.ones(200, F)
    most = plain.memory((200, 200), 200, size1=200).peak
    f = eg.compile([X, v], staged(X, v), updates={w: w + 1}, device="pocl", name="net", max_bytes=most + 8)
    wanted = plain(value, ones)
    assert f(value, ones) == wanted
    longer = np.concatenate([ones, np.zeros(20_000, F)])
    assert plain.memory((200, 200), longer, size1=200).peak > most + 8 >= f.memory((200, 200), longer, size1=200).peak
    assert f(value, longer) == wanted and f(value, ones) == wanted
    longest = np.concatenate([ones, np.zeros(150_000, F)])
    for call in (lambda: f(value, longest), lambda: f.memory((200, 200), longest, size1=200)):
        with pytest.raises(AllocationError, match=r"max_bytes=[\d,]+ \(600,8\d\d of them are held for other stages(.|\n)*no order"):
            call()
    assert w.get_value() == 3 and f(value, longer) == wanted


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_results_of_earlier_stages_count_too(device: str, dtype: str) -> None:
    v, u = eg.vector("v"), eg.vector("u", dtype=dtype)
    f = eg.compile([v, u], [eg.zeros(((v > 0).sum() * 20,)) + 1, u * 2], device=device, max_bytes=140_000)
    few, many = np.ones(1000, F), np.ones(8 * 3800 // np.dtype(dtype).itemsize, dtype)
    f(few[:10], many)
    f(few, many[:10])
    with pytest.raises(AllocationError, match="max_bytes=140,000 .6.,... of them are held for other stages"):
        f(few, many)
    f(few[:10], many)


@pytest.mark.parametrize("most", [None, 10**9])
@pytest.mark.parametrize("way", ["an op", "a monitor"])
def test_a_function_that_a_stage_calls_has_its_bound_for_itself(way: str, most: int | None) -> None:
    """What the stages of one function hold is no part of a call of another, nor of a call of the same one within."""
    u, v, w = eg.vectors("u", "v", "w")
    inner = eg.compile([v], v * 2, device="numpy", max_bytes=1000)
    sums = list[float]()

    @eg.as_op([eg.fvector], [eg.fvector], infer_shape=lambda shapes: shapes)
    def doubled(a: Any) -> Any:
        return called(a)

    def called(a: Any) -> Any:
        sums.append(float(inner(a[:3]).sum()))
        return a * 2
    y, mode = v[:(v > 0).sum()], eg.MonitorMode(lambda i, step, inputs, outputs: called(np.ones(3, F)))
    f = eg.compile([u, v, w], [(doubled(y) if way == "an op" else y * 2), u[:(w > 0).sum()] + 1], device="numpy", max_bytes=most,
                   mode=mode if way == "a monitor" else None)
    assert f(np.ones(100_000, F), np.ones(3, F), np.ones(2, F))[0].tolist() == [2, 2, 2] and set(sums) == {6}


def chain(length: int) -> tuple[int, int]:
    """What a chain of stages takes as it is told, and as Python counts it; each gives a large array to the next one only."""
    v = x = eg.vector("x")
    for _ in range(length):
        x = eg.cumsum(eg.extract(x > 0, x))
    f, ones = eg.compile([v], x.sum(), device="numpy"), np.ones(100_000, F)
    told = f.memory(ones, **{f"size{k + 1}": ones.size for k in range(length)}).peak
    f(ones[:3])
    tracemalloc.start()
    try:
        f(ones)
        return told, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_no_stage_needs_any_more_is_let_go_of() -> None:
    (told, met), (longer, more) = chain(4), chain(8)
    assert longer < 1.01 * told and more < 1.01 * met


@pytest.mark.parametrize("most", [0, -5, 1.5, "1 GB", True])
def test_a_bound_is_a_number_of_bytes(most: Any) -> None:
    with pytest.raises(GraphError, match="max_bytes"):
        eg.compile([], eg.constant(1.0) + 1, max_bytes=most)
