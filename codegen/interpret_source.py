"""From a scheduled tree to the Python source that the interpreter runs: flat assignments, each access with its checks."""
from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from codegen.combine import COMBINES
from codegen.interpret_checks import ATOMIC, READ, WRITE
from codegen.kernel import (
    INDEX,
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
    Stmt,
    Store,
    dims_of,
    walk,
)
from codegen.order import postorder
from exprgraph.dims import Dim
from exprgraph.ops.table import ROWS

FLAGS = "flags"
COMPARE = {"lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}", "ge": "{0} >= {1}", "eq": "{0} == {1}", "neq": "{0} != {1}"}
INDEX_SOURCE = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "int_div": "{0} // {1}", "mod": "{0} % {1}",
                "minimum": "min({0}, {1})", "maximum": "max({0}, {1})", "switch": "{1} if {0} else {2}", **COMPARE}
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


def _function(name: str, dtype: str) -> Callable[..., Any]:
    meaning, kind = ROWS[name].numpy, np.dtype(dtype)
    return lambda *args: np.asarray(meaning(*args), kind)[()]


def _cast(dtype: str) -> Callable[[Any], Any]:
    meaning = ROWS["cast"].numpy
    return lambda value: np.asarray(meaning(value, dtype=dtype), dtype)[()]


