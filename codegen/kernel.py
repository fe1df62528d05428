"""The statement tree: the form in which a kernel is lowered, scheduled, interpreted and printed.

Two layers.  `Expr` is a scalar expression, interned by its builder functions, so equal expressions are one object.  A statement is
one of the records below, and a `Kernel` is a name, buffers and a tuple of statements.

A tree is born *unscheduled*: its loops are "parallel" (iterations in any order, may run at once), "reduce" (iterations in any order, the
body reaches the outside only through `Accumulate`), "serial" or "vector".  A schedule turns it into a *scheduled* tree in which "parallel"
and "reduce" are gone and "grid", "group" and "local" stand for work-items and work-groups.  Index expressions have the dtype
"index": the plan prints it as int or long.  Every Dim in the tree becomes a kernel argument, in the order of `dims_of`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from exprgraph.dims import Dim, constant
from exprgraph.named import NamedTuple
from exprgraph.node import Op

INDEX = "index"
STREAM_BYTES = 32
"""The alignment of what a stream loop writes, and the bytes that it writes at a time."""


class Expr:
    """A scalar expression: kind, dtype, args, value.

    kind "lit": value is an int, bool or float.  "var": value is the name of a loop variable, a Let or an accumulator.  "dim": value is a
    Dim.  "op": value is the name of an op row (elementwise) of `ops.table.ROWS`, or any other row itself, args its operands; for dtype
    "index" and for comparisons of indices the plain integer meaning.  "load": value is the name of a buffer or array, args = (index,).
    """
    __slots__ = ("kind", "dtype", "args", "value", "key", "__weakref__")

    def __init__(self, kind: str, dtype: str, args: tuple[Expr, ...], value: Any, key: tuple[Any, ...]) -> None:
        self.kind, self.dtype, self.args, self.value, self.key = kind, dtype, args, value, key

    def __repr__(self) -> str:
        return f"{self.value}({', '.join(map(repr, self.args))})" if self.args else str(self.value)


class Builder:
    """Makes interned expressions: two that are built alike are one object while the builder lives."""

    def __init__(self) -> None:
        self._table: dict[tuple[Any, ...], Expr] = {}

    def make(self, kind: str, dtype: str, args: tuple[Expr, ...], value: Any) -> Expr:
        """The one expression of this kind, dtype, args and value."""
        own = value if kind != "lit" else (value.hex() if isinstance(value, float) else value, type(value))  # 1 == True, 0.0 == -0.0
        key = (kind, dtype, args, own)
        found = self._table.get(key)
        if found is None:
            found = self._table[key] = Expr(kind, dtype, args, value, key)
        return found

    def lit(self, value: Any, dtype: str) -> Expr:
        """A literal; bool, int or float as the dtype asks."""
        kind = bool if dtype == "bool" else float if dtype.startswith(("float", "bfloat")) else int
        return self.make("lit", dtype, (), kind(value))

    def index(self, value: int | Dim) -> Expr:
        """An index that is known (an int) or an argument of the kernel (a Dim)."""
        number = value if isinstance(value, int) else value.const
        return self.make("dim", INDEX, (), value) if number is None else self.make("lit", INDEX, (), int(number))

    def var(self, name: str, dtype: str = INDEX) -> Expr:
        """A variable: of a loop, a Let or an accumulator."""
        return self.make("var", dtype, (), name)

    def op(self, name: str | Op, dtype: str, *args: Expr) -> Expr:
        """An op row, by name or itself, applied to operands; dtype is that of the result."""
        return self.make("op", dtype, args, name)

    def load(self, buffer: str, dtype: str, index: Expr) -> Expr:
        """An element of a buffer or array."""
        return self.make("load", dtype, (index,), buffer)

    def add(self, left: Expr, right: Expr) -> Expr:
        """The sum of two indices."""
        return self._index("add", left, right, 0, lambda a, b: a + b)

    def sub(self, left: Expr, right: Expr) -> Expr:
        """The difference of two indices."""
        if right.kind == "lit" and right.value == 0:
            return left
        return self._index("sub", left, right, None, lambda a, b: a - b)

    def mul(self, left: Expr, right: Expr) -> Expr:
        """The product of two indices."""
        if any(e.kind == "lit" and e.value == 0 for e in (left, right)):
            return self.lit(0, INDEX)
        return self._index("mul", left, right, 1, lambda a, b: a * b)

    def div(self, left: Expr, right: Expr) -> Expr:
        """The quotient of two indices, of which neither is negative."""
        if right.kind == "lit" and right.value == 1:
            return left
        return self._index("int_div", left, right, None, lambda a, b: a // b)

    def mod(self, left: Expr, right: Expr) -> Expr:
        """The remainder of two indices, of which neither is negative."""
        if right.kind == "lit" and right.value == 1:
            return self.lit(0, INDEX)
        return self._index("mod", left, right, None, lambda a, b: a % b)

    def least(self, left: Expr, right: Expr) -> Expr:
        """The smaller of two indices."""
        return self._index("minimum", left, right, None, min)

    def most(self, left: Expr, right: Expr) -> Expr:
        """The larger of two indices."""
        return self._index("maximum", left, right, None, max)

    def less(self, left: Expr, right: Expr) -> Expr:
        """Whether one index is below another."""
        if left.kind == right.kind == "lit":
            return self.lit(left.value < right.value, "bool")
        return self.op("lt", "bool", left, right)

    def both(self, left: Expr, right: Expr) -> Expr:
        """Whether both conditions hold."""
        return self.op("and_", "bool", left, right)

    def select(self, condition: Expr, yes: Expr, no: Expr) -> Expr:
        """One of two values; both are evaluated, unless the condition is known."""
        if condition.kind == "lit":
            return yes if condition.value else no
        return yes if yes is no else self.op("switch", yes.dtype, condition, yes, no)

    def _index(self, name: str, left: Expr, right: Expr, unit: int | None, known: Callable[[int, int], int]) -> Expr:
        if left.kind == "lit" and right.kind == "lit":
            return self.lit(known(left.value, right.value), INDEX)
        if left.kind in ("dim", "lit") and right.kind in ("dim", "lit") and name in ("add", "sub", "mul"):
            return self.index(known(_dim(left), _dim(right)))  # type: ignore[arg-type]
        if unit is not None and left.kind == "lit" and left.value == unit:
            return right
        if unit is not None and right.kind == "lit" and right.value == unit:
            return left
        return self.op(name, INDEX, left, right)


def _dim(expr: Expr) -> Dim:
    return expr.value if expr.kind == "dim" else constant(expr.value)


class Alloc(NamedTuple):
    """A private or local array of `size` elements; private arrays start with `init` where it is given.  Size 1 prints as a scalar."""
    name: str
    dtype: str
    size: int
    space: str
    init: Expr | None = None


class Let(NamedTuple):
    """A named value, assigned once."""
    name: str
    value: Expr


class Store(NamedTuple):
    """`buffer[at] = value`, into a global buffer or an Alloc."""
    buffer: str
    at: Expr
    value: Expr


class Accumulate(NamedTuple):
    """`targets = merge(targets, values)` by the row `combine` of COMBINES; each target is an Alloc, all at the same index `at`."""
    targets: tuple[str, ...]
    at: Expr
    combine: str
    values: tuple[Expr, ...]


class Atomic(NamedTuple):
    """`buffer[at] = merge(buffer[at], value)` in one piece, whoever else does so (compare-and-swap for floats)."""
    buffer: str
    at: Expr
    combine: str
    value: Expr


class Barrier(NamedTuple):
    """All work-items of a group meet; local memory is consistent after it."""


class If(NamedTuple):
    """Statements under a condition."""
    condition: Expr
    then: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()


class Prefix(NamedTuple):
    """`array[i] = merge(array[i - 1], array[i])` for i = 1 .. size - 1: a private array becomes its inclusive scan."""
    array: str
    dtype: str
    size: int
    combine: str


class Flag(NamedTuple):
    """Where `condition` holds, keep this fault if it is the first: the number of its site, an index and a size."""
    condition: Expr
    site: int
    at: Expr
    size: Expr


class Outer(NamedTuple):
    """A sum of outer products: `sums[r * lanes + c] += a[rows[r] + k * a_next] * b[b_at + k * lanes + c]` for k below `steps`, r below
    the number of `rows`, c below `lanes`.

    `sums` is a private array that registers of `width` elements hold meanwhile; floats may round once per product and sum.
    """
    sums: str
    dtype: str
    lanes: int
    width: int
    steps: Expr
    a: str
    rows: tuple[Expr, ...]
    a_next: Expr
    b: str
    b_at: Expr

    def expanded(self, b: Builder) -> Loop:
        """The same as plain statements."""
        k, c = b.var("outer_k"), b.var("outer_c")
        lanes, right = b.index(self.lanes), b.load(self.b, self.dtype, b.add(b.add(self.b_at, b.mul(k, b.index(self.lanes))), c))
        body: list[Stmt] = []
        for r, row in enumerate(self.rows):
            left = b.load(self.a, self.dtype, b.add(row, b.mul(k, self.a_next)))
            body.append(Accumulate((self.sums,), b.add(b.index(r * self.lanes), c), "sum", (b.op("mul", self.dtype, left, right),)))
        inner = Loop("vector", "outer_c", b.index(0), lanes, b.index(1), tuple(body))
        return Loop("serial", "outer_k", b.index(0), self.steps, b.index(1), (inner,))


class Loop(NamedTuple):
    """`for var in range(start, stop, step)`.

    kind "parallel" or "reduce" before scheduling; after it "grid" (var is the global id on `axis`, stop the number of work-items,
    start 0, step 1), "group" (var is the group id), "local" (var is the local id, stop a literal), "serial", "vector" (unit stride,
    no dependence between iterations but Accumulates, which may happen in any order), "unroll" (literal trip count) or "stream": its
    one statement copies a private array of literal length, from its start, to memory at an aligned place that is not read again soon.
    """
    kind: str
    var: str
    start: Expr
    stop: Expr
    step: Expr
    body: tuple[Stmt, ...]
    axis: int = 0

    @property
    def trips(self) -> int | None:
        """The number of iterations where it is literal and the step is 1."""
        first, last = self.start, self.stop
        if self.step.kind != "lit" or self.step.value != 1:
            return None
        if first.kind == last.kind == "lit":
            return max(int(last.value - first.value), 0)
        from_start = last.kind == "op" and last.value == "add" and last.args[0] is first and last.args[1].kind == "lit"
        return int(last.args[1].value) if from_start else None


Stmt = Alloc | Let | Store | Accumulate | Atomic | Barrier | If | Prefix | Flag | Outer | Loop


_FIELDS: dict[type, tuple[int, ...]] = {Let: (1,), Store: (1, 2), Loop: (2, 3, 4)}


class Param(NamedTuple):
    """A global buffer that a kernel takes; access is "r", "w" or "rw"."""
    name: str
    dtype: str
    access: str
    size: Dim


class Kernel(NamedTuple):
    """A statement tree with its buffers.  `wide` says that indices are 64-bit."""
    name: str
    params: tuple[Param, ...]
    body: tuple[Stmt, ...]
    wide: bool = False

    @property
    def flags(self) -> bool:
        """Whether the kernel can report faults; it then takes the buffer `flags` (int64[4]: site + 1, index, size, 0) as its last one."""
        return any(isinstance(s, Flag) for s in walk(self.body))


def walk(body: Iterable[Stmt]) -> list[Stmt]:
    """Every statement of the tree, outer before inner."""
    found: list[Stmt] = []
    todo = list(body)[::-1]
    while todo:
        stmt = todo.pop()
        found.append(stmt)
        if type(stmt) is Loop:
            todo += stmt.body[::-1]
        elif type(stmt) is If:
            todo += (stmt.then + stmt.orelse)[::-1]
    return found


def exprs_of(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions that stand directly in a statement."""
    kind = type(stmt)
    if kind in _FIELDS:
        return tuple([stmt[k] for k in _FIELDS[kind]])  # type: ignore[misc]
    if isinstance(stmt, Alloc):
        return () if stmt.init is None else (stmt.init,)
    if isinstance(stmt, Accumulate):
        return (stmt.at, *stmt.values)
    if isinstance(stmt, Outer):
        return (stmt.steps, *stmt.rows, stmt.a_next, stmt.b_at)
    return tuple(e for e in stmt if isinstance(e, Expr))


