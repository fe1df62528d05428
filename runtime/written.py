"""The text of the functions of `runtime.direct`: argument checks, pointers, launches, host calls, results."""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from runtime import pages
from runtime.actions import Action, FaultCheck, FunctionCall, KernelCall
from runtime.device import Session
from runtime.direct import Fixed, Setting, State, Writer
from runtime.memory import Block, View
from runtime.together import FAR, TOGETHER, helper_of, sessions

NOTICED = 1 << 16
"""Bytes of results and intermediates from which on a call asks whether the device has them left."""
FLOATS = {np.dtype("float32"): 3e38, np.dtype("float64"): float("inf")}


class Leaf(NamedTuple):
    """An argument as it was when the sizes of a call were first met: a later one must be alike."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    value: int | None
    name: str | None


class Case(NamedTuple):
    """A plan with the numbers of one call.

    leaves: the arguments.  actions: what to run.  results: (name, view) for each output; rooms: bytes of the intermediates.  counts:
    elements of each output buffer; aligned: buffers that must begin with a cache line.  kept: from which output on
    results are new versions of shared variables.
    """
    leaves: tuple[Leaf, ...]
    actions: tuple[Action, ...]
    results: tuple[View, ...]
    counts: dict[str, tuple[int, np.dtype[Any]]]
    aligned: frozenset[str]
    rooms: dict[str, int]
    offsets: dict[str, int]
    space: int
    blocks: dict[str, Block]
    flags: Any
    wanted: int
    kept: int


def write(case: Case, state: State) -> Any:
    """The function of a case."""
    return _Text(case, state).made()


class _Text:
    """The parts of the function, in order."""

    def __init__(self, case: Case, state: State) -> None:
        self.case, self.state, self.w = case, state, Writer()
        self.leaf = {leaf.name: i for i, leaf in enumerate(case.leaves) if leaf.name is not None}
        self.outputs = {name: f"o{k}" for k, name in enumerate(case.counts)}
        self.compact = self._shapes()
        self.views: list[View] = []
        self.found: list[Any] = []
        self.pending: str | None = None
        self.waits: Session | None = None

    def made(self) -> Any:
        """The text, compiled, and what it is bound to."""
        w, case = self.w, self.case
        self._checks()
        state, setting = w.const(self.state), len(w.constants)
        w.constants.append(None)
        alone = bool(case.offsets or case.blocks) or not all(isinstance(a, FunctionCall) for a in case.actions)
        if alone:  # else nothing is used that calls share
            w.emit(2, f"with {w.const(self.state.lock)}:")
            w.emit(3, f"if {state}.busy: raise {w.const(self.state.entered)}()")
        guarded = len(w.lines)
        w.emit(2, "try:")
        if alone:
            w.emit(3, f"{state}.busy = True")
        w.emit(3, f"if {state}.setting is not c{setting}: {w.const(self.state.install)}(c{setting})" if alone else "pass")
        self._pointers()
        for action in case.actions:
            self._action(action)
        self._wait()
        w.emit(2, "except BaseException as error:")
        w.emit(3, f"raise {w.const(self.state.fail if alone else self.state.translated)}(error)")
        if alone:
            w.emit(2, f"finally: {state}.busy = False")
            w.lines[guarded:] = [" " + line for line in w.lines[guarded:]]
        self._results()
        launches = tuple(fixed for a in case.actions if isinstance(a, KernelCall) for fixed in self._fixed(a))
        w.constants[setting] = Setting(case.space, case.offsets, case.rooms, case.blocks, launches, tuple(self.views), self.found,
                                      case.flags)
        return w.function([f"v{i}" for i in range(len(case.leaves))])

    def _fixed(self, action: KernelCall) -> Iterator[Fixed]:
        """What stays the same between calls: of a launch that is done together, the first kernel waits for the second one."""
        names = tuple(None if b in self.leaf and b not in self.case.blocks or b in self.outputs else b for b in action.buffers)
        shared = (None, action.grid[0], math.prod(action.grid)) if action.place == TOGETHER else ()
        for kernel in action.kernels:
            yield Fixed(kernel, names, action.scalars, (*shared, kernel is action.kernels[0]) if shared else ())

    def _shapes(self) -> dict[str, View]:
        """The first view of each output buffer that covers all of it."""
        found: dict[str, View] = {}
        for view in self.case.results:
            whole = self.case.counts.get(view.buffer)
            if whole is not None and view.compact and int(np.prod(view.shape)) == whole[0]:
                found.setdefault(view.buffer, view)
        return found

    def _checks(self) -> None:
        w = self.w
        w.emit(2, "if not trusted:")
        w.emit(3, "if FORKED: check_process()")
        if self.case.wanted >= NOTICED:
            account = w.const(self.state.memory.account)
            left = w.const(self.state.session.device.memory - self.case.wanted)
            w.emit(3, f"if {account}.bytes + {w.const(pages.POOL)}.bytes > {left}: return None")
        for i, leaf in enumerate(self.case.leaves):
            dtype = w.const(leaf.dtype)
            wrong = f"v{i}.shape != {w.const(leaf.shape)} or not checked and v{i}.dtype is not {dtype}"
            if not leaf.shape:
                self._scalar(i, leaf, dtype, wrong)
            else:
                w.emit(3, f"if type(v{i}) is not ndarray or {wrong}: return None")
            if leaf.strides is None:
                w.emit(3, f"f{i} = v{i}.flags")
                w.emit(3, f"if not f{i}.c_contiguous or not (checked or f{i}.aligned): return None")
            else:
                w.emit(3, f"if v{i}.strides != {w.const(leaf.strides)} or not (checked or v{i}.flags.aligned): return None")
            if leaf.value is not None:
                w.emit(3, f"if v{i}.item() != {w.const(leaf.value)}: return None")
        plain = [i for i, leaf in enumerate(self.case.leaves) if leaf.strides is None]
        if plain:
            w.emit(2, f"else: {'; '.join(f'f{i} = v{i}.flags' for i in plain)}")

    def _scalar(self, i: int, leaf: Leaf, dtype: str, wrong: str) -> None:
        """A number may come as an array without axes, a NumPy scalar of the dtype, or, for floats, a Python float in its range."""
        w = self.w
        fits = f"type(v{i}) is {w.const(leaf.dtype.type)}"
        if leaf.dtype in FLOATS:
            bound = w.const(FLOATS[leaf.dtype])
            fits += f" or type(v{i}) is float and -{bound} < v{i} < {bound}"
        w.emit(3, f"if type(v{i}) is not ndarray:")
        w.emit(4, f"if {fits}: v{i} = array(v{i}, {dtype})")
        w.emit(4, "else: return None")
        w.emit(3, f"elif {wrong}: return None")

    def _pointers(self) -> None:
        used = {b for a in self.case.actions if isinstance(a, KernelCall) for b in a.buffers}
        w, frozen = self.w, self.w.const(self.state.frozen)
        hosts = {v.buffer for a in self.case.actions if isinstance(a, FunctionCall) for v in a.inputs}
        hosts |= {v.buffer for v in self.case.results}
        for name, i in self.leaf.items():
            leaf = self.case.leaves[i]
            if leaf.strides is not None and name in used | hosts:
                w.emit(3, f"h{i} = flat(v{i})")
            if name in used and name not in self.case.blocks:
                source, flags = (f"v{i}", f"f{i}") if leaf.strides is None else (f"h{i}", f"h{i}.flags")
                w.emit(3, f"p{i} = SVM({source}) if {flags}.writeable else {frozen}({source})")
        for name, variable in self.outputs.items():
            count, dtype = self.case.counts[name]
            shape = self.compact[name].shape if name in self.compact else (count,)
            nbytes = count * dtype.itemsize
            make = "page" if nbytes >= pages.SMALLEST or name in self.case.aligned else "empty"
            size = "" if make == "empty" else f", {w.const(nbytes)}"
            w.emit(3, f"{variable} = {make}({w.const(shape)}, {w.const(dtype)}{size})")
            if name in used:
                w.emit(3, f"q{variable} = SVM({variable})")

    def _action(self, action: Action) -> None:
        if isinstance(action, KernelCall):
            self._launch(action)
        elif isinstance(action, FunctionCall):
            self._wait()
            self._halt()
            inputs = ", ".join(self._view(v) for v in action.inputs)
            self.w.emit(3, f"{self.w.const(action.function)}({inputs}, out={self._view(action.output)})")
        else:
            assert isinstance(action, FaultCheck)
            self._wait()
            flags = self.w.const(self.case.flags)
            self.w.emit(3, f"if {flags}[0]: raise faulted({self.w.const(action.sites)}, {flags})")

    def _launch(self, action: KernelCall) -> None:
        """Those who help are told first; the device that others wait for is the one in the calling thread, where it takes part."""
        w, shared = self.w, action.place == TOGETHER
        at = sessions(action.place, self.state.session, self.state.near)
        if self.pending is not None and (shared or self.waits is not at[0]):
            self._wait()
        if shared:
            w.emit(3, f"turn, done, stop = {w.const(self.state.turns)}()")
        elif action.place == FAR:
            self._halt()
        for session, kernel in list(zip(at, action.kernels))[::-1]:
            set_arg = w.const(kernel.set_arg)
            for number, name in enumerate(action.buffers):
                if name in self.outputs:
                    w.emit(3, f"{set_arg}({number}, q{self.outputs[name]})")
                elif name in self.leaf and name not in self.case.blocks:
                    w.emit(3, f"{set_arg}({number}, p{self.leaf[name]})")
            if shared:
                w.emit(3, f"{set_arg}({len(action.buffers) + len(action.scalars)}, turn)")
            helpers = max(min(session.device.target.units, math.prod(action.grid)) - 1, 1)
            grid = action.grid if not shared else (1,) if session is at[0] else (helpers,)
            local = action.local if not shared else (1,)
            w.emit(3, f"enqueue({w.const(session.queue)}, {w.const(kernel)}, {w.const(grid)}, {w.const(local)})")
            if shared and session is not at[0]:
                w.emit(3, "stop[0] = 1")
        if shared:  # the last to finish has lost its core
            w.emit(3, f"if done[0] < {math.prod(action.grid)}: {w.const(at[1].queue.finish)}()")
        if self.pending is None:
            self.pending, self.waits = w.const(at[0].queue.finish), at[0]

    def _halt(self) -> None:
        """The cores are for what comes now."""
        if self.state.near is not None:
            self.w.emit(3, f"{self.w.const(helper_of(self.state.session).halt)}()")

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
        for k, view in enumerate(self.case.results):
            fresh = view.buffer in self.outputs and view.buffer not in seen
            seen.add(view.buffer)
            text = self._view(view)
            text = text if fresh else f"array({text}, order='C', copy=True)"
            if k < self.case.kept:
                w.emit(2, f"r{k} = {text}")
            else:  # a view, so that what is below it stays writeable: the driver takes no pointer to a read-only array
                w.emit(2, f"r{k} = {text}.view()")
                w.emit(2, f"r{k}.flags.writeable = False")
            names.append(f"r{k}")
        w.emit(2, f"return [{', '.join(names)}]")
