"""The executable: from the sizes of a call to a plan, from a plan to launches, and back to arrays."""
from __future__ import annotations

import contextlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from codegen.growth import Wanted, every
from codegen.plan import Plan
from codegen.target import Target
from exprgraph import dims
from exprgraph.dims import Dim, Value
from exprgraph.errors import AllocationError, AssertionFault, DeviceError, OwnOpError, ShapeError, ValueFault
from exprgraph.footprint import Footprint, Given
from exprgraph.node import SHARED
from exprgraph.phases import listening, phase
from exprgraph.program import Program, is_watched
from exprgraph.resident import DeviceArray
from exprgraph.within import keeps, limit_of
from runtime import choices, crashes, footprint, report
from runtime.device import Device, check_process, devices, session
from runtime.direct import State
from runtime.failures import told
from runtime.generator import Generator, narrower
from runtime.later import Residents, is_short, may_wait, stay
from runtime.leaves import CONTIGUOUS, Arguments, Leaves, no_call, shapes_of
from runtime.memory import CopiedMemory, SharedMemory, check_budget, memory_of, span
from runtime.owned import queued
from runtime.planning import Key, Relations, fuller, generated, lacks, taken, worth
from runtime.prepared import Bound, Prepared, chosen, in_parts
from runtime.program import GroupLimit

PLANS, REMEMBERED, RECENT = 8, 256, 16
"""How many plans a function has, of how many sizes it keeps what is bound, and of how many it finds that by shapes alone."""
REHEARSED = 1 << 20
"""The most elements that a rehearsal may touch."""
NARROW = 2**30  # 32-bit loops and chunks may run past the end of what they cover, by less than its own length


