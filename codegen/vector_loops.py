"""How compilers of the clang family are told to make vectors of a loop: several at a time, and the last ones under a mask.

Left to itself a compiler ends a vector loop with a loop over single elements: of a row of 31 nearly half.  A loop printed `in_two` has a
multiple of TAIL iterations and then fewer than TAIL, which the compiler is told to do as vectors with a mask, so that no iteration
runs by itself.  That pays where the CPU has masked loads and stores, which a dialect with features of its own has.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import INDEX, Accumulate, Expr, Let, Loop, Store, exprs_of
from codegen.order import postorder

INTERLEAVED = 128
"""Literal iterations from which on four vectors of a loop are in work at a time: one waits for its own results too often."""
TAIL = 16
QUIET = '#pragma clang diagnostic ignored "-Wpass-failed"'
"""For loops that the compiler cannot make vectors of after all."""
SEVERAL = "#pragma clang loop interleave_count(4)"
MASKED = "#pragma clang loop vectorize(enable) vectorize_predicate(enable)"
CHASED = "#pragma clang loop vectorize(enable) vectorize_width(8)"
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
COUNTS = {"add", "sub", "mul", "cast"}
HIDDEN = "eg_nothing"
"""A zero that the compiler does not know of.  Since elements are found by a loop's counter, it is made one of 64 bits, and then what it
is compared with as well, which takes twice as many vectors; `^` with this ends that.  A row of a one-hot matrix takes half the time."""
HIDING = (f"    int {HIDDEN} = 0;", f'    __asm__ volatile("" : "+r"({HIDDEN}));')
Depths = dict[Expr, int]
"""How many loads of an expression lie inside each other."""
CHAIN = 4
"""Loads each of which waits for the one before, from which on eight iterations go together: gathers cost what single loads cost, but
one iteration by itself fills no pipeline.  A search in 100,000 elements takes a fifth of the time."""


def hint(loop: Loop, deep: Depths | None = None) -> str | None:
    """What the compiler is told in front of a loop.  deep: the depths that are known."""
    if loop.kind == "vector" and chased(loop, {} if deep is None else deep):
        return CHASED
    return SEVERAL if interleaved(loop) else None


def compared(expr: Expr, counter: str) -> list[Expr]:
    """The operands of a comparison of 32-bit integers that are counts of a loop."""
    if expr.kind != "op" or expr.value not in COMPARISONS or expr.args[0].dtype not in ("int32", INDEX):
        return []
    return [a for a in expr.args if _counts(a, counter)]


def _counts(expr: Expr, counter: str) -> bool:
    """Whether an expression adds up a loop's counter and what is not loaded."""
    inside, known = [expr], set[Expr]()
    while inside:
        one = inside.pop()
        if one not in known and one.kind == "op" and one.value in COUNTS and one.dtype in ("int32", "int64", INDEX):
            inside += one.args
        known.add(one)
    return any(e.kind == "var" and e.value == counter for e in known)


def chased(loop: Loop, deep: Depths) -> bool:
    """Whether elements are read whose places depend on elements read, and so on."""
    for stmt in loop.body:
        for root in exprs_of(stmt) if isinstance(stmt, Let | Store) else ():
            for expr in postorder((root,), deep) if root not in deep else ():
                if expr not in deep:
                    below = 0
                    for arg in expr.args:
                        below = max(below, deep[arg])
                    deep[expr] = below + (expr.kind == "load")
            if deep[root] > CHAIN:
                return True
    return False


def interleaved(loop: Loop) -> bool:
    """Whether to ask for several vectors at a time: where there are enough, and none is gathered element by element."""
    return loop.kind == "vector" and (loop.trips or 0) >= INTERLEAVED and not _gathers(loop)


def _gathers(loop: Loop) -> bool:
    """Whether an element lies at a multiple of the loop's variable."""
    moved, scaled = {loop.var}, set[str]()
    moving, scaling = set[Expr](), set[Expr]()  # what moves with the variable; what does so by a multiple of it
    for stmt in loop.body:
        for expr in postorder(exprs_of(stmt)):
            if expr.args:
                moves = not moving.isdisjoint(expr.args)
                scales = moves and not scaling.isdisjoint(expr.args)
            else:
                moves = expr.kind == "var" and expr.value in moved
                scales = moves and expr.value in scaled
            if moves:
                moving.add(expr)
            if scales or (moves and expr.kind == "op" and expr.value == "mul"):
                scaling.add(expr)
            if scales and expr.kind == "load":
                return True
        if isinstance(stmt, Let):
            moved |= {stmt.name} if stmt.value in moving else set()
            scaled |= {stmt.name} if stmt.value in scaling else set()
    return False


def has_tail(loop: Loop, deep: Depths | None = None) -> bool:
    """Whether a loop is printed in two.  deep: the depths that are known."""
    plain = all(isinstance(s, Let | Store | Accumulate) for s in loop.body)
    return loop.kind == "vector" and loop.trips is None and plain and not chased(loop, {} if deep is None else deep)


def in_two(lines: Sequence[str], head: tuple[str, str, str, str], count: str, full: str) -> list[str]:
    """The lines of a `for` with what is inside, as two loops; head: the type and the name of its variable, where it starts and stops."""
    kind, var, start, stop = head
    first, *inside = lines
    indent = first[:len(first) - len(first.lstrip())]

    def loop(begin: str, end: str) -> str:
        return f"{indent}for ({kind} {var} = {begin}; {var} < {end}; ++{var}) {{"
    return [indent + "{",
            f"{indent}const {kind} {count} = {start} < {stop} ? {stop} - {start} : 0;",
            f"{indent}const {kind} {full} = {start} + ({count} & ~{TAIL - 1});",
            loop(start, full), *inside, indent + MASKED, loop(full, stop), *inside, indent + "}"]
