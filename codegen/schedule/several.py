"""Maps on a GPU: each work-item takes several elements a pass, reads them all before it writes any, and so waits for memory once.

The elements of an item lie as far apart as a group has items: at each step a group reads one run of neighbours.  Only the indices of the
first one are made by divisions; the others follow by additions with carries.  Faults are noted, and looked for after the pass where there
was one: what reports them would keep later reads from being made early.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from codegen.kernel import INDEX, Accumulate, Alloc, Atomic, Builder, Expr, Flag, If, Let, Loop, Stmt, Store, exprs_of, walk
from codegen.order import postorder
from codegen.rows import row_of
from codegen.schedule.common import Context, delinearise, loaded, names_in, operations, points, stored
from codegen.schedule.tile import from_tiles
from exprgraph.dims import Dim, ceildiv, constant, maximum
from exprgraph.named import NamedTuple

EACH = 4
MOST = 48
"""Operations of an element from which on an item has enough to do while it waits for one; so many statements are not worth repeating."""
MOST_READS = 12
"""Operands of which an item can hold those of all its elements in registers."""


def each(body: tuple[Stmt, ...]) -> int:
    """How many elements an item of this map takes at once."""
    plain = all(isinstance(s, Let | Flag) or _write(s) is not None for s in body)
    buffers = [w.buffer for w in map(_write, body) if w is not None]
    apart = len(set(buffers)) == len(buffers) > 0 and not loaded(body) & stored(body)
    small = len(operations(walk(body))) <= MOST and sum(e.kind == "load" for e in _parts(body)) <= MOST_READS
    return EACH if plain and apart and small else 1


def _parts(body: tuple[Stmt, ...]) -> list[Expr]:
    """Every expression of the statements, once."""
    return postorder(e for s in walk(body) for e in exprs_of(s))


def _write(stmt: Stmt) -> Store | Atomic | None:
    """What a statement writes, if it is one place: a store, or under a condition a merge, whose value is known in any case."""
    if isinstance(stmt, If) and len(stmt.then) == 1 and not stmt.orelse:
        return stmt.then[0] if isinstance(stmt.then[0], Atomic) else None
    return stmt if isinstance(stmt, Store) else None


def several(ctx: Context, outer: Sequence[Loop], body: tuple[Stmt, ...], ids: tuple[Expr, Expr], size: int, groups: Dim) -> Loop:
    """The elements of a group, EACH times its size a pass; `ids` are those of the group and the item."""
    b, (group, item), count = ctx.b, ids, ctx.b.index(points(outer))
    first, whole = b.var(ctx.names.fresh("first")), b.index(EACH * size)
    point = outer[0].var if len(outer) == 1 else ctx.names.fresh("point")
    start = b.add(first, item)

    def one_by_one(stop: Expr, inside: tuple[Stmt, ...]) -> Loop:
        var = point if len(outer) == 1 else ctx.names.fresh("point")
        return Loop("serial", var, start, stop, b.index(size), (*delinearise(b, b.var(var), outer)[len(outer) == 1:], *inside))
    search = one_by_one(b.add(first, whole), tuple(s for s in body if isinstance(s, Let | Flag)))
    full = b.op("ge", "bool", b.sub(count, first), whole)
    work = _pass(ctx, _places(ctx, point, outer, start, size), body, search)
    return Loop("serial", first.value, b.mul(group, whole), count, b.index(groups * EACH * size),
                (If(full, work, (one_by_one(count, body),)),))


class Places(NamedTuple):
    """Where the elements of an item lie: what is to be done before a pass, and the indices of one, by the variable of the turn."""
    before: tuple[Stmt, ...]
    turn: Expr
    lets: tuple[Stmt, ...]


def _places(ctx: Context, point: str, outer: Sequence[Loop], start: Expr, size: int) -> Places:
    b, turn, zero = ctx.b, ctx.b.var(ctx.names.fresh("turn")), ctx.b.index(0)
    if len(outer) == 1:
        return Places((), turn, (Let(point, b.add(start, b.mul(turn, b.index(size)))),))
    arrays = [ctx.names.fresh(f"{loop.var}_at") for loop in outer]
    before: list[Stmt] = [Let(point, start), *(Alloc(a, INDEX, EACH, "private") for a in arrays)]
    first = {let.name: let.value for let in delinearise(b, b.var(point), outer) if isinstance(let, Let)}
    before += [Store(a, zero, first[loop.var]) for a, loop in zip(arrays, outer)]
    for number in range(1, EACH):
        at = [b.load(a, INDEX, b.index(number - 1)) for a in arrays]
        before += [Store(a, b.index(number), value) for a, value in zip(arrays, _later(b, at, outer, size))]
    return Places(tuple(before), turn, tuple(Let(loop.var, b.load(a, INDEX, turn)) for a, loop in zip(arrays, outer)))


def _later(b: Builder, at: Sequence[Expr], outer: Sequence[Loop], steps: int) -> list[Expr]:
    """The indices of the point that comes some steps after one."""
    found, inner, carry = list[Expr](), constant(1), b.index(0)
    for place, loop in zip(at[::-1], outer[::-1]):
        length, ahead = points((loop,)), constant(steps) // maximum(inner, 1)
        if len(found) + 1 == len(outer):
            return [b.add(b.add(place, b.index(ahead)), carry), *found[::-1]]
        step = b.add(b.index(ahead % maximum(length, 1)), carry)
        moved = b.add(place, step)
        over = b.lit(False, "bool") if step.kind == "lit" and step.value == 0 else b.op("ge", "bool", moved, loop.stop)
        found.append(b.select(over, b.sub(moved, loop.stop), moved))
        carry, inner = b.select(over, b.index(1), b.index(0)), inner * length
    return found


def passes(outer: Sequence[Loop], size: int) -> Dim:
    """How many passes of a group there are."""
    return ceildiv(points(outer), EACH * size)


def _pass(ctx: Context, places: Places, body: tuple[Stmt, ...], search: Stmt) -> tuple[Stmt, ...]:
    """All values into private arrays, then all of these to their places; where the values take long, all operands before.

    search: what finds the fault of a pass that had one.
    """
    b, turn, zero = ctx.b, places.turn, ctx.b.index(0)
    faults = any(isinstance(s, Flag) for s in body)
    reads = {e: Alloc(ctx.names.fresh("read"), e.dtype, EACH, "private") for e in (_reads(body) if faults or _slow(body) else ())}
    kept = {w.buffer: Alloc(ctx.names.fresh("kept"), w.value.dtype, EACH, "private") for w in map(_write, body) if w is not None}
    note = Alloc(ctx.names.fresh("fault"), "bool", 1, "private", b.lit(False, "bool"))

    def turns(inside: tuple[Stmt, ...]) -> Loop:
        return Loop("unroll", turn.value, b.index(0), b.index(EACH), b.index(1), (*places.lets, *inside))

    def change(s: Stmt) -> Stmt:
        if isinstance(s, Flag):
            return Accumulate((note.name,), zero, "any", (s.condition,))
        return s if (w := _write(s)) is None else Store(kept[w.buffer].name, turn, w.value)
    before = tuple(Store(a.name, turn, e) for e, a in reads.items())
    fetch = (turns((*_needed(body, {n for e in reads for n in names_in(e.args[0])}), *before)),) if reads else ()
    body, out = _read_before(ctx, body, {e: a.name for e, a in reads.items()}, turn), list[Stmt]()
    for s in body:
        if (w := _write(s)) is not None:
            w = w._replace(value=b.load(kept[w.buffer].name, w.value.dtype, turn))
            out.append(s._replace(then=(w,)) if isinstance(s, If) else w)
    wanted = {n for s in walk(out) for e in exprs_of(s) for n in names_in(e)}
    return (*places.before, *reads.values(), *kept.values(), *(note,) * faults, *fetch, turns(tuple(map(change, body))),
            turns((*_needed(body, wanted), *out)),
            *(If(b.load(note.name, "bool", zero), (search,)),) * faults)


def _read_before(ctx: Context, body: tuple[Stmt, ...], names: Mapping[Expr, str], turn: Expr) -> tuple[Stmt, ...]:
    """The statements with operands taken from private arrays."""
    found = from_tiles(ctx, body, names, turn)
    return tuple(s._replace(then=from_tiles(ctx, s.then, names, turn)) if isinstance(s, If) else s for s in found)


def _slow(body: tuple[Stmt, ...]) -> bool:
    """Whether there are functions, around which compilers do not move loads."""
    return any("expensive" in row_of(e.value).flags for e in operations(walk(body)))


def _reads(body: tuple[Stmt, ...]) -> tuple[Expr, ...]:
    """What an element reads in any case, at places that do not rest on memory."""
    seen: dict[Expr, None] = {}
    todo = [e for s in body for e in exprs_of(s)][::-1]
    while todo:
        e = todo.pop()
        if e not in seen:
            seen[e] = None
            todo += e.args[:1] if e.kind == "op" and e.value == "switch" else e.args[::-1]
    return tuple(e for e in seen if e.kind == "load" and not loaded((Let("at", e.args[0]), *_needed(body, names_in(e.args[0])))))


def _needed(body: tuple[Stmt, ...], names: set[str]) -> tuple[Stmt, ...]:
    """The Lets that these names rest on."""
    lets: list[Stmt] = []
    for stmt in body[::-1]:
        if isinstance(stmt, Let) and stmt.name in names:
            names |= names_in(stmt.value)
            lets.append(stmt)
    return tuple(lets[::-1])
