"""The printer: scheduled kernel trees become OpenCL C.

Statements stand here, expressions in expressions.py, the spelling of ops and constants in spelling.py; no other room knows OpenCL words.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codegen.again import again, carried, met
from codegen.atomics import Atomics, Cas
from codegen.combine import COMBINES, serial_prefix
from codegen.copies import ENOUGH, copy_line, copy_of
from codegen.dialect import Dialect, dialect_of
from codegen.expressions import Names, Text, Uses, index_type, operand
from codegen.jobs import job
from codegen.kernel import (
    STREAM_BYTES,
    Accumulate,
    Alloc,
    Atomic,
    Barrier,
    Builder,
    Expr,
    Flag,
    Frame,
    If,
    Kernel,
    Let,
    Loop,
    Outer,
    Param,
    Prefix,
    Stmt,
    Store,
    Traits,
    exprs_of,
    frame,
    stream_copy,
)
from codegen.order import written_by
from codegen.outer import outer_lines
from codegen.running import in_registers
from codegen.spelling import local_array, memory_type
from codegen.vector_loops import HIDDEN, HIDING, compared, has_tail, hint, in_two
from exprgraph.dims import Dim
from exprgraph.named import NamedTuple

WORK_ITEM = {"grid": "get_global_id", "group": "get_group_id", "local": "get_local_id"}
REORDERED = {"sum", "prod"}
OPERATORS = {"add": "+", "mul": "*"}
OPEN = " {\n"
"""Between the head of a function and what is inside."""


class Assign(NamedTuple):
    """Stores that happen at once: what an Accumulate expands to; free: the operand of one of floats that may happen in any order."""
    stores: tuple[Store, ...]
    free: Expr | None = None


Plain = Assign | Cas | Alloc | Let | Store | Barrier | If | Prefix | Flag | Outer | Loop


class Printer(Atomics):
    """The statements of one kernel."""

    def __init__(self, kernel: Kernel, dims: Sequence[Dim], clang: bool, tails: bool = False) -> None:
        super().__init__(kernel, dims)
        self.builder, self.clang, self.tails = Builder(), clang, tails
        self.streamed = {stream_copy(s).value.value for s in self.inside if isinstance(s, Loop) and s.kind == "stream"}
        self.vectors = {s.array for s in self.inside if isinstance(s, Prefix) and in_registers(s)}
        self.scalars = {name: self.c_type(a.dtype) for name, a in self.allocs.items() if a.size == 1 and a.space == "private"}
        self.changes, self.deep = dict[int, tuple[tuple[Stmt, ...], set[str]]](), dict[Expr, int]()
        self.counter = ""  # the variable of the vector loop that is in work
        self.hides, self.copied = False, set[int]()  # whether it is hidden somewhere; the loops that are in work as copies

    def work_item(self, stmt: Loop) -> str:
        """The declaration of the variable of a loop over work-items."""
        return f"const {self.index} {stmt.var} = {WORK_ITEM[stmt.kind]}({stmt.axis});"

    def whole(self) -> None:
        """All statements; streamed results are visible to whoever waits for the kernel."""
        self.block(self.kernel.body, {})
        if self.hides:
            self.lines[:0] = HIDING
        if self.streamed and self.clang:
            self.emit("__sync_synchronize();")

    def text(self, expr: Expr, known: dict[Expr, Text]) -> Text:
        """As it is, but where counts of a vector loop are compared they are hidden (`codegen.vector_loops`), and a place that was found
        in 64 bits stays so: it is within an array, and a cast to and fro costs a gather a tenth of its time."""
        at = expr.args[0] if expr.args else expr
        if expr.kind == "load" and self.clang and at.value == "cast" and at.args[0].dtype == "int64" and not known[at][1]:
            known = known | {at: known[at.args[0]]}
        if self.clang and self.counter and self.index == "int" and expr.kind == "op" and (counts := compared(expr, self.counter)):
            self.hides = True
            known = known | {a: (f"{operand(known[a])} ^ {HIDDEN}", False, known[a][2] + 1) for a in counts}
        return super().text(expr, known)

    def expand(self, stmt: Stmt) -> Plain:
        """Accumulate and Atomic in terms of loads, stores and their combine."""
        if isinstance(stmt, Accumulate):
            old = tuple(self.builder.load(t, v.dtype, stmt.at) for t, v in zip(stmt.targets, stmt.values))
            merged = COMBINES[stmt.combine].merge(self.builder, old, stmt.values)
            return Assign(tuple(Store(t, stmt.at, m) for t, m in zip(stmt.targets, merged)), self.free(stmt))
        if isinstance(stmt, Atomic):
            variable = self.builder.var(self.unique("was"), stmt.value.dtype)
            return Cas(stmt, variable, COMBINES[stmt.combine].merge(self.builder, (variable,), (stmt.value,))[0])
        if isinstance(stmt, Prefix) and stmt.array not in self.vectors:
            return serial_prefix(self.builder, stmt, self.unique("at"))
        return stmt

    def free(self, stmt: Accumulate) -> Expr | None:
        """The operand of a sum or product of floats in a vector loop, which the compiler needs leave to reorder; None for others."""
        alloc, value = self.allocs.get(stmt.targets[0]), stmt.values[0]
        one = alloc is not None and alloc.size == 1 and alloc.space == "private"
        return value if one and self.clang and self.counter and stmt.combine in REORDERED and value.dtype.startswith("float") else None

    def block(self, body: Sequence[Stmt], outer: Names) -> None:
        """Statements in braces that stand already; `outer` holds the names that are known where they begin."""
        plain, names = [self.expand(s) for s in body], dict(outer)
        uses = self.count([r for s in plain for r in roots_of(s)])
        for number, stmt in enumerate(plain):
            if isinstance(stmt, Loop) and stmt.kind in WORK_ITEM and number + 1 == len(plain):
                self.emit(self.work_item(stmt))
                return self.block(stmt.body, names)
            self.statement(stmt, names, uses)
        return None

    def statement(self, stmt: Plain, names: Names, uses: Uses) -> None:
        """Print one statement."""
        if isinstance(stmt, Let):
            self.emit_let(stmt, names, uses)
        elif isinstance(stmt, Store):
            at, value = self.texts((stmt.at, stmt.value), names, uses)
            self.emit(f"{self.place(stmt.buffer, at)} = {value};")
            self.forget(names, {stmt.buffer})
        elif isinstance(stmt, Assign):
            self.emit_assign(stmt, names, uses)
        elif isinstance(stmt, Alloc):
            self.emit_alloc(stmt, names, uses)
        elif isinstance(stmt, Barrier):
            self.emit("barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);")
            self.forget(names, self.shared)
        elif isinstance(stmt, If):
            self.emit_if(stmt, names, uses)
        elif isinstance(stmt, Flag):
            condition, at, size = self.texts((stmt.condition, stmt.at, stmt.size), names, uses)
            self.emit(f"if ({condition}) {{")
            self.emit(f"    if (atomic_cmpxchg((volatile __global int *)flags, 0, {stmt.site + 1}) == 0) {{")
            self.emit(f"        flags[1] = {at};")
            self.emit(f"        flags[2] = {size};")
            self.emit("    }")
            self.emit("}")
        elif isinstance(stmt, Cas):
            self.emit_atomic(stmt, names, uses)
        elif isinstance(stmt, Outer):
            self.emit_outer(stmt, names, uses)
        elif isinstance(stmt, Prefix):
            self.emit(f"{in_registers(stmt)}({stmt.array});")
            self.forget(names, {stmt.array})
        else:
            self.emit_loop(stmt, names, uses)

    def emit_let(self, stmt: Let, names: Names, uses: Uses) -> None:
        """A constant; equal expressions that follow use its name."""
        text, = self.texts((stmt.value,), names, uses, plain=stmt.value)
        self.emit(f"const {self.c_type(stmt.value.dtype)} {stmt.name} = {text};")
        self.remember(stmt.value, stmt.name, names)

    def emit_assign(self, stmt: Assign, names: Names, uses: Uses) -> None:
        """One or several stores at one place; several see the old values all."""
        if stmt.free is not None:
            return self.emit_free(stmt.stores[0], stmt.free, names, uses)
        at, *_ = self.texts((stmt.stores[0].at,), names, uses)
        values = self.texts([s.value for s in stmt.stores], names, uses, named=len(stmt.stores) > 1)
        for store, value in zip(stmt.stores, values):
            self.emit(f"{self.place(store.buffer, at)} = {value};")
        self.forget(names, {s.buffer for s in stmt.stores})

    def emit_free(self, stmt: Store, operand: Expr, names: Names, uses: Uses) -> None:
        """An accumulation in any order; the leave to reorder is for it alone, so its operand is computed before."""
        value, = self.texts((operand,), names, uses, named=True)
        self.emit("{")
        self.emit("    #pragma clang fp reassociate(on)")
        self.emit(f"    {stmt.buffer} = {stmt.buffer} {OPERATORS[stmt.value.value]} {value};")
        self.emit("}")
        self.forget(names, {stmt.buffer})

    def emit_alloc(self, stmt: Alloc, names: Names, uses: Uses) -> None:
        """A private array or scalar; local arrays stand at the top of the kernel already."""
        if stmt.space == "local":
            if stmt.init is not None:
                raise ValueError(f"kernel {self.kernel.name}: the local array {stmt.name} cannot have an initial value")
            return
        start = self.texts((stmt.init,), names, uses)[0] if stmt.init is not None else ""
        memory = memory_type(stmt.dtype, self.index)
        if stmt.size == 1:
            self.emit(f"{self.c_type(stmt.dtype)} {stmt.name}{' = ' * bool(start)}{start};")
            return
        # Vectors that lie across cache lines are read back slowly right after they were written.
        aligned = " __attribute__((aligned(64)))" * ((self.clang and stmt.size > 8) or stmt.name in self.vectors)
        self.emit(f"{memory} {stmt.name}[{stmt.size}]{aligned};")
        if start:
            at = self.unique("at")
            self.emit(f"for (int {at} = 0; {at} < {stmt.size}; ++{at}) {stmt.name}[{at}] = {start};")

    def emit_if(self, stmt: If, names: Names, uses: Uses) -> None:
        """Both branches begin with what is known before."""
        condition, = self.texts((stmt.condition,), names, uses)
        self.emit(f"if ({condition}) {{")
        self.indented(stmt.then, names)
        if stmt.orelse:
            self.emit("} else {")
            self.indented(stmt.orelse, names)
        self.emit("}")
        self.leave(stmt.then, names)
        self.leave(stmt.orelse, names)

    def indented(self, body: Sequence[Stmt], names: Names) -> None:
        """A block, one step to the right."""
        self.depth += 1
        self.block(body, names)
        self.depth -= 1

    def leave(self, body: tuple[Stmt, ...], names: Names) -> None:
        """Forget what a nested block may have changed."""
        self.forget(names, self.changed(body))

    def changed(self, body: tuple[Stmt, ...]) -> set[str]:
        """What statements of the tree may change, or let others change at a barrier."""
        known = self.changes.get(id(body))
        if known is not None:
            return known[1]
        found = written_by(body) | (self.shared if any(isinstance(s, Barrier) for s in body) else set())
        for stmt in body:
            for inner in (stmt.body,) if isinstance(stmt, Loop) else (stmt.then, stmt.orelse) if isinstance(stmt, If) else ():
                found |= self.changed(inner)
        self.changes[id(body)] = body, found  # with the body, so that no other one gets its id
        return found

    def emit_loop(self, stmt: Loop, names: Names, uses: Uses) -> None:
        """A loop; what its body changes is unknown from its first iteration on."""
        first, tail = len(self.lines), False
        copy = copy_of(stmt, self.allocs) if self.clang and id(stmt) not in self.copied else None
        if copy is not None:
            return self.emit_copy(stmt, copy, names, uses)
        if stmt.kind in WORK_ITEM:
            self.emit("{")
            self.emit("    " + self.work_item(stmt))
        elif stmt.kind == "stream" and self.clang:
            return self.emit_stream(stmt, names, uses)
        elif stmt.kind in ("serial", "vector", "unroll", "stream"):
            tail = self.tails and has_tail(stmt, self.deep)
            start, = self.texts((stmt.start,), names, uses, named=tail)
            stop, step = self.texts((stmt.stop, stmt.step), names, uses, named=True)
            first = len(self.lines)
            if stmt.kind == "unroll":
                self.emit("#pragma unroll")
            elif self.clang and (told := hint(stmt, self.deep)) is not None:
                self.emit(told)
            advance = f"++{stmt.var}" if step == "1" else f"{stmt.var} += {step}"
            self.emit(f"for ({self.index} {stmt.var} = {start}; {stmt.var} < {stop}; {advance}) {{")
        else:
            raise ValueError(f"kernel {self.kernel.name}: a {stmt.kind!r} loop is unscheduled and cannot be printed")
        self.leave(stmt.body, names)
        before, self.counter = self.counter, stmt.var if stmt.kind == "vector" else ""
        self.indented(stmt.body, names)
        self.counter = before
        self.emit("}")
        if tail and step == "1":
            head = (self.index, stmt.var, start, stop)
            self.lines[first:] = in_two(self.lines[first:], head, self.unique("count"), self.unique("full"))
        if self.clang and stmt.kind == "vector" and not before:
            self.repeat(stmt, first)

    def repeat(self, stmt: Loop, first: int) -> None:
        """Let the loop that begins at a line run again for rare arguments, if it can."""
        names = carried(stmt.body, self.scalars) if met(self.lines[first:]) else None
        if names is not None:
            before = {n: (self.scalars[n], self.unique(f"{n}_before")) for n in names}
            self.lines[first:] = again(self.lines[first:], self.unique("rare"), before)

    def emit_outer(self, stmt: Outer, names: Names, uses: Uses) -> None:
        """Sums in vector registers."""
        texts = self.texts(exprs_of(stmt), names, uses, named=True)
        for line in outer_lines(stmt, texts, self.clang):
            self.emit(line)
        self.forget(names, {stmt.sums})

    def emit_stream(self, stmt: Loop, names: Names, uses: Uses) -> None:
        """A copy that goes past the caches, in vectors."""
        copy = stream_copy(stmt)
        stop, at = self.texts((stmt.stop, copy.at), names, uses)
        kind = memory_type(copy.value.dtype, self.index)
        each = STREAM_BYTES // np.dtype(copy.value.dtype).itemsize
        self.emit(f"for ({self.index} {stmt.var} = 0; {stmt.var} < {stop}; {stmt.var} += {each})")
        self.emit(f"    __builtin_nontemporal_store(*(const {kind}{each} *)({copy.value.value} + {stmt.var}), "
                  f"(__global {kind}{each} *)({copy.buffer} + {at}));")
        self.forget(names, {copy.buffer})

    def emit_copy(self, stmt: Loop, copy: Store, names: Names, uses: Uses) -> None:
        """A loop that copies: a call where it is long."""
        self.copied.add(id(stmt))
        start, stop = self.texts((stmt.start, stmt.stop), names, uses, named=True)
        self.emit(f"if ({stop} - {start} >= {ENOUGH}) {{ const {self.index} {stmt.var} = {start};")
        self.depth += 1
        at, source = self.texts((copy.at, copy.value.args[0]), dict(names), {})
        self.emit(copy_line(self.place(copy.buffer, at), self.place(copy.value.value, source), f"{stop} - {stmt.var}"))
        self.depth -= 1
        self.emit("} else {")
        self.indented((stmt,), names)
        self.emit("}")


def roots_of(stmt: Plain) -> tuple[Expr, ...]:
    """The expressions that a statement evaluates in its own block."""
    if isinstance(stmt, Assign):
        return (stmt.stores[0].at, *(s.value for s in stmt.stores))
    return exprs_of(stmt.stmt if isinstance(stmt, Cas) else stmt)


def pointer(param: Param) -> str:
    """The C type of a buffer."""
    return f"__global {'const ' * (param.access == 'r')}{memory_type(param.dtype)} *"


def parameter(param: Param) -> str:
    """The declaration of a buffer."""
    return f"{pointer(param)}restrict {param.name}"


def _arguments(kernel: Kernel, traits: Traits) -> dict[str, str]:
    """The declarations of a kernel's arguments by name."""
    found = {p.name: parameter(p) for p in kernel.params}
    found |= {"flags": "__global long *flags"} if traits.flags else {}
    return found | {f"d{k}": f"const {index_type(kernel)} d{k}" for k in range(traits.integers)}


