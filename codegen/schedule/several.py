"""Maps on a GPU: each work-item takes several elements a pass, reads them all before it writes any, and so waits for memory once.

The elements of an item lie as far apart as a group has items: at each step a group reads one run of neighbours.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Alloc, Expr, Flag, If, Let, Loop, Stmt, Store, exprs_of
from codegen.rows import row_of
from codegen.schedule.common import Context, delinearise, loaded, names_in, operations, points, stored
from codegen.schedule.tile import from_tiles
from exprgraph.dims import Dim, ceildiv

EACH = 4
MOST = 48
"""Operations of an element from which on an item has enough to do while it waits for one; so many statements are not worth repeating."""


def each(body: tuple[Stmt, ...]) -> int:
    """How many elements an item of this map takes at once."""
    plain = all(isinstance(s, Let | Store | Flag) for s in body)
    buffers = [s.buffer for s in body if isinstance(s, Store)]
    apart = len(set(buffers)) == len(buffers) > 0 and not loaded(body) & stored(body)
    return EACH if plain and apart and len(operations(body)) <= MOST else 1


def several(ctx: Context, outer: Sequence[Loop], body: tuple[Stmt, ...], ids: tuple[Expr, Expr], size: int, groups: Dim) -> Loop:
    """The elements of a group, EACH times its size a pass; `ids` are those of the group and the item."""
    b, (group, item), count = ctx.b, ids, ctx.b.index(points(outer))
    first, whole = b.var(ctx.names.fresh("first")), b.index(EACH * size)
    point = outer[0].var if len(outer) == 1 else ctx.names.fresh("point")
    body = (*delinearise(b, b.var(point), outer)[len(outer) == 1:], *body)
    rest = Loop("serial", point, b.add(first, item), count, b.index(size), body)
    full = b.op("ge", "bool", b.sub(count, first), whole)
    return Loop("serial", first.value, b.mul(group, whole), count, b.index(groups * EACH * size),
                (If(full, _pass(ctx, point, b.add(first, item), size, body), (rest,)),))


def passes(outer: Sequence[Loop], size: int) -> Dim:
    """How many passes of a group there are."""
    return ceildiv(points(outer), EACH * size)


def _pass(ctx: Context, point: str, start: Expr, size: int, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """All values into private arrays, then all of these to their places; where the values take long, all operands before."""
    b, turn = ctx.b, ctx.b.var(ctx.names.fresh("turn"))
    reads = {e: Alloc(ctx.names.fresh("read"), e.dtype, EACH, "private") for e in (_reads(body) if _slow(body) else ())}
    kept = {s.buffer: Alloc(ctx.names.fresh("kept"), s.value.dtype, EACH, "private") for s in body if isinstance(s, Store)}
    place = Let(point, b.add(start, b.mul(turn, b.index(size))))

    def turns(inside: tuple[Stmt, ...]) -> Loop:
        return Loop("unroll", turn.value, b.index(0), b.index(EACH), b.index(1), (place, *inside))
    before = tuple(Store(a.name, turn, e) for e, a in reads.items())
    fetch = (turns((*_needed(body, {n for e in reads for n in names_in(e.args[0])}), *before)),) if reads else ()
    body = from_tiles(ctx, body, {e: a.name for e, a in reads.items()}, turn)
    values = tuple(Store(kept[s.buffer].name, turn, s.value) if isinstance(s, Store) else s for s in body)
    out = tuple(s._replace(value=b.load(kept[s.buffer].name, s.value.dtype, turn)) for s in body if isinstance(s, Store))
    return (*reads.values(), *kept.values(), *fetch, turns(values), turns((*_needed(body, {n for s in out for n in names_in(s.at)}), *out)))


def _slow(body: tuple[Stmt, ...]) -> bool:
    """Whether there are functions, around which compilers do not move loads."""
    return any("expensive" in row_of(e.value).flags for e in operations(body))


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