class Writer:
    """The state of writing one kernel: lines, the names of temporaries, the constants and functions that the source refers to."""

    def __init__(self, kernel: Kernel, tracked: bool) -> None:
        self.kernel, self.tracked, self.builder, self.depth = kernel, tracked, Builder(), 2
        self.lines: list[str] = []
        self.space: dict[str, Any] = {"to_int64": np.int64, "bool_": np.bool_}
        self.limit = 2**63 if kernel.wide else 2**31
        self.params = {p.name: p for p in kernel.params}
        self.allocs = {s.name: s for s in walk(kernel.body) if isinstance(s, Alloc)}
        self.dtypes = {p.name: p.dtype for p in kernel.params} | {a.name: a.dtype for a in self.allocs.values()}
        self.number = {name: i for i, name in enumerate(self.dtypes)}
        self.dims = {d.text: f"d{i}" for i, d in enumerate(dims_of(kernel.body))}
        self.names: dict[str, str] = {}
        self.reads: set[Expr] = set()
        self.known: dict[tuple[str, str], str] = {}
        self.count = 0

    def emit(self, line: str) -> None:
        """One more line at the present indentation."""
        self.lines.append("    " * self.depth + line)

    def temp(self, source: str) -> str:
        """Assign a new temporary."""
        self.count += 1
        self.emit(f"t{self.count} = {source}")
        return f"t{self.count}"

    def global_name(self, kind: str, key: str, value: Any) -> str:
        """The name under which the source finds a constant or function."""
        name = self.known.get((kind, key))
        if name is None:
            name = self.known[kind, key] = f"{kind}{len(self.known)}"
            self.space[name] = value
        return name

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

    def declare(self, name: str, visible: set[str]) -> str:
        """The Python name of a new variable; a name that is visible already is an error."""
        if name in visible or name in self.params:
            raise ValueError(f"kernel {self.kernel.name}: {name} is declared twice")
        visible.add(name)
        return self.names.setdefault(name, f"u{len(self.names)}")

    def values(self, roots: Sequence[Expr], pure: dict[Expr, str], visible: set[str], given: dict[Expr, str] | None = None) -> list[str]:
        """A Python atom for each root, after the lines that compute it."""
        done = dict(given or {})
        for expr in postorder(roots):
            if expr in done:
                continue
            if expr in pure:
                done[expr] = pure[expr]
                continue
            done[expr] = self.value(expr, done, visible)
            reads = expr.kind == "load" or expr.kind == "var" and expr.value in self.allocs or any(a in self.reads for a in expr.args)
            if reads or given and expr.kind == "op":
                self.reads.add(expr)
            elif expr.kind == "op":
                pure[expr] = done[expr]
        return [done[r] for r in roots]

    def value(self, expr: Expr, done: dict[Expr, str], visible: set[str]) -> str:
        """A Python atom for one expression whose operands have theirs."""
        args = [done[a] for a in expr.args]
        if expr.kind == "dim":
            return self.dims[expr.value.text]
        if expr.kind == "lit":
            return self.literal(expr)
        if expr.kind == "load":
            return self.load(expr.value, expr.dtype, args[0], visible)
        if expr.kind == "var":
            self.check_visible(expr.value, visible)
            return self.load(expr.value, expr.dtype, "0", visible) if expr.value in self.allocs else self.names[expr.value]
        return self.op(expr, args)

    def check_visible(self, name: str, visible: set[str]) -> None:
        """ValueError where a name is used outside its block."""
        if name not in visible and name not in self.params:
            raise ValueError(f"kernel {self.kernel.name}: {name} is used where it is not declared")

    def literal(self, expr: Expr) -> str:
        """An int, or the name of a NumPy scalar of the dtype."""
        if expr.dtype == INDEX:
            return f"({expr.value})"
        with np.errstate(all="ignore"):
            value = np.dtype(expr.dtype).type(expr.value)
        return self.global_name("c", f"{expr.dtype} {value.tobytes().hex()}", value)

    def op(self, expr: Expr, args: list[str]) -> str:
        """An op: index arithmetic on Python ints, all else by the NumPy meaning of its row."""
        last = expr.args[-1].dtype
        if expr.value == "cast":
            return self.cast(expr.dtype, last, args[0])
        if last != INDEX:
            return self.temp(f"{self.global_name('f', f'{expr.value} {expr.dtype}', _function(expr.value, expr.dtype))}({', '.join(args)})")
        if expr.value in ("int_div", "mod"):
            self.emit(f"if {args[0]} < 0 or {args[1]} <= 0: G.division({args[0]}, {args[1]})")
        source = INDEX_SOURCE[expr.value].format(*args)
        made = self.temp(f"bool_({source})" if expr.dtype == "bool" else source)
        if expr.value in ("add", "sub", "mul"):
            self.in_range(made)
        return made

    def in_range(self, name: str) -> None:
        """Check an index against its type."""
        self.emit(f"if not {-self.limit} <= {name} < {self.limit}: G.overflow({name})")

    def cast(self, dtype: str, source: str, arg: str) -> str:
        """A cast between values, or between an index and a value."""
        if dtype == INDEX:
            made = self.temp(f"int({arg})")
            self.in_range(made)
            return made
        inner = f"to_int64({arg})" if source == INDEX else arg
        return self.temp(f"{self.global_name('k', dtype, _cast(dtype))}({inner})")

    def place(self, buffer: str, at: str, kind: int, visible: set[str]) -> str:
        """The Python name of an element, after the checks of an access of this kind."""
        self.check_visible(buffer, visible)
        i, alloc, param = self.number[buffer], self.allocs.get(buffer), self.params.get(buffer)
        if kind != READ and param is not None and param.access == "r":
            raise ValueError(f"kernel {self.kernel.name}: {buffer} is read-only")
        size = str(alloc.size) if alloc is not None else f"n{i}"
        if at != "(0)" or size != "1":
            self.emit(f"if not 0 <= {at} < {size}: G.bounds({buffer!r}, {at}, {size})")
        if kind != WRITE and param is not None and param.access == "w":
            self.emit(f"if not w{i}[{at}]: G.unwritten({buffer!r}, {at})")
        if self.tracked and (alloc.space == "local" if alloc is not None else param is not None and param.access != "r"):
            self.emit(f"if l{i}({kind}, {at}, me, number, epoch): G.race({buffer!r}, {at}, me)")
        return f"m{i}" if alloc is not None and alloc.space == "private" and alloc.size == 1 else f"m{i}[{at}]"

    def load(self, buffer: str, dtype: str, at: str, visible: set[str], kind: int = READ) -> str:
        """Read an element."""
        if self.dtypes[buffer] != dtype:
            raise ValueError(f"kernel {self.kernel.name}: {buffer} holds {self.dtypes[buffer]}, not {dtype}")
        made = self.temp(self.place(buffer, at, kind, visible))
        if buffer in self.allocs:
            self.emit(f"if {made} is None: G.unwritten({buffer!r}, {at})")
        return made

    def store(self, buffer: str, dtype: str, at: str, value: str, visible: set[str], kind: int = WRITE) -> None:
        """Write an element."""
        if self.dtypes[buffer] != dtype:
            raise ValueError(f"kernel {self.kernel.name}: {buffer} holds {self.dtypes[buffer]}, not {dtype}")
        self.emit(f"{self.place(buffer, at, kind, visible)} = {value}")
        if buffer in self.params and self.params[buffer].access == "w":
            self.emit(f"w{self.number[buffer]}[{at}] = 1")

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
            self.loop(stmt, pure, visible)

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
        if stmt.kind not in ("serial", "vector", "unroll"):
            raise ValueError(f"kernel {self.kernel.name}: a {stmt.kind!r} loop is unscheduled and cannot run")
        start, stop, step = self.values((stmt.start, stmt.stop, stmt.step), pure, visible)
        if step != "(1)":
            self.emit(f"if {step} <= 0 or {stop} > {self.limit} - {step}: G.overflow({stop} + {step})")
        name = self.declare(stmt.var, inside)
        self.emit(f"for {name} in range({start}, {stop}, {step}):")
        return self.nested(stmt.body, pure, inside)
