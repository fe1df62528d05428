"""What every kernel of a contraction needs: the record of what is multiplied, batch indices, loops, and the use of a result."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.kernel import Builder, Expr, Let, Loop, Stmt
from exprgraph.dims import Dim
from exprgraph.named import NamedTuple


class Contraction(NamedTuple):
    """What is multiplied: batch extents and the sizes m, n, k.

    load_a(*batch, i, k) and load_b(*batch, k, j) are the factors, in `dtype`; epilogue(value, *batch, i, j) are the statements that use a
    result.  Sums run in the order of k in `dtype`; integers wrap.
    """
    builder: Builder
    batch: Sequence[Dim]
    m: Dim
    n: Dim
    k: Dim
    load_a: Callable[..., Expr]
    load_b: Callable[..., Expr]
    epilogue: Callable[..., tuple[Stmt, ...]]
    dtype: str

    def times(self, left: Expr, right: Expr) -> Expr:
        """The product of two factors."""
        return self.builder.op("mul", self.dtype, left, right)

    def read(self, array: str, at: Expr) -> Expr:
        """An element of an array of the contraction's dtype."""
        return self.builder.load(array, self.dtype, at)

    def zero(self) -> Expr:
        """The sum of no products."""
        return self.builder.lit(0, self.dtype)


def batch_indices(what: Contraction) -> tuple[tuple[Expr, ...], tuple[Stmt, ...]]:
    """The batch indices and the statements that find them in the linear index "batch"."""
    b, linear, lets = what.builder, what.builder.var("batch"), list[Stmt]()
    for i in range(len(what.batch) - 1, -1, -1):
        extent = b.index(what.batch[i])
        lets.append(Let(f"batch{i}", linear if i == 0 else b.mod(linear, extent)))
        linear = b.div(linear, extent)
    return tuple(b.var(f"batch{i}") for i in range(len(what.batch))), tuple(lets)


def loop(b: Builder, kind: str, var: str, stop: Expr | int, *body: Stmt) -> Loop:
    """A loop from 0 in steps of 1."""
    end = b.index(stop) if isinstance(stop, int) else stop
    return Loop(kind, var, b.index(0), end, b.index(1), body)


def finish(what: Contraction, batch: Sequence[Expr], i: Expr, j: Expr, result: Expr) -> tuple[Stmt, ...]:
    """What is done with a result."""
    return (Let("result", result), *what.epilogue(what.builder.var("result", what.dtype), *batch, i, j))