class DeviceExecutable:
    """A program on one device: called with one value per leaf, it returns one value per output.

    Calls from several threads that use a workspace or take long run one after the other.  The default plan (sizes that must fit are
    equal, arguments without gaps) is built at once, so that its errors come from the compile, but for what large graphs leave for later.
    """

    def __init__(self, program: Program, device: Device, target: Target, generator: Generator) -> None:
        self.program, self.device, self.target, self.generator = program, device, target, generator
        self.kept = generator.kept(program, device, target) if generator.kept else None
        self.session, self.watched = session(device), is_watched(program.options)
        self.memory = CopiedMemory(self.session) if self.watched else memory_of(self.session)
        self.leaves = Leaves(program.leaves, self.memory)
        shared = isinstance(self.memory, SharedMemory)
        self.near = next((session(d)._replace(asked=device) for d in devices() if d.spec == device.sibling), None) if shared else None
        self.state = State(self.session, self.near, self.memory) if isinstance(self.memory, SharedMemory) else None
        self._fixed = target.deterministic or self.state is None or bool(program.options.get("max_bytes"))
        self.quick: Callable[..., list[Any] | None] = no_call
        self._recent: OrderedDict[Any, Bound] = OrderedDict()
        self.plans: dict[Key, Prepared] = {}
        self._traces: dict[Key, Any] = {}
        self._kept = tuple(n.op is SHARED for n in program.leaves)
        self._asks_here = any(program.stays)  # functions whose results stay do not ask for the quick way first
        self.residents = Residents(self._kept, stay(program), self._name, device.spec, self.state.slim) if self.state else None
        self._bounds: OrderedDict[Any, Bound] = OrderedDict()
        self._relations = Relations(generator, program.graph, self.leaves.atoms)
        self._valued: tuple[int, ...] = ()
        self._lock = threading.RLock()
        self._warm = False
        self._equal: tuple[str, ...] | None = ("equal",) * len(self._relations.pairs)
        self._watch_values(self._relations.numbers.dims)
        with told(self.session):
            self._build_default()

    def _build_default(self) -> None:
        """All pairs equal; where that contradicts itself, as for x[:1] beside 2 elements and beside 1, the general plan instead."""
        try:
            self._plan((self._equal, self._compact, False))
        except ShapeError:
            if self._general is not None:
                raise
            self._equal = None
            self._plan((None, self._compact, False))

    @property
    def _name(self) -> str:
        """The function's name for messages."""
        return self.program.options.get("name") or "a function"

    @property
    def _compact(self) -> str:
        return CONTIGUOUS * len(self.program.leaves)

    @property
    def _general(self) -> tuple[str, ...] | None:
        """The outcomes of the general plan: undecided, where there is anything to decide."""
        return None if any(getattr(p, "kind", None) != "eq" for p in self._relations.pairs) else self._equal

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run on NumPy or device arrays, to results that share memory with nothing; has finished unless all of them stay on the device."""
        check_process()
        there = self.residents is not None and self.residents.are_there(values, self.leaves.scalars)
        given = values if there else self.memory.usable(values)  # this waits for other calls, which may need the lock
        with self._lock, crashes.settling():
            if self.session.lost:
                self._make_anew(self.target)
            bound, done = self._begun(given, there)
        if done is not None:
            return done
        assert self.residents is not None
        found = self.residents.call(self, bound, values)
        return self(self.memory.usable(values)) if found is None else found

    def _begun(self, values: Sequence[Any], there: bool) -> tuple[Bound, list[Any] | None]:
        """What a call is bound to, and its results, unless all its arguments and results stay on the device."""
        while True:
            try:
                with told(self.session):
                    arguments = self.leaves.read(values)
                    bound = self._bound_to(arguments)
                    if not there:
                        return bound, self._run(bound, arguments.compact() if bound.copies else arguments)
                    self._remember(bound, arguments)
                    return bound, None
            except GroupLimit as error:
                self._make_anew(narrower(self.target, error))

    def _make_anew(self, target: Target) -> None:
        """After the device was lost, or for smaller groups: everything that was built is built again."""
        fresh = DeviceExecutable(self.program, self.device, target, self.generator)
        self.__dict__.update({name: value for name, value in fresh.__dict__.items() if name != "_lock"})

    def _bound_to(self, arguments: Arguments) -> Bound:
        key = self.leaves.key(arguments, self._valued)
        bound = self._bounds.get(key)
        if bound is not None and keeps(self.program.options, bound.needs):
            self._bounds.move_to_end(key)
            return bound
        with listening(self.program.options.get("profile")):
            bound = self._bind(arguments)
        self._bounds[self.leaves.key(arguments, self._valued)] = bound
        if len(self._bounds) > REMEMBERED:
            self._bounds.popitem(last=False)
        return bound

    def again(self, values: Sequence[Any], checked: bool) -> list[Any] | None:
        """The outputs where the shapes are among the latest and the values are like those of then: without this class's lock."""
        try:
            found = self._recent.get(shapes_of(values))
        except (AttributeError, TypeError):  # what has no shape is looked at by `read`
            return None
        if found is None:
            return None
        if self._asks_here:
            return found.quick(*values, checked=checked) if self.residents is None else self.residents.call(self, found, values, checked)
        done: list[Any] | None = None if found.quick is self.quick else found.quick(*values, checked=checked)
        if done is not None:
            self.quick = found.quick
        elif self.residents is not None and any(isinstance(v, DeviceArray) for v in values):
            done = self.residents.call(self, found, values, checked)
        return done

    def rehearse(self) -> None:
        """Run the default plan once on zeros of the least sizes: drivers for CPUs generate machine code at the first launch only, so
        errors show and time is spent here.  Left to the first call where the least sizes do not fit the graph or are large."""
        if self.device.kind != "cpu" or self.watched:
            return
        arguments = self.leaves.least(REHEARSED)
        if arguments is None:
            return
        vector = self.leaves.vector(arguments)
        with contextlib.suppress(ShapeError, IndexError, ValueFault, AssertionFault, MemoryError):
            if self._relations(vector) == self._equal:
                key = self._equal, self._compact, False
                whole = self._plan(key).whole  # else its first form, which is right for any sizes, but not what calls stay with
                form = self._form(self._plan(key), shapes_of(arguments.values)) if whole else (0, None)
                prepared, found = self._numbers(key, vector, form[0])
                if not prepared.own and prepared.largest(found) <= REHEARSED:
                    with phase("rehearse", self.program.options.get("name") or ""):
                        self._run(self._ready(key, found, arguments, *form), arguments, whole)

    def source(self) -> str:
        """The text of every kernel built so far, with what it computes and the user's lines."""
        return report.source(self.plans)

    def why(self) -> str:
        """A few lines per plan: its key, its kernels and its steps."""
        return report.why(self.plans, self.device, self._general, self.kept.why if self.kept else lambda key: "")

    def warm(self) -> None:
        """Build all variants of the default plan and of the general plan; from now on no call builds anything, except that the
        first one whose sizes reach 2^30 builds the plan with 64-bit indices."""
        check_process()
        with self._lock, crashes.settling():
            while True:
                try:
                    self._complete()
                    break
                except GroupLimit as error:
                    self._make_anew(narrower(self.target, error))
            if self.state is not None and self.state.board is not None:
                self.state.helpers.ready(always=True)
            self._warm = True

    def _complete(self) -> None:
        for key in dict.fromkeys([(self._equal, self._compact, False), (self._general, self._compact, False), *self.plans]):
            self._grown(key, every).complete()

    def memory_of(self, given: Sequence[Given] | None, sizes: Mapping[str, int]) -> Footprint:
        """What calls take of memory; given: the shapes of the arguments and the values of integer scalars, None where only the formula
        is wanted.  MissingSizeError for an integer scalar that sizes rest on and that was not given.  Nothing runs."""
        footprint.check_sizes(sizes)
        with self._lock:
            key = self._equal, self._compact, False
            default = self._plan(key)
            default.formula = told = default.formula or footprint.formulas(
                self.program, fuller(default.plan, every, partial(self._generate, key)), default.names)
            if given is None:
                return Footprint(self.program.options.get("name") or "f", self.device.name, told)
            return replace(footprint.footprint(self._imagined(given)), formula=told)

    def _imagined(self, given: Sequence[Given]) -> footprint.Call:
        """A call that nobody makes."""
        shapes, vector, most = footprint.imagined(self.leaves, given)
        key, found, (form, _) = self._chosen(vector, shapes, self._compact, most >= NARROW)
        footprint.check_known(self.program, given, self._valued)
        return self._call(self._plan(key), found, form, shapes)

    def _call(self, prepared: Prepared, found: dict[str, int], form: int | None, shapes: Sequence[tuple[int, ...]]) -> footprint.Call:
        """The memory of a call, within `max_bytes` where there is such a bound."""
        call = footprint.Call(self.program, self.memory, prepared.fit(found, form), tuple(shapes))
        if (limit := limit_of(self.program.options)) is not None:
            from runtime.bounded import bounded  # rarely needed
            return bounded(prepared, call, limit)
        return call

    def free(self) -> None:
        """Give back the workspace, what belongs to the sizes met so far, and all memory of the device that nobody uses."""
        check_process()
        with self._lock:
            if self.state is not None:
                self.state.slim(0)
            self._bounds.clear()
            self._recent.clear()
            self.quick = no_call
            self.memory.idle.clear()

    def _plan(self, key: Key) -> Prepared:
        """The plan for a key, made where there is none yet."""
        if key in self.plans:
            return self.plans[key]
        with phase("generate", self.program.options.get("name") or ""):
            plan = self._generate(key) if self.kept is None else self.kept.plan(key, partial(self._generate, key))
        return self._prepared(key, fuller(plan, every, partial(self._generate, key)) if self._warm else plan)

    def _prepared(self, key: Key, plan: Plan) -> Prepared:
        """From now on the plan for a key is this one."""
        if self.watched:  # each part of a joined launch for itself
            plan = plan._replace(steps=in_parts(plan.steps))
        try:
            found = Prepared(plan, self.leaves.atoms, self.session, self.memory, self.generator.text_of, self.near, self.plans.get(key))
        except OwnOpError as error:  # of a text, which does not know who calls it
            raise (error.called(self.program.graph) if hasattr(error, "called") else error) from None
        self._watch_values(found.numbers.dims)
        if self._warm:
            found.complete()
        self.plans[key] = found  # not before: an interrupt may come between any two lines
        return found

    def _grown(self, key: Key, wanted: Wanted) -> Prepared:
        """The plan for a key, with variants that are wanted."""
        found = self._plan(key)
        if not lacks(found.plan, wanted):
            return found
        with phase("generate", self.program.options.get("name") or ""):
            plan = fuller(found.plan, wanted, partial(self._generate, key))
        if self.kept is not None and not self.watched:
            self.kept.keep(key, plan)
        return self._prepared(key, plan)

    def _numbers(self, key: Key, vector: Sequence[int], form: int | None, tried: bool = False) -> tuple[Prepared, dict[str, int]]:
        """The plan for a key, with all variants that a call with these sizes takes, and the numbers of the call.  form: the one to take,
        None for the one that sizes pick; tried: whether each is taken."""
        before = self._plan(key)
        found = before.numbers(vector)
        tried = tried or bool(self.program.options.get("max_bytes"))
        prepared = self._grown(key, taken(found, partial(self._relations.value, vector), form, tried))
        return prepared, found if prepared is before else prepared.numbers(vector)

    def _generate(self, key: Key) -> Plan:
        return generated(self.generator, self.program, self.target, key, self._traces)

    def _watch_values(self, wanted: Sequence[Dim]) -> None:
        """From now on the integer scalars that these Dims rest on are part of what a call is remembered by."""
        read = {self.leaves.position[a.source] for a in dims.atoms(wanted) if isinstance(a, Value)}
        if not read <= set(self._valued):
            self._valued = tuple(sorted(read.union(self._valued)))
            self._bounds.clear()
            self._recent.clear()
            self.quick = no_call

    def _bind(self, arguments: Arguments) -> Bound:
        """Check the sizes of a call, choose its plan and compute its numbers."""
        wide = any(isinstance(v, np.ndarray) and span(v) >= NARROW for v in arguments.values)
        key, found, form = self._chosen(self.leaves.vector(arguments), shapes_of(arguments.values), arguments.layouts, wide)
        return self._ready(key, found, arguments, *form)

    def _chosen(self, vector: Sequence[int], shapes: Sequence[Sequence[int]], layouts: str, wide: bool
                ) -> tuple[Key, dict[str, int], tuple[int | None, str | None]]:
        """The plan for the sizes of a call, its numbers, and `_form` of it; the error of what does not fit."""
        outcomes = self._relations(vector)
        for wider in dict.fromkeys((wide, True)):
            key = self._choose((outcomes, layouts, wider))
            form = self._form(self._plan(key), shapes)
            prepared, found = self._numbers(key, vector, form[0])
            if key[2] or prepared.largest(found) < NARROW:
                break
        return key, found, form

    def _ready(self, key: Key, found: dict[str, int], arguments: Arguments, form: int | None, name: str | None) -> Bound:
        """The plan bound to the numbers of a call, in a form, or in the one that sizes pick until another is found to be faster."""
        often = partial(self._compare, key, name) if form is None and name is not None else None
        return self._bound(self._plan(key), found, arguments, key[1] != arguments.layouts, form, often)

    def _form(self, prepared: Prepared, shapes: Sequence[Sequence[int]]) -> tuple[int | None, str | None]:
        """The form that was found to be the fastest for such shapes, and the name under which it is kept; None where there is no choice."""
        if not prepared.forms or prepared.own or self._fixed or sum(map(math.prod, shapes)) < choices.LEAST:
            return None, None
        name = choices.name_of(chosen(prepared.plan.steps, lambda pick: 0), len(prepared.forms), shapes)
        return choices.recall(self.device, name, len(prepared.forms)), name

    def _bound(self, prepared: Prepared, found: dict[str, int], arguments: Arguments, copies: bool, form: int | None = None,
               often: Callable[..., None] | None = None) -> Bound:
        call = self._call(prepared, found, form, shapes_of(arguments.values))
        bound = prepared.bind(call.fit, copies)._replace(told=partial(footprint.told, call), needs=call.needs)
        own = arguments.compact() if copies else arguments
        leaves = self.leaves.alike(own, self._valued)
        bound = bound._replace(leaves=leaves, late=may_wait(bound.actions), short=is_short(bound.actions))
        try:
            if self.state is None:
                trace = [t for key, t in self._traces.items() if self.plans.get(key) is prepared]
                return bound._replace(quick=queued(self, bound, own.values, *trace))
            return prepared.quicken(bound, leaves, self.state, self.program.n_outputs, often)
        except AllocationError as error:
            raise bound.told(error) from error.__cause__

    def _compare(self, key: Key, name: str, calls: int, *values: Any) -> None:
        """Time the forms of a plan on the arguments of a call, and take the fastest one for such calls from now on."""
        with self._lock, contextlib.suppress(AllocationError, DeviceError, GroupLimit, IndexError, MemoryError, ValueFault, AssertionFault):
            arguments = self.leaves.read(values)
            copies = key[1] != arguments.layouts
            own = arguments.compact() if copies else arguments
            if not worth(self._plan(key).forms, calls, partial(self._bound_to(arguments).quick, *own.values, trusted=True)):
                return
            prepared, found = self._numbers(key, self.leaves.vector(arguments), None, True)
            if not key[2] and prepared.largest(found) >= NARROW:  # of a form that has just been made
                return
            bounds = [self._bound(prepared, found, arguments, copies, form) for form in range(len(prepared.forms))]
            for bound in bounds:
                check_budget(self.memory, bound.fit.wanted, max(bound.fit.rooms.values(), default=0))
            runs = [partial(b.quick, *own.values, trusted=True) for b in bounds]
            with phase("time", f"{len(runs)} forms of a plan"):
                best = choices.fastest(runs, prepared.picked(found))
            if best is not None:
                choices.remember(self.device, name, best)
                self._bounds[self.leaves.key(arguments, self._valued)] = bounds[best]
                self._remember(bounds[best], own)

    def _choose(self, key: Key) -> Key:
        """The key itself, or where no more plans are to be made one that serves it too, at the price of copying strided arguments."""
        if key in self.plans or not (self._warm or len(self.plans) >= PLANS):
            return key
        copied: Key = (key[0], self._compact, key[2])
        return copied if copied in self.plans else (self._general, self._compact, key[2])

    def _run(self, bound: Bound, arguments: Arguments, again: bool = True) -> list[Any]:
        if self.state is not None:
            largest = max([*bound.fit.rooms.values(), *(span(v) * v.itemsize for v in arguments.values)], default=0)
            check_budget(self.memory, bound.fit.wanted, largest, bound.told)
        done: list[Any] | None = bound.quick(*arguments.values, trusted=True)
        if done is None:
            check_process()
            raise DeviceError(f"{self.device.name} cannot be used by this process any more")
        if (self.state is None or not self.state.slim()) and again:
            self._remember(bound, arguments)
        return done

    def _remember(self, bound: Bound, arguments: Arguments) -> None:
        """The function that ran is the first to be asked by the next call, and among those that are asked by shapes."""
        self._recent[shapes_of(arguments.values)] = bound
        self.quick = bound.quick
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