def stream_copy(loop: Loop) -> Store:
    """The statement of a "stream" loop; ValueError where it is not a copy of a private array from its start."""
    copy = loop.body[0]
    if len(loop.body) == 1 and isinstance(copy, Store) and copy.value.kind == "load":
        at = copy.value.args[0]
        if at.kind == "var" and at.value == loop.var:
            return copy
    raise ValueError(f"the stream loop over {loop.var} is not a copy of a private array from its start")


def dims_of(body: Iterable[Stmt]) -> tuple[Dim, ...]:
    """The Dims that the tree mentions, each once, in order: the integer arguments of the kernel."""
    found: dict[str, Dim] = {}
    seen: set[Expr] = set()
    for stmt in walk(body):
        todo = [e for e in exprs_of(stmt)[::-1] if e not in seen]
        while todo:
            expr = todo.pop()
            if expr not in seen:
                seen.add(expr)
                if expr.kind == "dim":
                    found.setdefault(expr.value.text, expr.value)
                elif expr.args:
                    todo += expr.args[::-1]
    return tuple(found.values())


def geometry(body: Iterable[Stmt]) -> tuple[tuple[Expr, ...], tuple[int, ...]]:
    """The number of work-items per axis (for groups: groups times their size) and the local size per axis, of a scheduled tree.

    A "grid" loop's axis has local size 1.  Several loops on one axis must agree.  A tree without any runs as one work-item.
    """
    items: dict[int, Expr] = {}
    local: dict[int, int] = {}
    for stmt in walk(body):
        if isinstance(stmt, Loop) and stmt.kind in ("grid", "group"):
            if items.setdefault(stmt.axis, stmt.stop) is not stmt.stop:
                raise ValueError(f"two loops over axis {stmt.axis} disagree: {items[stmt.axis]} and {stmt.stop}")
        elif isinstance(stmt, Loop) and stmt.kind == "local":
            local[stmt.axis] = stmt.stop.value
    rank = max([*items, *local], default=0) + 1
    builder = Builder()
    sizes = tuple(local.get(a, 1) for a in range(rank))
    one = builder.index(1)
    return tuple(builder.mul(items.get(a, one), builder.index(sizes[a])) for a in range(rank)), sizes


