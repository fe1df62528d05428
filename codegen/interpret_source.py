"""From a scheduled tree to the Python source that the interpreter runs, compiled."""
from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codegen.combine import COMBINES, serial_prefix
from codegen.interpret_checks import ATOMIC
from codegen.interpret_values import Values
from codegen.kernel import (
    STREAM_BYTES,
    Accumulate,
    Alloc,
    Atomic,
    Barrier,
    Builder,
    Expr,
    Flag,
    If,
    Kernel,
    Let,
    Loop,
    Outer,
    Prefix,
    Stmt,
    Store,
    stream_copy,
    walk,
)
from codegen.order import postorder
from exprgraph.dims import Dim
from exprgraph.named import NamedTuple

FLAGS = "flags"
INDEX_VALUE: dict[str, Callable[[int, int], int]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "int_div": operator.floordiv, "mod": operator.mod,
    "minimum": min, "maximum": max}


class Source(NamedTuple):
    """A compiled kernel: bind(guard, arrays, written, logs, shared, dims, group, number) gives the function of a work-item."""
    bind: Callable[..., Callable[[tuple[int, ...], int], Any]]
    local: dict[str, int]
    barriers: bool
    text: str


def number_of(expr: Expr, value_of: Callable[[Dim], int]) -> int:
    """The value of an index expression of literals and Dims."""
    value: dict[Expr, int] = {}
    for part in postorder((expr,)):
        if part.kind == "op":
            value[part] = INDEX_VALUE[part.value](*(value[a] for a in part.args))
        else:
            value[part] = part.value if part.kind == "lit" else value_of(part.value)
    return value[expr]


def python_of(kernel: Kernel, tracked: bool) -> Source:
    """Compile a kernel; `tracked` versions look for races."""
    writer = Writer(kernel, tracked)
    writer.block(kernel.body, {}, set())
    barriers = any(isinstance(s, Barrier) for s in walk(kernel.body))
    text = "\n".join([*writer.head(), *writer.lines, "    return item", ""])
    exec(compile(text, f"<{len(writer.lines)} lines of a kernel>", "exec"), writer.space)
    local = {a.name: a.size for a in writer.allocs.values() if a.space == "local"}
    return Source(writer.space["bind"], local, barriers, text)


