"""CHAINS: real rules about products of matrices: where a vector ends a chain it is multiplied first, and zeros are not multiplied.

Which order costs least depends on sizes that a call brings; a rule may only ask for what holds for all of them, as it does where the last
factor is one column or the first one row.  `multi_dot` and `einsum` choose among known sizes.
"""
from __future__ import annotations

from exprgraph.node import Out
from exprgraph.patterns import Match, Rule, some, tagged
from exprgraph.rules.conditions import value
from exprgraph.rules.indexing import filled, inner_alone

OVERFLOW = "rounding, overflow"


def column(match: Match) -> bool:
    """The last factor of the chain is one column, all are matrices, and nothing else reads the first product."""
    z = match.bound["z"]
    return z.type.shape[-1].const == 1 and _matrices(match) and inner_alone(match)


def row(match: Match) -> bool:
    """The first factor is one row, all are matrices, and nothing else reads the second product."""
    x = match.bound["x"]
    return x.type.shape[-2].const == 1 and _matrices(match) and inner_alone(match, 1)


def _matrices(match: Match) -> bool:
    x, y, z = (match.bound[n] for n in "xyz")
    outer = 1 in (y.type.shape[-2].const, y.type.shape[-1].const)  # one column or row costs the same in either order
    return x.ndim == y.ndim == z.ndim == 2 and not outer


def zeros(match: Match) -> bool:
    """All of the constant k is 0."""
    return value(match.bound["k"]) == 0


def product(x: Out, y: Out) -> Out:
    """The product of two matrices."""
    return some("matmul", (), x, y)


CHAINS = tagged("real products", (
    Rule("(x @ y) @ column", lambda x, y, z, p: some("matmul", p, some("matmul", p, x, y), z), lambda x, y, z: product(x, product(y, z)),
         column, why=OVERFLOW),
    Rule("row @ (y @ z)", lambda x, y, z, p: some("matmul", p, x, some("matmul", p, y, z)), lambda x, y, z: product(product(x, y), z),
         row, why=OVERFLOW),
    Rule("x @ 0", lambda x, k, p: some("matmul", p, x, k), lambda root: filled(0, root), zeros, why="NaN, infinity"),
    Rule("0 @ x", lambda x, k, p: some("matmul", p, k, x), lambda root: filled(0, root), zeros, why="NaN, infinity"),
))
"""All rules about chains of products, in the order in which they are tried."""
