"""Prepared plans: a plan with its compiled size program and kernels, and a plan bound to the sizes of a call, ready to run."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from codegen.growth import flatten, with_parts
from codegen.plan import Branch, Buffer, Check, Code, Commit, HostCall, Later, Launch, Operand, OwnCall, Plan, Step, touched
from exprgraph import dims, size_program
from exprgraph.dims import Atom, Dim
from exprgraph.named import NamedTuple
from exprgraph.node import Params
from runtime import program
from runtime.actions import Action, FaultCheck, FunctionCall, KernelCall
from runtime.case import Case, Leaf
from runtime.device import Session
from runtime.direct import State
from runtime.fit import Fit
from runtime.hosted import hosted
from runtime.memory import Block, Memory, SharedMemory, View, room, view_of
from runtime.native import switchboard
from runtime.program import Built, TextOf
from runtime.together import FAR, NEAR, PLACES, helpers_of, place, places
from runtime.workspace import layout, loads, packing
from runtime.written import write

FLAGS = "flags"


class Numbers:
    """Dims compiled into one program over the atoms of the leaves.  before: those of which the program is there already."""

    def __init__(self, wanted: Iterable[Dim], atoms: Sequence[Atom], before: Numbers | None = None) -> None:
        self.before = before
        known: dict[str, Dim] = {} if before is None else before.known
        unique = {d.text: d for d in wanted}
        self.known: dict[str, Dim] = {**known, **unique}
        self.texts = tuple(text for text in unique if text not in known)
        self._run = size_program.program([unique[text] for text in self.texts], atoms)

    @property
    def dims(self) -> tuple[Dim, ...]:
        """All of them."""
        return tuple(self.known.values())

    def __call__(self, vector: Sequence[int]) -> dict[str, int]:
        """The values by the text of the Dim."""
        own = dict(zip(self.texts, self._run(vector)))
        return own if self.before is None else {**self.before(vector), **own}


def _called(name: str, inputs: tuple[View, ...], output: View, params: Params) -> FunctionCall:
    """The call of a NumPy function; the method `dot`, which says the same of at most two axes, returns sooner than `matmul`, and is given
    vectors for what has one row or column."""
    if name != "matmul":
        return FunctionCall(hosted(name, params), inputs, output)
    if not output.compact or not all(0 < len(v.shape) <= 2 and v.dtype == output.dtype for v in inputs):
        return FunctionCall(np.matmul, inputs, output)
    left, right = inputs
    if len(left.shape) == len(right.shape) == 2 and right.shape[1] == 1:
        right, output = _without(right, 1), _without(output, 1)
    elif len(left.shape) == len(right.shape) == 2 and left.shape[0] == 1:
        left, output = _without(left, 0), _without(output, 0)
    return FunctionCall(np.ndarray.dot, (left, right), output)


def _without(view: View, axis: int) -> View:
    """A view of two axes without one of length 1."""
    strides = None if view.strides is None else (view.strides[1 - axis],)
    return view._replace(shape=(view.shape[1 - axis],), strides=strides)


def _same(error: BaseException) -> BaseException:
    return error


class Bound(NamedTuple):
    """A plan with the numbers of one call, built.

    actions: what to run, in order.  copies: whether strided arguments are copied first.  told: what a fault is called.  quick: the
    function that runs it.  leaves: what the arguments are like.  late: whether another thread may run it; short: whether that would take
    longer than to run it.  needs: under a bound on memory, the bytes that it takes at once.
    """
    fit: Fit
    actions: tuple[Action, ...]
    copies: bool
    told: Callable[[BaseException], BaseException] = _same
    quick: Any = None
    leaves: tuple[Leaf, ...] = ()
    late: bool = False
    short: bool = True
    needs: int = 0


def code_of(launch: Launch) -> Code:
    """The kernel of a launch, which is text in every plan that the runtime is given."""
    assert isinstance(launch.kernel, Code), launch.kernel
    return launch.kernel


def in_parts(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps, in place of joined launches those that they stand for."""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, Branch):
            step = step._replace(variants=tuple(map(in_parts, step.variants)))
        found += step.parts if isinstance(step, Launch) and step.parts else (step,)
    return tuple(found)


def chosen(steps: Iterable[Step], pick: Callable[[Dim], int]) -> Iterator[Step]:
    """The steps in order, at each branch those of the variant that is picked."""
    for step in steps:
        if isinstance(step, Branch):
            yield from chosen(step.variants[pick(step.pick)], pick)
        else:
            yield step


