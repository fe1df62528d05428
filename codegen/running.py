"""The inline functions behind `Prefix`: the inclusive scan of a private tile of 64 elements in vector registers.

Each vector is scanned by shifts of 1, 2 and 4 places, all vectors independently, so that their latencies overlap; then each is combined
with the total of those before it.  Vectors are of 256 bits at most.
"""
from __future__ import annotations

from codegen.kernel import Prefix
from exprgraph.named import NamedTuple

TILE = 64


class Vector(NamedTuple):
    """The C types of a vector and of its element for sums and products (unsigned, so that they wrap) and for comparisons."""
    wrapping: str
    plain: str
    lanes: int


VECTORS = {"f32": Vector("float", "float", 8), "f64": Vector("double", "double", 4), "i32": Vector("uint", "int", 8),
           "u32": Vector("uint", "uint", 8), "i64": Vector("ulong", "long", 4), "u64": Vector("ulong", "ulong", 4)}
SHORT = {"float32": "f32", "float64": "f64", "int32": "i32", "uint32": "u32", "int64": "i64", "uint64": "u64"}
COMBINES = {"prefixsum": "a + b", "prefixprod": "a * b", "prefixmax": "((a >= b)%s) ? a : b", "prefixmin": "((a <= b)%s) ? a : b"}
"""The combination of vectors a before b, by family; %s makes a NaN survive."""
MOVED = {(8, 1): "v.s012, v.s3456", (8, 2): "v.s012, v.s345", (8, 4): "v.s0123", (4, 1): "v.s012", (4, 2): "v.s01"}
"""The lanes of a vector, of some length, that remain when it moves by some lanes."""


def in_registers(stmt: Prefix) -> str:
    """The name of the function that does it, "" where a plain loop has to."""
    family, short = f"prefix{stmt.combine}", SHORT.get(stmt.dtype)
    return f"eg_{family}_{short}" if short and stmt.size == TILE and family in COMBINES else ""


def definition(family: str, short: str) -> str:
    """The function of one family for one dtype, with the combination of two vectors as a function of its own."""
    kind = VECTORS[short]
    total = family in ("prefixsum", "prefixprod")
    element = kind.wrapping if total else kind.plain
    vector, name, floating = f"{element}{kind.lanes}", f"eg_{family}_{short}", short.startswith("f")
    merge = COMBINES[family] if total else COMBINES[family] % (" | (a != a)" * floating)
    scalar = {"f32": "float", "f64": "double"}.get(short, kind.plain)
    start = {"prefixsum": "-0.0f" if short == "f32" else "-0.0" if floating else "0", "prefixprod": "1"}.get(family, "")
    count, last = TILE // kind.lanes, f"s{kind.lanes - 1}"
    steps = "".join(f" v = {name}_join({_shifted(kind.lanes, d, vector, start)}, v);" for d in (1, 2, 4) if d < kind.lanes)
    loads = "".join(f" {vector} v{k} = {name}_scan(w[{k}]);" for k in range(count))
    totals = "".join(f" c = {name}_join(c, ({vector})v{k - 1}.{last}); w[{k}] = {name}_join(c, v{k});" for k in range(2, count))
    joins = f" {vector} c = ({vector})v0.{last}; w[0] = v0; w[1] = {name}_join(c, v1);{totals}"
    return (f"EG_INLINE {vector} {name}_join({vector} a, {vector} b) {{ return {merge}; }}\n"
            f"EG_INLINE {vector} {name}_scan({vector} v) {{{steps} return v; }}\n"
            f"EG_INLINE void {name}({scalar} *t) {{ {vector} *w = ({vector} *)t;{loads}{joins} }}\n")


def _shifted(lanes: int, distance: int, vector: str, start: str) -> str:
    """The vector v moved by some lanes; those that come free hold what changes nothing: the start, or the lane's own value."""
    free = [start or f"v.s{k}" for k in range(distance)]
    return f"({vector})({', '.join(free)}, {MOVED[lanes, distance]})"
