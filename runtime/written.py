"""The text of the functions of `runtime.direct`: argument checks, pointers, launches, host calls, results."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from runtime import choices, pages
from runtime.actions import Action, FaultCheck, FunctionCall, KernelCall, OwnAction
from runtime.case import Case
from runtime.checks import checks
from runtime.direct import Fixed, Setting, State, Writer
from runtime.failures import reentrant
from runtime.memory import View
from runtime.natives import Natives, is_long
from runtime.together import FAR, NEAR

NOTICED = 1 << 16
"""Bytes of results and intermediates from which on a call asks whether the device has them left."""


def write(case: Case, state: State) -> Any:
    """The function of a case."""
    return _Text(case, state).made()


def _hosts(action: Action) -> tuple[View, ...]:
    """What is handed to a function as arrays."""
    if isinstance(action, OwnAction):
        return *action.inputs, *action.outputs
    return (*action.inputs, action.output) if isinstance(action, FunctionCall) else ()


class _Text:
    """The parts of the function, in order."""

    def __init__(self, case: Case, state: State) -> None:
        self.case, self.state, self.w = case, state, Writer()
        self.leaf = {leaf.name: i for i, leaf in enumerate(case.leaves) if leaf.name is not None}
        self.outputs = {name: f"o{k}" for k, name in enumerate(case.counts)}
        self.native = Natives(case, state.board, state.space, state.helpers)
        self.launched = {b for a in case.actions if isinstance(a, KernelCall) and a.kernel is not None for b in a.buffers}
        self.compact = self._shapes()
        self.views: list[View] = []
        self.found: list[Any] = []
        self.pending: str | None = None

    def made(self) -> Any:
        """The text, compiled, and what it is bound to."""
        w, case = self.w, self.case
        setting = len(w.constants)
        w.constants.append(None)
        if case.wanted >= NOTICED:
            account, left = w.const(self.state.memory.account), w.const(self.state.session.device.memory - case.wanted)
            w.emit(2, f"if not trusted and {account}.bytes + {w.const(pages.POOL)}.bytes > {left}: return None")
        if not self.native.whole:
            w.emit(2, f"if {w.const(self.state.session.lost)}: return None")
        if self.native.whole:
            self._call(f"c{setting}")
        else:
            self._steps(f"c{setting}")
        self._results()
        launches = tuple(self._fixed(a) for a in case.actions if isinstance(a, KernelCall) and a.kernel is not None)
        w.constants[setting] = Setting(case.space, case.offsets, case.rooms, case.blocks, launches, tuple(self.views), self.found,
                                       case.flags, case.leaves)
        return w.function([f"v{i}" for i in range(len(case.leaves))])

    def _call(self, setting: str) -> None:
        """Everything in one native call."""
        w, arguments = self.w, ", ".join([*(f"v{i}" for i in range(len(self.case.leaves))), *self.outputs.values()])
        recipe = self.native.all()
        calls = [w.const(self.native.function(recipe, sure)) for sure in (True, False)]
        w.emit(2, "try:")
        self._fresh()
        w.emit(2, "except BaseException as error:")
        w.emit(3, f"raise {self._told(self.state.translated)}(error)")
        w.emit(2, f"s = {calls[0]}({arguments}) if trusted else {calls[1]}({arguments})")
        w.emit(2, "while s is not done:")
        w.emit(3, "if s is refused: return None")
        for check in [a for a in self.case.actions if isinstance(a, FaultCheck)]:
            w.emit(3, f"if s is fault: s = {w.const(self.native.fault)}({w.const(check)}, ({arguments},)); continue")
        w.emit(3, "try:")
        w.emit(4, f"s = {w.const(self.state.settle)}(s, {calls[0]} if trusted else {calls[1]}, ({arguments},), {setting})")
        w.emit(3, "except MemoryError as error:")
        w.emit(4, f"raise {w.const(self.case.told)}(error)")

    def _told(self, seen_to: Callable[[BaseException], BaseException]) -> str:
        """The name of what sees to a fault and says what it is called."""
        told = self.case.told
        return self.w.const(lambda error: told(seen_to(error)))

    def _steps(self, setting: str) -> None:
        """One action after the other; alone, if anything is used that calls share."""
        w, state, alone = self.w, self.w.const(self.state.space), self._alone()
        self._checks()
        if alone:
            w.emit(2, f"with {w.const(self.state.lock)}:")
            w.emit(3, f"if {state}[0]: raise {w.const(reentrant)}()")
        guarded = len(w.lines)
        w.emit(2, "try:")
        if alone:
            w.emit(3, f"{state}[0] = 1")
            w.emit(3, f"if {w.const(self.state)}.setting is not {setting}: {w.const(self.state.install)}({setting})")
        self._pointers()
        self._fresh()
        for native, actions in groupby(self.case.actions, lambda a: isinstance(a, KernelCall) and a.kernel is None):
            if native:
                self._native(list(actions))
            else:
                for action in actions:
                    self._action(action)
        self._wait()
        w.emit(2, "except BaseException as error:")
        w.emit(3, f"raise {self._told(self.state.fail if alone else self.state.translated)}(error)")
        if alone:
            w.emit(2, f"finally: {state}[0] = 0")
            w.lines[guarded:] = [" " + line for line in w.lines[guarded:]]

    def _alone(self) -> bool:
        """Whether anything is used that calls share: the workspace, kernels that hold their arguments, records of long jobs, flags."""
        hosts = [v for a in self.case.actions for v in _hosts(a)]
        launches = [a for a in self.case.actions if isinstance(a, KernelCall)]
        return (any(a.kernel is not None for a in launches) or any(isinstance(a, OwnAction) for a in self.case.actions) or is_long(launches)
                or any(isinstance(a, FaultCheck) for a in self.case.actions) or bool(self.case.offsets)
                or any(v.buffer in self.case.blocks for v in (*hosts, *self.case.results)))

    def _checks(self) -> None:
        """Look at the arguments."""
        w = self.w
        if self.state.board is None:
            checks(w, self.case.leaves)
            return
        arguments = ", ".join(f"v{i}" for i in range(len(self.case.leaves)))
        w.emit(2, f"if not trusted and {w.const(self.native.function(self.native.looks()))}({arguments}) is not done: return None")
        for i in [i for i, leaf in enumerate(self.case.leaves) if not leaf.shape]:
            w.emit(2, f"if type(v{i}) is not ndarray: v{i} = array(v{i}, {w.const(self.case.leaves[i].dtype)})")

    def _native(self, actions: Sequence[Any]) -> None:
        """Launches that follow each other, in one native call."""
        self._wait()
        w, names = self.w, {**{n: f"v{i}" for n, i in self.leaf.items() if n not in self.case.blocks}, **self.outputs}
        used = [n for n in names if any(n in a.buffers for a in actions)]
        call, arguments = w.const(self.native.function(self.native.some(actions, used), True)), ", ".join(names[n] for n in used)
        w.emit(3, f"while (s := {call}({arguments})) is asleep: {w.const(self.state.helpers.wake)}()")
        w.emit(3, f"if s is not done: raise {w.const(self.state.stuck)}()")


    def _fixed(self, action: KernelCall) -> Fixed:
        """What stays the same between calls."""
        names = tuple(None if b in self.leaf and b not in self.case.blocks or b in self.outputs else b for b in action.buffers)
        return Fixed(action.kernel, names, action.scalars)

    def _shapes(self) -> dict[str, View]:
        """The first view of each output buffer that covers all of it."""
        found: dict[str, View] = {}
        for view in self.case.results:
            whole = self.case.counts.get(view.buffer)
            if whole is not None and view.compact and int(np.prod(view.shape)) == whole[0]:
                found.setdefault(view.buffer, view)
        return found

    def _pointers(self) -> None:
        """What the driver's kernels and NumPy's functions are given for the arguments."""
        w, frozen = self.w, self.w.const(self.state.frozen)
        hosts = {v.buffer for a in self.case.actions for v in _hosts(a)}
        hosts |= {v.buffer for v in self.case.results}
        for name, i in self.leaf.items():
            leaf = self.case.leaves[i]
            if leaf.strides is not None and name in self.launched | hosts:
                w.emit(3, f"h{i} = flat(v{i})")
            if name in self.launched and name not in self.case.blocks:
                source = f"v{i}" if leaf.strides is None else f"h{i}"
                w.emit(3, f"p{i} = SVM({source}) if {source}.flags.writeable else {frozen}({source})")

    def _fresh(self) -> None:
        """Memory for the results."""
        w = self.w
        for name, variable in self.outputs.items():
            count, dtype = self.case.counts[name]
            shape = self.compact[name].shape if name in self.compact else (count,)
            nbytes = count * dtype.itemsize
            make = "page" if nbytes >= pages.SMALLEST or name in self.case.aligned else "empty"
            size = "" if make == "empty" else f", {w.const(nbytes)}"
            w.emit(3, f"{variable} = {make}({w.const(shape)}, {w.const(dtype)}{size})")
            if name in self.launched:
                w.emit(3, f"q{variable} = SVM({variable})")
        if not self.outputs:
            w.emit(3, "pass")

    def _action(self, action: Action) -> None:
        if isinstance(action, KernelCall):
            self._launch(action)
        elif isinstance(action, FunctionCall):
            self._wait()
            self._halt()
            inputs = ", ".join(self._view(v) for v in action.inputs)
            self.w.emit(3, f"{self.w.const(action.function)}({inputs}, out={self._view(action.output)})")
        elif isinstance(action, OwnAction):
            self._wait()
            self._halt()
            inputs, outputs = ("".join(self._view(v) + ", " for v in views) for views in (action.inputs, action.outputs))
            self.w.emit(3, f"{self.w.const(action.function)}(({inputs}), ({outputs}))")
        else:
            assert isinstance(action, FaultCheck)
            self._wait()
            flags = self.w.const(self.case.flags)
            self.w.emit(3, f"if {flags}[0]: raise faulted({self.w.const(action.sites)}, {flags})")

    def _launch(self, action: KernelCall) -> None:
        """A launch by the driver, which those on another device wait for."""
        w, session = self.w, self.state.near if action.place == NEAR else self.state.session
        assert session is not None
        finish = w.const(session.queue.finish)
        if self.pending != finish:
            self._wait()
        if action.place == FAR:
            self._halt()
        set_arg = w.const(action.kernel.set_arg)
        for number, name in enumerate(action.buffers):
            if name in self.outputs:
                w.emit(3, f"{set_arg}({number}, q{self.outputs[name]})")
            elif name in self.leaf and name not in self.case.blocks:
                w.emit(3, f"{set_arg}({number}, p{self.leaf[name]})")
        w.emit(3, f"enqueue({w.const(session.queue)}, {w.const(action.kernel)}, {w.const(action.grid)}, {w.const(action.local)})")
        self.pending = finish

    def _halt(self) -> None:
        """The cores are for what comes now."""
        if self.state.board is not None:
            self.w.emit(3, f"{self.w.const(self.state.helpers.stop)}[0] = 1")

    def _wait(self) -> None:
        """Wait for what was launched since the last time."""
        if self.pending is not None:
            self.w.emit(3, f"{self.pending}()")
            self.pending = None

    def _view(self, view: View) -> str:
        """An expression for a view of finished memory."""
        w = self.w
        if view.buffer in self.case.offsets or (view.buffer in self.case.blocks):
            self.views.append(view)
            return f"{w.const(self.found)}[{len(self.views) - 1}]"
        if view.buffer in self.outputs:
            source = self.outputs[view.buffer]
            same = view.buffer in self.compact and view.compact and self.compact[view.buffer].shape == view.shape
        else:
            i = self.leaf[view.buffer]
            leaf = self.case.leaves[i]
            plain = view.compact if leaf.strides is None else view.offset == 0 and view.strides == leaf.strides
            same = plain and view.shape == leaf.shape
            source = f"v{i}" if leaf.strides is None or same else f"h{i}"
        if same:
            return source
        return f"ndarray({w.const(view.shape)}, {w.const(view.dtype)}, {source}, {w.const(view.offset)}, {w.const(view.strides)})"

    def _results(self) -> None:
        """Fresh arrays: a buffer that was handed out already, or is not the function's own, is copied."""
        w, seen, names = self.w, set[str](), []
        w.emit(2, "try:")
        for k, view in enumerate(self.case.results):
            fresh = view.buffer in self.outputs and view.buffer not in seen
            seen.add(view.buffer)
            text = self._view(view)
            text = text if fresh else f"array({text}, order='C', copy=True)"
            if k < self.case.kept:
                w.emit(3, f"r{k} = {text}")
            else:  # a view, so that what is below it stays writeable: the driver takes no pointer to a read-only array
                w.emit(3, f"r{k} = {text}.view()")
                w.emit(3, f"r{k}.flags.writeable = False")
            names.append(f"r{k}")
        w.emit(3, "pass")
        w.emit(2, "except MemoryError as error:")
        w.emit(3, f"raise {self._told(self.state.translated)}(error)")
        if self.case.often is not None:  # not before results that lie in the workspace have been copied
            calls = w.const([0])
            w.emit(2, f"{calls}[0] += 1")
            arguments = ", ".join(f"v{i}" for i in range(len(self.case.leaves)))
            w.emit(2, f"if {calls}[0] in {w.const(choices.OFTEN)}: {w.const(self.case.often)}({calls}[0], {arguments})")
        w.emit(2, f"return [{', '.join(names)}]")
