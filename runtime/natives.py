"""The native calls of a case: recipes for all of it, for some of its launches, and for looking at its arguments only."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codegen import switchboard as board
from runtime.actions import FaultCheck, KernelCall
from runtime.case import Case
from runtime.direct import faulted
from runtime.memory import Array, data_of
from runtime.native import Switchboard
from runtime.recipe import ANYTHING, FAULT, Job, Space, leaf, recipe
from runtime.together import Helpers

LONG = 100_000_000
"""Picoseconds from which on other threads of Python go on meanwhile."""


def is_long(launches: Sequence[KernelCall]) -> bool:
    """Whether a native call of these launches lets go of the lock of the interpreter."""
    return sum(a.work for a in launches) >= LONG


def _seen(made: Array) -> Array:
    """Where a recipe keeps the fault that a call has found."""
    at = board.RECIPE["SEEN"]
    return made[at:at + 4]


class Natives:
    """Recipes and functions for one case; whole: whether one native call does everything."""

    def __init__(self, case: Case, switchboard: Switchboard | None, space: Array, helpers: Helpers) -> None:
        self.case, self.switchboard, self.space, self.helpers = case, switchboard, space, helpers
        others = [a for a in case.actions if not isinstance(a, FaultCheck)]
        launches = [a for a in others if isinstance(a, KernelCall) and a.kernel is None]
        self.whole = (switchboard is not None and len(launches) == len(others) and not is_long(launches)
                      and all(v.buffer in case.counts for v in case.results))

    def function(self, made: Array, sure: bool = False) -> Callable[..., Any]:
        """The function of a recipe; sure: it does not look at its arguments."""
        assert self.switchboard is not None
        return self.switchboard.of(made, sure)

    def looks(self) -> Array:
        """The recipe of a call that looks at the arguments and does nothing."""
        return recipe(self._leaves())

    def all(self) -> Array:
        """The recipe of all launches: it is called with the arguments and with memory for the results."""
        faults = any(isinstance(a, FaultCheck) for a in self.case.actions)
        numbers: dict[str | None, int] = {one.name: i for i, one in enumerate(self.case.leaves) if one.name not in self.case.blocks}
        numbers |= {name: len(self.case.leaves) + k for k, name in enumerate(self.case.counts)}
        launches = [self._job(a, numbers) for a in self.case.actions if isinstance(a, KernelCall)]
        space = Space(data_of(self.space), self.case.space) if self.case.offsets or faults else None
        return recipe([*self._leaves(), *[ANYTHING] * len(self.case.counts)], launches, self._box(), space,
                      data_of(self.case.flags) if faults else 0)

    def some(self, launches: Sequence[KernelCall], buffers: Sequence[str]) -> Array:
        """The recipe of launches that somebody makes who holds the workspace: it is called with arrays for these buffers."""
        numbers: dict[str | None, int] = {name: k for k, name in enumerate(buffers)}
        return recipe([ANYTHING] * len(buffers), [self._job(a, numbers) for a in launches], self._box(),
                      Space(data_of(self.space), self.case.space, True), long=is_long(launches))

    def fault(self, check: FaultCheck, arguments: Sequence[Any]) -> Any:
        """What a call comes to that has found a fault, when it is made once more with a recipe of its own, in which no other thread
        notes its fault."""
        made = self.all()
        outcome = self.function(made, True)(*arguments)
        if outcome is FAULT:
            raise faulted(check.sites, _seen(made))
        return outcome

    def _box(self) -> tuple[int, int]:
        return data_of(self.helpers.box), self.helpers.count

    def _leaves(self) -> list[tuple[int, ...]]:
        return [leaf(one.dtype, one.shape, one.strides, one.value) for one in self.case.leaves]

    def _job(self, action: KernelCall, numbers: dict[str | None, int]) -> Job:
        """A launch, with the number of the argument for each buffer that is one."""
        def where(name: str) -> tuple[int | None, int | None, int | None]:
            if name in numbers:
                return numbers[name], None, None
            if name in self.case.blocks:
                host = self.case.blocks[name].host
                assert host is not None
                return None, data_of(host), None
            return None, None, self.case.offsets[name]
        return Job(action.code, action.grid, action.work * action.shared, tuple(map(where, action.buffers)), action.scalars)