class Traits(NamedTuple):
    """What whoever prints or builds a scheduled kernel has to know of its tree, without sizes.

    integers: how many Dims it takes.  axes: those of its work-items.  alone: whether work-items have nothing to do with each other.
    flags: whether it can report faults.  streamed: whether it has stream loops.
    """
    integers: int
    axes: int
    alone: bool
    flags: bool
    streamed: bool


class Frame(NamedTuple):
    """What a launch of a scheduled kernel has to know: its integer arguments, work-items and local size per axis, and the traits."""
    dims: tuple[Dim, ...]
    grid: tuple[Expr, ...]
    local: tuple[int, ...]
    traits: Traits


def frame(kernel: Kernel) -> Frame:
    """The frame of a scheduled kernel."""
    inside = walk(kernel.body)
    loops = [s for s in inside if isinstance(s, Loop)]
    kinds = {loop.kind for loop in loops}
    grid, local = geometry([loop._replace(body=()) for loop in loops if loop.kind in ("grid", "group", "local")])
    alone = kinds.isdisjoint(("group", "local")) and not any(isinstance(s, Barrier) for s in inside)
    dims = dims_of(kernel.body)
    return Frame(dims, grid, local, Traits(len(dims), len(grid), alone, any(isinstance(s, Flag) for s in inside), "stream" in kinds))
