"""What both schedules share: names, the outer space of a tree, linear indices, and estimates of the work in it."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from codegen.kernel import (
    INDEX,
    Accumulate,
    Alloc,
    Atomic,
    Builder,
    Expr,
    Flag,
    If,
    Kernel,
    Let,
    Loop,
    Outer,
    Param,
    Stmt,
    Store,
    exprs_of,
    walk,
)
from codegen.order import postorder
from codegen.target import Target
from exprgraph.dims import Dim, constant, maximum, minimum, product
from exprgraph.named import NamedTuple


class Names:
    """Gives names that no loop, array, buffer or value of a tree has."""

    def __init__(self, kernel: Kernel) -> None:
        self._taken, self._next = {p.name for p in kernel.params}, dict[str, int]()
        for stmt in walk(kernel.body):
            if isinstance(stmt, Alloc | Let):
                self._taken.add(stmt.name)
            elif isinstance(stmt, Loop):
                self._taken.add(stmt.var)

    def fresh(self, stem: str) -> str:
        """A new name that begins with `stem`."""
        number = self._next.get(stem, 0)
        while (name := f"{stem}_{number}" if number else stem) in self._taken:
            number += 1
        self._next[stem] = number + 1
        self._taken.add(name)
        return name


class Context(NamedTuple):
    """What a schedule works with: a builder of expressions, a source of names, the device."""
    b: Builder
    names: Names
    target: Target


def context(kernel: Kernel, target: Target) -> Context:
    """The context of scheduling this kernel."""
    return Context(Builder(), Names(kernel), target)


def known(expr: Expr) -> Dim | None:
    """The Dim of an index that depends on sizes only."""
    return expr.value if expr.kind == "dim" else constant(expr.value) if expr.kind == "lit" else None


def extent(loop: Loop) -> Dim | None:
    """The trip count of a loop from 0 in steps of 1 where it depends on sizes only."""
    plain = loop.start.kind == "lit" and loop.start.value == 0 and loop.step.kind == "lit" and loop.step.value == 1
    return known(loop.stop) if plain else None


def peel(body: tuple[Stmt, ...], kind: str = "parallel") -> tuple[tuple[Loop, ...], tuple[Stmt, ...]]:
    """The perfectly nested loops of one kind at the top of a tree, and what stands inside them."""
    loops: list[Loop] = []
    while len(body) == 1 and isinstance(body[0], Loop) and body[0].kind == kind and extent(body[0]) is not None:
        loops.append(body[0])
        body = body[0].body
    return tuple(loops), body


def points(loops: Iterable[Loop]) -> Dim:
    """The number of iterations of a perfect nest."""
    return product(d for d in map(extent, loops) if d is not None)


def clamp(value: Dim, high: Dim | int) -> Dim:
    """The value between 1 and `high`; 1 where high is less."""
    return maximum(minimum(value, high), 1)


def delinearise(b: Builder, linear: Expr, loops: Sequence[Loop]) -> tuple[Stmt, ...]:
    """The variables of a nest from the linear index of its iteration."""
    lets: list[Stmt] = []
    for loop in loops[:0:-1]:
        lets.append(Let(loop.var, b.mod(linear, loop.stop)))
        linear = b.div(linear, loop.stop)
    lets += [Let(loop.var, linear) for loop in loops[:1]]
    return tuple(lets)


def linear_loop(ctx: Context, kind: str, loops: Sequence[Loop], start: Expr, stop: Expr, step: Expr, body: tuple[Stmt, ...]) -> Loop:
    """One loop over the linear index of a nest of at least one loop; a single loop keeps its variable."""
    if len(loops) == 1:
        return Loop(kind, loops[0].var, start, stop, step, body)
    var = ctx.names.fresh("point")
    return Loop(kind, var, start, stop, step, delinearise(ctx.b, ctx.b.var(var), loops) + body)


def cost(body: tuple[Stmt, ...]) -> Dim:
    """About how many innermost statements run; loops of unknown length count as one iteration."""
    total = constant(0)
    for stmt in body:
        if isinstance(stmt, Loop):
            length = extent(stmt)
            total = total + cost(stmt.body) * (1 if length is None else length)
        elif isinstance(stmt, If):
            total = total + cost(stmt.then) + cost(stmt.orelse)
        elif isinstance(stmt, Store | Accumulate | Atomic | Flag):
            total = total + 1
    return total


def has_loop(body: tuple[Stmt, ...], *kinds: str) -> bool:
    """Whether a loop (of one of these kinds, if any are given) stands anywhere in the tree."""
    return any(isinstance(s, Loop) and (not kinds or s.kind in kinds) for s in walk(body))


def rebuild(body: tuple[Stmt, ...], change: Callable[[Stmt], tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
    """The tree with each statement that is no Loop and no If replaced by `change(statement)`."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop):
            out.append(stmt._replace(body=rebuild(stmt.body, change)))
        elif isinstance(stmt, If):
            out.append(stmt._replace(then=rebuild(stmt.then, change), orelse=rebuild(stmt.orelse, change)))
        else:
            out += change(stmt)
    return tuple(out)


