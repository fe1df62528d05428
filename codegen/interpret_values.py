"""Python source for expressions and memory accesses of a tree: flat assignments, each access with its checks."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codegen.interpret_checks import READ, WRITE
from codegen.kernel import INDEX, Alloc, Expr, Kernel, dims_of, walk
from codegen.order import postorder
from codegen.rows import row_of
from exprgraph.dtypes import INTS
from exprgraph.node import Op, no_refusal
from exprgraph.ops.table import ROWS

COMPARE = {"lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}", "ge": "{0} >= {1}", "eq": "{0} == {1}", "neq": "{0} != {1}"}
INDEX_SOURCE = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "int_div": "{0} // {1}", "mod": "{0} % {1}",
                "minimum": "min({0}, {1})", "maximum": "max({0}, {1})", "switch": "{1} if {0} else {2}", **COMPARE}
SCALAR_SOURCE = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "true_div": "{0} / {1}", "neg": "-{0}", "switch": "{1} if {0} else {2}",
    "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}", "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}", **COMPARE}
"""Rows whose meaning on NumPy's scalars Python's own operators have too, in a tenth of the time that a ufunc takes."""
NUMBERS = ("float16", "float32", "float64", *INTS)


def _function(row: Op, dtype: str) -> Callable[..., Any]:
    meaning, kind = getattr(row.numpy, "__wrapped__", row.numpy), np.dtype(dtype)  # warnings are off already: per element that is slow
    scalar = kind.type

    def call(*args: Any) -> Any:
        found = meaning(*args)
        return found if type(found) is scalar else np.asarray(found, kind)[()]

    def guarded(*args: Any) -> Any:
        try:
            return call(*args)
        except (ValueError, IndexError):  # a kernel cannot raise: it goes on with any value, and a Flag reports the fault
            return scalar(0)
    return call if row.refuses is no_refusal else guarded


def _cast(source: str, dtype: str) -> Callable[[Any], Any]:
    if source in NUMBERS and dtype in NUMBERS and (source in INTS or dtype not in INTS):
        kind = np.dtype(dtype)
        return lambda value: value.astype(kind)
    meaning = getattr(ROWS["cast"].numpy, "__wrapped__", ROWS["cast"].numpy)
    return lambda value: np.asarray(meaning(value, dtype=dtype), dtype)[()]


def scalar_source(expr: Expr) -> str | None:
    """The source of an op on NumPy's scalars of one dtype, without a call; None where it takes one."""
    *_, last = kinds = [a.dtype for a in expr.args]
    operands = kinds[1:] if expr.value == "switch" else kinds
    known = SCALAR_SOURCE.get(expr.value) if isinstance(expr.value, str) else None
    if last not in NUMBERS or any(k != last for k in operands) or (expr.value == "true_div" and last in INTS):
        return None
    return known if expr.dtype == ("bool" if expr.value in COMPARE else last) else None


class Values:
    """The state of writing one kernel: lines, the names of temporaries, the constants and functions that the source refers to."""

    def __init__(self, kernel: Kernel, tracked: bool) -> None:
        self.kernel, self.tracked, self.depth = kernel, tracked, 2
        self.lines: list[str] = []
        self.space: dict[str, Any] = {"to_int64": np.int64, "bool_": np.bool_}
        self.limit = 2**63 if kernel.wide else 2**31
        self.params = {p.name: p for p in kernel.params}
        self.allocs = {s.name: s for s in walk(kernel.body) if isinstance(s, Alloc)}
        self.dtypes = {p.name: p.dtype for p in kernel.params} | {a.name: a.dtype for a in self.allocs.values()}
        self.changing = {*self.allocs, *(p.name for p in kernel.params if p.access != "r")}
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
            own = expr.kind in ("load", "var") and expr.value in self.changing
            reads = own or any(a in self.reads for a in expr.args)
            if reads or given and expr.kind == "op":
                self.reads.add(expr)
            elif expr.args:
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
            known = scalar_source(expr)
            if known is not None:
                return self.temp(known.format(*args))
            row = row_of(expr.value)
            return self.temp(f"{self.global_name('f', f'{id(row)} {expr.dtype}', _function(row, expr.dtype))}({', '.join(args)})")
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
        inner, source = (f"to_int64({arg})", "int64") if source == INDEX else (arg, source)
        return self.temp(f"{self.global_name('k', f'{source} {dtype}', _cast(source, dtype))}({inner})")

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
        alloc = self.allocs.get(buffer)
        if alloc is not None and (alloc.init is None or alloc.space != "private"):
            self.emit(f"if {made} is None: G.unwritten({buffer!r}, {at})")
        return made

    def store(self, buffer: str, dtype: str, at: str, value: str, visible: set[str], kind: int = WRITE) -> None:
        """Write an element."""
        if self.dtypes[buffer] != dtype:
            raise ValueError(f"kernel {self.kernel.name}: {buffer} holds {self.dtypes[buffer]}, not {dtype}")
        self.emit(f"{self.place(buffer, at, kind, visible)} = {value}")
        if buffer in self.params and self.params[buffer].access == "w":
            self.emit(f"w{self.number[buffer]}[{at}] = 1")