def _mentioned(plan: Plan) -> Iterator[Dim]:
    """All Dims of the steps that an index may have to hold."""
    operands = list(plan.outputs)
    for step in with_parts(plan.steps):
        if isinstance(step, Launch):
            yield from (*step.dims, *step.grid)
        elif isinstance(step, HostCall):
            operands += [*step.inputs, step.output]
        elif isinstance(step, OwnCall):
            yield from step.sizes
            operands += [*step.inputs, *step.outputs]
        elif isinstance(step, Branch):
            yield step.pick
    for operand in operands:
        yield from (operand.offset, *operand.shape, *operand.strides)


def _shown(plan: Plan) -> Iterator[Dim]:
    """The Dims of the steps that are no index: work, operations, shapes."""
    for step in with_parts(plan.steps):
        if isinstance(step, Launch | HostCall):
            yield from (step.about.flops, step.about.reach, *(d for _, shape in step.about.writes for d in shape))
        if isinstance(step, Launch):
            yield step.work


def _own_steps(plan: Plan, session: Session, known: dict[int, Any]) -> dict[int, Any]:
    from runtime.own import own_step  # it loads the ops of the user's own
    return {id(s): known.get(id(s)) or own_step(s, session) for s in flatten(plan.steps) if isinstance(s, OwnCall)}