class Writer(Values):
    """The statements of one kernel."""

    def __init__(self, kernel: Kernel, tracked: bool) -> None:
        super().__init__(kernel, tracked)
        self.builder = Builder()

    def head(self) -> list[str]:
        """What binds memory, sizes and group to local names."""
        lines = ["def bind(G, arrays, written, logs, shared, dims, group, number):"]
        lines += [f"    {', '.join(self.dims.values())}, = dims"] * bool(self.dims)
        for name, i in self.number.items():
            alloc = self.allocs.get(name)
            if alloc is None:
                lines += [f"    m{i} = arrays[{name!r}]; n{i} = len(m{i})"]
                lines += [f"    w{i} = written[{name!r}]"] * (self.params[name].access == "w")
            elif alloc.space == "local":
                lines += [f"    m{i} = shared[{name!r}]; n{i} = {alloc.size}"]
            if alloc is None and self.params[name].access != "r" or alloc is not None and alloc.space == "local":
                lines += [f"    l{i} = logs[{name!r}].touch"]
        lines += [f"    flags = arrays[{FLAGS!r}]"] * self.kernel.flags
        return [*lines, "    def item(place, me):", "        epoch = 0"]

    def block(self, body: Sequence[Stmt], pure: dict[Expr, str], visible: set[str]) -> None:
        """Statements; `pure` knows the temporaries of expressions that read no memory, `visible` the declared names."""
        pure, visible = dict(pure), set(visible)
        for stmt in body:
            self.statement(stmt, pure, visible)

    def nested(self, body: Sequence[Stmt], pure: dict[Expr, str], visible: set[str]) -> None:
        """A block one step to the right."""
        self.depth += 1
        self.emit("pass")
        self.block(body, pure, visible)
        self.depth -= 1

    def statement(self, stmt: Stmt, pure: dict[Expr, str], visible: set[str]) -> None:
        """Write one statement."""
        if isinstance(stmt, Let):
            value, = self.values((stmt.value,), pure, visible)
            self.emit(f"{self.declare(stmt.name, visible)} = {value}")
        elif isinstance(stmt, Store):
            at, value = self.values((stmt.at, stmt.value), pure, visible)
            self.store(stmt.buffer, stmt.value.dtype, at, value, visible)
        elif isinstance(stmt, Accumulate):
            self.accumulate(stmt, pure, visible)
        elif isinstance(stmt, Atomic):
            self.atomic(stmt, pure, visible)
        elif isinstance(stmt, Prefix):
            self.loop(serial_prefix(self.builder, stmt, f"at_{stmt.array}"), pure, visible)
        elif isinstance(stmt, Alloc):
            self.alloc(stmt, pure, visible)
        elif isinstance(stmt, Barrier):
            self.count += 1
            self.emit(f"yield {self.count}")
            self.emit("epoch += 1")
        elif isinstance(stmt, If):
            condition, = self.values((stmt.condition,), pure, visible)
            self.emit(f"if {condition}:")
            self.nested(stmt.then, pure, visible)
            self.emit("else:")
            self.nested(stmt.orelse, pure, visible)
        elif isinstance(stmt, Flag):
            condition, at, size = self.values((stmt.condition, stmt.at, stmt.size), pure, visible)
            self.emit(f"if {condition} and not flags[0]: flags[:3] = {stmt.site + 1}, int({at}), int({size})")
        else:
            self.loop(stmt.expanded(self.builder) if isinstance(stmt, Outer) else stmt, pure, visible)

    def accumulate(self, stmt: Accumulate, pure: dict[Expr, str], visible: set[str]) -> None:
        """Merge values into targets, all from the old ones."""
        at, *_ = self.values((stmt.at, *stmt.values), pure, visible)
        old = tuple(self.builder.load(t, v.dtype, stmt.at) for t, v in zip(stmt.targets, stmt.values))
        fresh = self.values(COMBINES[stmt.combine].merge(self.builder, old, stmt.values), pure, visible)
        for target, value, text in zip(stmt.targets, stmt.values, fresh):
            self.store(target, value.dtype, at, text, visible)

    def atomic(self, stmt: Atomic, pure: dict[Expr, str], visible: set[str]) -> None:
        """Merge one value into an element; such accesses do not race with each other."""
        dtype = stmt.value.dtype
        at, value = self.values((stmt.at, stmt.value), pure, visible)
        old = self.builder.var("was", dtype)
        given = {old: self.load(stmt.buffer, dtype, at, visible, ATOMIC), stmt.value: value}
        fresh, = self.values(COMBINES[stmt.combine].merge(self.builder, (old,), (stmt.value,)), pure, visible, given)
        self.store(stmt.buffer, dtype, at, fresh, visible, ATOMIC)

    def alloc(self, stmt: Alloc, pure: dict[Expr, str], visible: set[str]) -> None:
        """A private array is a list, one of size 1 a variable; None stands for what was never written."""
        if stmt.name in visible or stmt.name in self.params:
            raise ValueError(f"kernel {self.kernel.name}: {stmt.name} is declared twice")
        visible.add(stmt.name)
        if stmt.space == "private":
            start = self.values((stmt.init,), pure, visible)[0] if stmt.init is not None else "None"
            self.emit(f"m{self.number[stmt.name]} = {start if stmt.size == 1 else f'[{start}] * {stmt.size}'}")

    def loop(self, stmt: Loop, pure: dict[Expr, str], visible: set[str]) -> None:
        """Work-item loops bind an id; the others run."""
        inside = set(visible)
        if stmt.kind in ("grid", "group", "local"):
            name = self.declare(stmt.var, inside)
            self.emit(f"{name} = {'place' if stmt.kind == 'local' else 'group'}[{stmt.axis}]")
            return self.block(stmt.body, pure, inside)
        if stmt.kind not in ("serial", "vector", "unroll", "stream"):
            raise ValueError(f"kernel {self.kernel.name}: a {stmt.kind!r} loop is unscheduled and cannot run")
        start, stop, step = self.values((stmt.start, stmt.stop, stmt.step), pure, visible)
        if step != "(1)":
            self.emit(f"if {step} <= 0 or {stop} > {self.limit} - {step}: G.overflow({stop} + {step})")
        name = self.declare(stmt.var, inside)
        if stmt.kind == "stream":
            copy = stream_copy(stmt)
            self.emit(f"{name} = 0")
            place, = self.values((copy.at,), dict(pure), set(inside))
            self.emit(f"if {place} % {STREAM_BYTES // np.dtype(copy.value.dtype).itemsize}: G.misaligned({copy.buffer!r}, {place})")
        self.emit(f"for {name} in range({start}, {stop}, {step}):")
        return self.nested(stmt.body, pure, inside)