def kernel_source(kernel: Kernel, dialect: str | Dialect = "portable", known: Frame | None = None, comments: bool = False) -> str:
    """The kernel as OpenCL C without prelude; with comments it says what its arguments are.  known: its frame."""
    spoken = dialect_of(dialect) if isinstance(dialect, str) else dialect
    clang, known = spoken.builtins == "pocl", known or frame(kernel)
    printer = Printer(kernel, known.dims, clang, clang and bool(spoken.features) and known.traits.alone)
    printer.float_adds = spoken.float_adds
    for alloc in printer.allocs.values():
        if alloc.space == "local":
            printer.emit(local_array(alloc, printer.index))
    printer.whole()
    notes = [f"// {p.name}: {p.dtype}[{p.size}], {p.access}" for p in kernel.params] + [f"// {n} = {t}" for t, n in printer.dims.items()]
    sizes = (*known.local, 1, 1)[:3]
    fixed = f"__attribute__((reqd_work_group_size{sizes}))\n" if max(sizes) > 1 else ""
    head = f"{fixed}__kernel void {kernel.name}({', '.join(_arguments(kernel, known.traits).values())}){OPEN}"
    return "\n".join([*(notes if comments else []), head + "\n".join(printer.lines), "}", ""])


def body_source(kernel: Kernel, name: str, text: str, traits: Traits, qualifier: str) -> str:
    """The kernel of which these are the text and the traits as a function, which takes the ids of a work-item, or of its group, after the
    arguments of the kernel.  Only where it is never inlined are its pointers `restrict`: Oclgrind does not know what is made of that."""
    inside = text.partition(OPEN)[2]
    for k in range(traits.axes):
        for kind in ("grid", "group"):
            inside = inside.replace(f" = {WORK_ITEM[kind]}({k});", f" = eg_id{k};")
    ids = [f"const {index_type(kernel)} eg_id{k}" for k in range(traits.axes)]
    head = ", ".join([*_arguments(kernel, traits).values(), *ids])
    return f"{qualifier} void {name}({head if qualifier == 'EG_BODY' else head.replace('*restrict ', '*')}){OPEN}{inside}"


def function_source(kernel: Kernel, text: str, traits: Traits) -> tuple[str, str]:
    """The kernel of which these are the text and the traits as a call of a function of its own, and its second entry, the function of
    `codegen.jobs`."""
    arguments, axes = _arguments(kernel, traits), range(traits.axes)
    body = body_source(kernel, f"{kernel.name}_body", text, traits, "EG_BODY")
    call = f"{kernel.name}_body({', '.join([*arguments, *(f'get_global_id({k})' for k in axes)])});"
    plain = f"__kernel void {kernel.name}({', '.join(arguments.values())}) {{ {call} }}"
    types = [f"__global {memory_type(p.dtype)} *" for p in kernel.params] + ["__global long *"] * traits.flags
    return body + plain + "\n", job(kernel.name, types, [index_type(kernel)] * traits.integers, len(axes))
