"""Orders of steps that need less memory: the same steps in another order, and cheap ones run again so that what they make can die early.

All is deterministic and bounded: a search that would take too long ends with the best that it has found.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exprgraph.named import NamedTuple
from runtime.workspace import lifetimes, loads

STATES = 3000
"""How many sets of finished steps a search looks at."""
ROUNDS = 64
"""How many times steps are run again."""
HOST = 10**9
"""Picoseconds that a call of NumPy is taken to need."""
DEPTH = 4
"""How many steps in a row are run again to make one intermediate."""


class Task(NamedTuple):
    """A step as far as its order matters.

    step: its number in the plan.  reads and writes: buffers, all but those for faults; names: for each of its buffers that has another
    name than in the plan, both.  work: picoseconds.  again: whether it may run a second time: it reads what others made and writes
    only intermediates that nobody else writes.  last: whether everything before it has to stay before it.
    """
    step: int
    reads: frozenset[str]
    writes: frozenset[str]
    work: int = 0
    again: bool = False
    last: bool = False
    names: tuple[tuple[str, str], ...] = ()

    @property
    def uses(self) -> tuple[str, ...]:
        """The buffers in a fixed order."""
        return tuple(sorted(self.reads | self.writes))

    def renamed(self, old: str, new: str) -> Task:
        """The step with another buffer in the place of one."""
        def swap(names: frozenset[str]) -> frozenset[str]:
            return names - {old} | {new} if old in names else names
        if old not in self.reads | self.writes:
            return self
        found = {first: new if now == old else now for first, now in self.names}
        if old not in {now for _, now in self.names}:
            found[old] = new
        return self._replace(reads=swap(self.reads), writes=swap(self.writes), names=tuple(sorted(found.items())))


class Problem(NamedTuple):
    """Steps, the bytes of intermediates, the buffers that results lie in, and the bytes that the intermediates may take at once."""
    tasks: tuple[Task, ...]
    rooms: Mapping[str, int]
    results: tuple[str, ...]
    limit: int

    def loads(self, tasks: Sequence[Task]) -> list[int]:
        """The bytes that live in each step, and at the end."""
        return loads([*(t.uses for t in tasks), self.results], self.rooms)


def tightened(problem: Problem) -> tuple[Task, ...]:
    """The tasks in an order that needs at most `limit` bytes, or the best that was found; the bytes of what is made again are those of
    the intermediate before `_again`."""
    best, least = problem.tasks, max(problem.loads(problem.tasks))
    for order in _orders(problem):
        for tasks in (order, _with_repeats(problem, order) if max(problem.loads(order)) > problem.limit else order):
            most = max(grown(problem, tasks).loads(tasks))
            if most < least:
                best, least = tasks, most
            if least <= problem.limit:
                return best
    return best


def grown(problem: Problem, tasks: Sequence[Task]) -> Problem:
    """The problem with the bytes of what is made again."""
    rooms = dict(problem.rooms)
    for task in tasks:
        for old, new in task.names:
            if old in rooms:
                rooms[new] = rooms[old]
    return problem._replace(rooms=rooms)


def _orders(problem: Problem) -> Iterator[tuple[Task, ...]]:
    before = _dependencies(problem.tasks)
    found = _searched(problem, before)
    if found is not None:
        yield found
    yield _greedy(problem, before)
    yield problem.tasks


def _dependencies(tasks: Sequence[Task]) -> list[set[int]]:
    """For each task those that have to run before it."""
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    found: list[set[int]] = []
    for k, task in enumerate(tasks):
        before = set(range(k)) if task.last else {j for j in range(k) if tasks[j].last}
        before |= {writer[b] for b in (*task.reads, *task.writes) if b in writer}
        before |= {j for b in task.writes for j in readers.get(b, ())}
        for b in task.writes:
            writer[b], readers[b] = k, []
        for b in task.reads:
            readers.setdefault(b, []).append(k)
        found.append(before - {k})
    return found


class _State:
    """Which tasks are finished, and the bytes that live."""

    def __init__(self, problem: Problem) -> None:
        self.rooms, self.tasks = problem.rooms, problem.tasks
        self.left: dict[str, int] = {}
        for task in problem.tasks:
            for b in task.uses:
                self.left[b] = self.left.get(b, 0) + (b in self.rooms)
        for b in problem.results:
            self.left[b] = self.left.get(b, 0) + 1
        self.whole = dict(self.left)
        self.live = 0

    def cost(self, k: int) -> tuple[int, int]:
        """The bytes that live while a task runs, and after it."""
        uses = [b for b in self.tasks[k].uses if b in self.rooms]
        during = self.live + sum(self.rooms[b] for b in uses if self.left[b] == self.whole[b])
        return during, during - sum(self.rooms[b] for b in uses if self.left[b] == 1)

    def run(self, k: int) -> None:
        """A task is finished."""
        _, self.live = self.cost(k)
        for b in self.tasks[k].uses:
            self.left[b] -= b in self.rooms

    def undo(self, k: int, live: int) -> None:
        """It is not; live: the bytes before it ran."""
        self.live = live
        for b in self.tasks[k].uses:
            self.left[b] += b in self.rooms


def _ready(before: Sequence[set[int]], done: set[int]) -> list[int]:
    return [k for k, needs in enumerate(before) if k not in done and needs <= done]


def _greedy(problem: Problem, before: Sequence[set[int]]) -> tuple[Task, ...]:
    """Always the task after which least lives, of equal ones that which needs least meanwhile."""
    state, done, found = _State(problem), set[int](), list[Task]()
    while len(found) < len(problem.tasks):
        k = min(_ready(before, done), key=lambda k: (state.cost(k)[::-1], k))
        state.run(k)
        done.add(k)
        found.append(problem.tasks[k])
    return tuple(found)


def _searched(problem: Problem, before: Sequence[set[int]]) -> tuple[Task, ...] | None:
    """An order that keeps to the limit, found depth first; None where there is none or the search would take too long."""
    state, done, path = _State(problem), set[int](), list[int]()
    seen: set[frozenset[int]] = set()
    choices = [_choices(problem, state, before, done)]
    lives = [0]
    while choices:
        if len(path) == len(problem.tasks):
            return tuple(problem.tasks[k] for k in path)
        if not choices[-1] or len(seen) >= STATES:
            choices.pop()
            if path and choices:
                k = path.pop()
                done.discard(k)
                state.undo(k, lives.pop())
            if len(seen) >= STATES:
                return None
            continue
        k = choices[-1].pop(0)
        if frozenset(done | {k}) in seen:
            continue
        seen.add(frozenset(done | {k}))
        lives.append(state.live)
        state.run(k)
        done.add(k)
        path.append(k)
        choices.append(_choices(problem, state, before, done))
    return None


def _choices(problem: Problem, state: _State, before: Sequence[set[int]], done: set[int]) -> list[int]:
    """What to run next, the best first; a task that fits and leaves no more than there is now is run without a look at others."""
    costs = {k: state.cost(k) for k in _ready(before, done)}
    fitting = sorted((after, during, k) for k, (during, after) in costs.items() if during <= problem.limit)
    if fitting and fitting[0][0] <= state.live:
        return [fitting[0][2]]
    return [k for _, _, k in fitting]


def _with_repeats(problem: Problem, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """The tasks with steps run again just before what they make is needed, as long as that helps."""
    measure = _excess(problem, tasks)
    for _ in range(ROUNDS):
        if measure[0] == 0:
            break
        each = [(_excess(problem, made), made) for made in _repeats(problem, tasks)]
        if not each or min(m for m, _ in each) >= measure:
            break
        measure, tasks = min(each, key=lambda one: one[0])
    return tasks


def _excess(problem: Problem, tasks: Sequence[Task]) -> tuple[int, int, int]:
    """How many bytes are above the limit, over all steps; the most in one; and the work of everything."""
    found = grown(problem, tasks).loads(tasks)
    return sum(max(0, n - problem.limit) for n in found), max(found), sum(t.work for t in tasks)


def _repeats(problem: Problem, tasks: tuple[Task, ...]) -> Iterator[tuple[Task, ...]]:
    """The tasks with one of the intermediates that the fullest step only keeps made again after it, alone or with what it is made of."""
    whole = grown(problem, tasks)
    found = whole.loads(tasks)
    peak = found.index(max(found))
    living = lifetimes([*(t.uses for t in tasks), problem.results], whole.rooms)
    here = tasks[peak].uses if peak < len(tasks) else problem.results
    for name, (first, last) in living.items():
        if first < peak < last and name not in here:
            for depth in range(1, DEPTH + 1):
                made = _made_again(tasks, name, peak, depth, problem.results)
                if made is not None:
                    yield made


def _made_again(tasks: tuple[Task, ...], name: str, peak: int, depth: int, results: Sequence[str]) -> tuple[Task, ...] | None:
    """The tasks with an intermediate made again before its first use after `peak`; None where that cannot be."""
    writers = [k for k, t in enumerate(tasks) if name in t.writes]
    users = [k for k in range(peak + 1, len(tasks)) if name in tasks[k].uses]
    if len(writers) != 1 or writers[0] > peak or not users or name in results or not tasks[writers[0]].again:
        return None
    copy, fresh = tasks[writers[0]], {b: _fresh(tasks, b) for b in tasks[writers[0]].writes}
    for b in sorted(fresh):
        copy = copy.renamed(b, fresh[b])
    found = (*tasks[:users[0]], copy, *(t.renamed(name, fresh[name]) for t in tasks[users[0]:]))
    for b in sorted(copy.reads - copy.writes) if depth > 1 else ():
        used = [k for k, t in enumerate(tasks) if b in t.uses]
        if used and used[-1] < users[0]:  # it would have to live until here
            deeper = _made_again(found, b, min(peak, users[0] - 1), depth - 1, results)
            found = deeper or found
    return found


def _fresh(tasks: Sequence[Task], name: str) -> str:
    taken = {b for t in tasks for b in t.uses}
    base = name.partition("_again")[0]
    return next(new for k in range(1, len(tasks) + 2) if (new := f"{base}_again{k}") not in taken)
