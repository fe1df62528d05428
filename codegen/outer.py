"""How a sum of outer products is written in OpenCL C: explicit vectors, which the compiler keeps in registers."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codegen.dialect import dialect_of
from codegen.kernel import Outer
from codegen.spelling import C_TYPES
from exprgraph.named import NamedTuple

WIDEST = 16


class Tile(NamedTuple):
    """What fits the registers: rows of sums, each of `lanes` elements in vectors of `width`."""
    rows: int
    lanes: int
    width: int


def tile_of(dtype: str, dialect: str) -> Tile:
    """The tile for a dtype: two vectors a row, so that 16 or 32 registers hold it, two vectors of B and an element of A.

    With 512 bits it has no more rows than keep the adders busy, since those beyond the last row are computed in vain.
    """
    wide = "avx512f" in dialect_of(dialect).features
    width = min(WIDEST, (64 if wide else 32) // int(np.dtype(dtype).itemsize))
    return Tile(8 if wide else 6, 2 * width, width)


def outer_lines(stmt: Outer, texts: Sequence[str], clang: bool) -> list[str]:
    """The lines; `texts` are those of `exprs_of(stmt)`.

    Integers are unsigned here, since signed ones must not overflow in C.  With clang vectors are read through pointers, since
    the builtins of PoCL for it would be calls.
    """
    steps, *rows, a_next, b_at = texts
    scalar, width = C_TYPES[stmt.dtype], stmt.width
    scalar = "u" + scalar if stmt.dtype.startswith("int") else scalar
    parts = range(stmt.lanes // width)
    memory = _memory(scalar, width, int(np.dtype(stmt.dtype).itemsize), clang)
    sums = [(f"s{r}_{p}", f"{stmt.sums} + {r * stmt.lanes + p * width}") for r in range(len(rows)) for p in parts]
    lines = ["{", "    #pragma OPENCL FP_CONTRACT ON", *memory.types]
    lines += [f"    vec {name} = {memory.read('const ', place)};" for name, place in sums]
    lines += [f"    const __global {scalar} *p{r} = (const __global {scalar} *){stmt.a} + {row};" for r, row in enumerate(rows)]
    lines += [f"    const __global {scalar} *q = (const __global {scalar} *){stmt.b} + {b_at};",
              f"    for (long k_ = 0, n_ = {steps}, o_ = 0; k_ < n_; ++k_, o_ += {a_next}, q += {stmt.lanes}) {{"]
    lines += [f"        const vec b{p} = {memory.read('const __global ', f'q + {p * width}')};" for p in parts]
    for r in range(len(rows)):
        lines += [f"        const {scalar} f{r} = p{r}[o_];", *(f"        s{r}_{p} += f{r} * b{p};" for p in parts)]
    lines += ["    }"]
    return [*lines, *(f"    {memory.write(place, name)};" for name, place in sums), "}"]


class _memory:
    """How vectors are read and written."""

    def __init__(self, scalar: str, width: int, size: int, clang: bool) -> None:
        self.scalar, self.width, self.clang = scalar, width, clang
        self.types = [f"    typedef {scalar} vec __attribute__((ext_vector_type({width}), aligned({size})));" if self.clang else
                      f"    typedef {scalar}{width} vec;"]

    def read(self, space: str, place: str) -> str:
        """The vector at a place."""
        return f"*({space}vec *)({place})" if self.clang else f"vload{self.width}(0, ({space}{self.scalar} *)({place}))"

    def write(self, place: str, value: str) -> str:
        """Put a vector to a place of private memory."""
        return f"*(vec *)({place}) = {value}" if self.clang else f"vstore{self.width}({value}, 0, ({self.scalar} *)({place}))"