def below(expr: Expr) -> list[Expr]:
    """The expression and everything in it, operands first, each once."""
    return postorder((expr,))


def operations(body: Iterable[Stmt]) -> set[Expr]:
    """The different operations of statements, without those of indices and of statements inside."""
    return {e for e in postorder(root for s in body for root in exprs_of(s)) if e.kind == "op" and e.dtype != INDEX}


def halves(ctx: Context, combine: str, arrays: Sequence[tuple[str, str]], lanes: int) -> tuple[Loop, ...]:
    """The lanes of arrays, each a name and its dtype, combined in pairs until the first lane holds everything."""
    b, names, out = ctx.b, tuple(name for name, _ in arrays), list[Loop]()
    for half in (lanes >> k for k in range(1, lanes.bit_length())):
        lane = b.var(ctx.names.fresh("lane"))
        values = tuple(b.load(name, dtype, b.add(lane, b.index(half))) for name, dtype in arrays)
        out.append(Loop("vector", lane.value, b.index(0), b.index(half), b.index(1), (Accumulate(names, lane, combine, values),)))
    return tuple(out)


def rebuilt(expr: Expr, change: Callable[[Expr, tuple[Expr, ...]], Expr]) -> Expr:
    """The expression built anew from its leaves on by `change(old, new operands)`."""
    new: dict[int, Expr] = {}
    for e in below(expr):
        new[id(e)] = change(e, tuple(new[id(a)] for a in e.args))
    return new[id(expr)]


def again(b: Builder, expr: Expr, args: tuple[Expr, ...]) -> Expr:
    """The expression over other operands; itself where they are its own."""
    return expr if args == expr.args else b.make(expr.kind, expr.dtype, args, expr.value)


def names_in(*exprs: Expr) -> set[str]:
    """The variables, arrays and buffers that expressions mention."""
    return {e.value for expr in exprs for e in below(expr) if e.kind in ("var", "load")}


def unit_step(expr: Expr, var: str) -> bool:
    """Whether an index grows by exactly 1 with the variable."""
    slope: dict[Expr, int | None] = {}   # None: not known to be 0 or 1
    for e in below(expr):
        parts = [slope[a] for a in e.args]
        if e.kind == "var":
            slope[e] = int(e.value == var)
        elif e.kind == "op" and e.value == "add" and None not in parts:
            slope[e] = sum(p or 0 for p in parts)
        elif e.kind == "op" and e.value == "sub" and parts[1] == 0:
            slope[e] = parts[0]
        else:
            slope[e] = None if any(p != 0 for p in parts) else 0
    return slope[expr] == 1


def mentioned(body: tuple[Stmt, ...], kinds: tuple[str, ...]) -> set[str]:
    """The names that the expressions of a tree mention, as variables ("var") or as memory that is read ("load")."""
    names: set[str] = set()
    seen: set[Expr] = set()
    todo = [e for stmt in walk(body) for e in exprs_of(stmt)]
    while todo:
        expr = todo.pop()
        if expr not in seen:
            seen.add(expr)
            todo += expr.args
            if expr.kind in kinds:
                names.add(expr.value)
    return names


def loaded(body: tuple[Stmt, ...]) -> set[str]:
    """The buffers and arrays that a tree reads."""
    return mentioned(body, ("load",)).union(*((s.a, s.b) for s in walk(body) if isinstance(s, Outer)))


def stored(body: tuple[Stmt, ...]) -> set[str]:
    """The buffers and arrays that a tree writes."""
    names: set[str] = set()
    for stmt in walk(body):
        if isinstance(stmt, Store | Atomic):
            names.add(stmt.buffer)
        elif isinstance(stmt, Accumulate):
            names.update(stmt.targets)
        elif isinstance(stmt, Outer):
            names.add(stmt.sums)
    return names


def used(params: Sequence[Param], body: tuple[Stmt, ...]) -> tuple[Param, ...]:
    """The buffers that a tree mentions."""
    names = loaded(body) | stored(body)
    return tuple(p for p in params if p.name in names)