class Prepared:
    """A plan, its size program and its kernels.

    The kernels that every call needs and those of first variants are built at once, in one program; those of other variants when
    they are first picked, or by `complete`.  before: the like of a plan that this one has grown from.
    """

    def __init__(self, plan: Plan, atoms: Sequence[Atom], session: Session, memory: Memory, text_of: TextOf,
                 near: Session | None = None, before: Prepared | None = None) -> None:
        self.near, self.memory, self.native = near, memory, switchboard(near) is not None
        self.helpers = helpers_of(session) if self.native else 0
        self.plan, self.session, self.text_of = plan, session, text_of
        self.formula: dict[str, str] | None = None  # of the memory that calls take, once somebody has asked
        self.buffers = {b.name: b for b in plan.buffers}
        self.flags = next((b.name for b in plan.buffers if b.role == FLAGS), FLAGS)
        if any(isinstance(s, Check) or (isinstance(s, Launch) and code_of(s).flags) for s in flatten(plan.steps)):
            self.buffers.setdefault(self.flags, Buffer(self.flags, FLAGS, 0, "int64", dims.constant(4)))
        sizes = [*(b.size for b in self.buffers.values()), *_mentioned(plan)]
        shapes = [d for b in plan.buffers if b.about is not None for d in b.about.shape]
        self.numbers: Numbers = Numbers([*sizes, *shapes, *_shown(plan)], atoms, None if before is None else before.numbers)
        self._sizes = {d.text for d in sizes}
        known: dict[int, Block] = before.blocks if before is not None else {}
        data = [b.data for b in plan.buffers if b.data is not None]
        self.blocks: dict[int, Block] = {id(d): known[id(d)] if id(d) in known else memory.constant(d) for d in data}
        self.constants = {b.name: self.blocks[id(b.data)] for b in plan.buffers if b.data is not None}
        self.zeros = np.zeros(4, np.int64)
        self._kernels: dict[tuple[int, str], tuple[Any, Built]] = {}
        self._repeated: dict[tuple[int, tuple[tuple[str, str], ...], int], Step] = {}
        self._streamed = {id(s) for s in with_parts(plan.steps) if isinstance(s, Launch) and code_of(s).streamed}
        self._own: dict[int, Any] = _own_steps(plan, session, {} if before is None else before._own) if self.own else {}
        if before is not None:  # steps that were there are the same records
            mine = {id(s) for s in with_parts(plan.steps)}
            self._kernels.update((at, made) for at, made in before._kernels.items() if at[0] in mine)
        self._build((s, min(self._places(s), key=PLACES.index)) for s in chosen(plan.steps, lambda pick: 0))

    @property
    def free(self) -> Branch | None:
        """The branch between the forms of the plan, where it has several."""
        return next((s for s in self.plan.steps if isinstance(s, Branch) and s.free), None)

    @property
    def forms(self) -> tuple[tuple[Step, ...], ...]:
        """The forms of the plan, where it has several."""
        return () if self.free is None else self.free.variants

    @property
    def whole(self) -> bool:
        """Whether they have all been made."""
        return not any(isinstance(s, Later) for form in self.forms for s in form)

    def picked(self, found: dict[str, int]) -> int:
        """The form that the numbers of a call pick."""
        return 0 if self.free is None else found[self.free.pick.text]

    @property
    def own(self) -> bool:
        """Whether anything of the user's own runs, which is never done for trial."""
        return any(isinstance(s, OwnCall) for s in flatten(self.plan.steps))

    @property
    def kernels(self) -> list[Code]:
        """The kernels that have been built, each once, in the order of the plan."""
        steps = [s for s in flatten(self.plan.steps) if isinstance(s, Launch)]
        return list({code_of(s).name: code_of(s) for s in steps if any((id(s), p) in self._kernels for p in PLACES)}.values())

    def largest(self, found: dict[str, int]) -> int:
        """The largest number that an index may have to hold."""
        return max((found[text] for text in self._sizes), default=0)

    def complete(self) -> None:
        """Build the kernels of all variants, for each place that sizes may send them to."""
        for at in PLACES:
            self._build((s, at) for s in flatten(self.plan.steps) if at in self._places(s))

    def _places(self, step: Step) -> set[str]:
        """Where a launch may run."""
        if not isinstance(step, Launch) or self.near is None:
            return {FAR}
        return places(dims.bounds(step.work), self._shareable(step))

    def _place(self, step: Step, found: dict[str, int]) -> str:
        """Where a launch runs with these numbers."""
        if not isinstance(step, Launch) or self.near is None:
            return FAR
        return place(found[step.work.text], math.prod(found[g.text] for g in step.grid), self._shareable(step))

    def _shareable(self, step: Launch) -> bool:
        """Whether several threads can do a launch together."""
        return self.helpers > 0 and bool(code_of(step).job)

    def _build(self, steps: Iterable[tuple[Step, str]]) -> None:
        """Build what is missing among the kernels that these steps launch, together for each device."""
        wanted = [(s, p) for s, p in steps if isinstance(s, Launch) and (id(s), p) not in self._kernels]
        made: dict[tuple[str, str], Built] = {}
        for session, at in ((self.near, NEAR), (self.session, FAR)):
            unique = {code_of(s).name: code_of(s) for s, p in wanted if p == at}
            if session is not None and unique:
                built = program.build(session, list(unique.values()), self.text_of, self.native and at == NEAR)
                made |= {(at, name): b for name, b in zip(unique, built)}
        for step, at in wanted:
            code = code_of(step)
            built_one = made[at, code.name]
            launched = None if built_one.code else program.ready(built_one, code.buffers + code.flags, len(step.dims), code.wide)
            session = self.near if at == NEAR else self.session
            if launched is not None and session is not None:
                program.check_group(launched, session, step.local)
            self._kernels[id(step), at] = launched, built_one

    def fit(self, found: dict[str, int], form: int | None = None) -> Fit:
        """The plan with the numbers of a call; form: which variant of the plan's free branch to take, None for the one that sizes pick."""
        taken = self.plan.steps if form is None else [
            t for s in self.plan.steps for t in (s.variants[form] if isinstance(s, Branch) and s.free else (s,))]
        return self.fitted(tuple(chosen(taken, lambda pick: found[pick.text])), found)

    def repeated(self, step: Step, names: tuple[tuple[str, str], ...], number: int, made: Step) -> Step:
        """A step that runs once more, or on buffers of other names: always the same record for the same, since kernels are known by it."""
        assert not isinstance(made, Later)
        key = id(step), names, number
        if key not in self._repeated:
            self._repeated[key] = made._replace()
            for old, new in names:
                self.buffers.setdefault(new, self.buffers[old]._replace(name=new))
            if id(step) in self._streamed:
                self._streamed.add(id(self._repeated[key]))
            if id(step) in self._own:
                self._own[id(self._repeated[key])] = self._own[id(step)]
        return self._repeated[key]

    def fitted(self, steps: tuple[Step, ...], found: dict[str, int], packed: bool = False) -> Fit:
        """These steps with the numbers of a call; packed: more is tried to lay the intermediates out well."""
        uses = (*map(self.names, steps), tuple(o.buffer for o in self.plan.outputs))
        used = {n for names in uses for n in names}
        own = [b for b in self.buffers.values() if b.role in ("output", FLAGS) or (b.role == "temp" and b.name in used)]
        rooms = {b.name: room(found[b.size.text], np.dtype(b.dtype).itemsize) for b in own}
        temps = {b.name: rooms[b.name] for b in own if b.role == "temp"}
        offsets, space = min([layout(uses, temps), *[packing(uses, temps)] * packed], key=lambda one: one.total)
        return Fit(self.buffers, self.constants, self.flags, found, steps, uses, rooms, offsets, space,
                   self._wanted(uses, rooms, temps, space), tuple(self._view(o, found) for o in self.plan.outputs), self.plan.notes)

    def _wanted(self, uses: Sequence[Sequence[str]], rooms: dict[str, int], temps: dict[str, int], space: int) -> int:
        """The bytes that a call takes beside its arguments: on memory of its own each intermediate is a buffer, while it is needed."""
        size = self.memory.size
        if isinstance(self.memory, SharedMemory):
            return space + sum(r for n, r in rooms.items() if n not in temps and n != self.flags)
        return sum(size(r) for n, r in rooms.items() if n not in temps) + max(loads(uses, {n: size(r) for n, r in temps.items()}))

    def bind(self, fit: Fit, copies: bool) -> Bound:
        """The kernels of a fit built, and what to run."""
        where = [self._place(s, fit.found) for s in fit.steps]
        self._build(zip(fit.steps, where))
        return Bound(fit, tuple(self._actions(fit.steps, where, fit.found)), copies)

    def quicken(self, bound: Bound, leaves: Sequence[Leaf], state: State, kept: int, often: Callable[..., None] | None = None) -> Bound:
        """The bound plan with a function written for it; often: what that does with the number of a
        call and its arguments when it has been called often."""
        assert isinstance(self.memory, SharedMemory)
        fit, found = bound.fit, bound.fit.found
        counts = {n: (found[b.size.text], np.dtype(b.dtype)) for n, b in self.buffers.items() if b.role == "output"}
        blocks = {**self.constants, self.flags: self.memory.leaf(self.zeros, False)}
        known = {b.number: b.name for b in self.buffers.values() if b.role == "leaf"}
        full = [leaf._replace(name=known.get(i)) for i, leaf in enumerate(leaves)]
        for leaf in full:
            if leaf.name is not None and 0 in leaf.shape:
                blocks[leaf.name] = self.memory.leaf(np.empty(0, leaf.dtype), False)
        aligned = frozenset(n for s in fit.steps if id(s) in self._streamed for n in self.names(s))
        case = Case(tuple(full), bound.actions, fit.outputs, counts, aligned, fit.temporaries, fit.offsets, fit.space, blocks,
                    self.zeros, fit.wanted, kept, bound.told, often)
        quick = write(case, state)
        quick.kernels = self  # whoever calls it holds the code that it jumps to
        return bound._replace(quick=quick)

    def names(self, step: Step) -> tuple[str, ...]:
        """The buffers that a step reads or writes."""
        return self._arguments(step) if isinstance(step, Launch) else touched(step)

    def _actions(self, steps: Sequence[Step], where: Sequence[str], found: dict[str, int]) -> Iterator[Action]:
        for step, at in zip(steps, where):
            if isinstance(step, Launch):
                grid = tuple(found[g.text] for g in step.grid)
                if all(n > 0 for n in grid):
                    kernel, built = self._kernels[id(step), at]
                    yield KernelCall(kernel, self._arguments(step), tuple(found[d.text] for d in step.dims), grid, step.local, at,
                                     built.code, found[step.work.text], self._shareable(step) and math.prod(grid) > 1)
            elif isinstance(step, HostCall):
                inputs, output = tuple(self._view(o, found) for o in step.inputs), self._view(step.output, found)
                yield _called(step.function, inputs, output, step.params)
            elif isinstance(step, OwnCall):
                views = [tuple(self._view(o, found) for o in side) for side in (step.inputs, step.outputs)]
                yield self._own[id(step)](views[0], views[1], tuple(found[d.text] for d in step.sizes))
            elif isinstance(step, Check):
                yield FaultCheck(step.sites, view_of(self.flags, np.dtype("int64"), 0, (4,), (1,)))
            else:
                assert isinstance(step, Commit)

    def _arguments(self, launch: Launch) -> tuple[str, ...]:
        """The buffers of a launch, the flags at the end where the kernel takes them and the plan does not list them."""
        code = code_of(launch)
        return launch.buffers + (self.flags,) * (code.buffers + code.flags - len(launch.buffers))

    def _view(self, operand: Operand, found: dict[str, int]) -> View:
        return view_of(operand.buffer, np.dtype(self.buffers[operand.buffer].dtype), found[operand.offset.text],
                       tuple(found[d.text] for d in operand.shape), tuple(found[d.text] for d in operand.strides))
