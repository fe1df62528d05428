"""The combines: how two partial results of a reduction become one, for every schedule, printer and interpreter alike."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from codegen.kernel import Builder, Expr, Loop, Prefix, Store
from codegen.rows import value_of
from exprgraph.named import NamedTuple
from exprgraph.own.reduction import FOLDS

Exprs = tuple[Expr, ...]


class Combine(NamedTuple):
    """identity(builder, dtypes): the start; merge(builder, left, right): the partial result of both parts, left before right."""
    width: int
    identity: Callable[[Builder, tuple[str, ...]], Exprs]
    merge: Callable[[Builder, Exprs, Exprs], Exprs]


def lowest(dtype: str) -> Any:
    """The identity of max."""
    return False if dtype == "bool" else -float("inf") if dtype.startswith("float") else int(np.iinfo(dtype).min)


def highest(dtype: str) -> Any:
    """The identity of min."""
    return True if dtype == "bool" else float("inf") if dtype.startswith("float") else int(np.iinfo(dtype).max)


def _simple(name: str, start: Callable[[str], Any]) -> Combine:
    return Combine(1, lambda b, t: (b.lit(start(t[0]), t[0]),), lambda b, x, y: (b.op(name, x[0].dtype, x[0], y[0]),))


def _arg(name: str, start: Callable[[str], Any]) -> Combine:
    """(value, position) pairs: a NaN beats every number, then the better value, then the smaller position."""
    def merge(b: Builder, x: Exprs, y: Exprs) -> Exprs:
        earlier = b.op("lt", "bool", y[1], x[1])
        better = b.op("or_", "bool", b.op(name, "bool", y[0], x[0]), b.both(b.op("eq", "bool", y[0], x[0]), earlier))
        if x[0].dtype.startswith("float"):
            old, new = b.op("isnan", "bool", x[0]), b.op("isnan", "bool", y[0])
            better = b.select(old, b.both(new, earlier), b.op("or_", "bool", new, better))
        return b.select(better, y[0], x[0]), b.select(better, y[1], x[1])
    return Combine(2, lambda b, t: (b.lit(start(t[0]), t[0]), b.lit(np.iinfo("int64").max, "int64")), merge)


class _Combines(dict[str, Combine]):
    """The combines by name, those of the user's folds too, which are made when a kernel first asks."""

    def __missing__(self, name: str) -> Combine:
        fold = FOLDS[name]
        return Combine(1, lambda b, t: (b.lit(fold.start, t[0]),), lambda b, x, y: (b.op(value_of(fold.merge), x[0].dtype, x[0], y[0]),))


COMBINES: dict[str, Combine] = _Combines({
    "sum": _simple("add", lambda t: 0), "prod": _simple("mul", lambda t: 1),
    "max": _simple("maximum", lowest), "min": _simple("minimum", highest),
    "any": _simple("or_", lambda t: False), "all": _simple("and_", lambda t: True),
    "argmax": _arg("gt", lowest), "argmin": _arg("lt", highest)})


def serial_prefix(b: Builder, stmt: Prefix, var: str) -> Loop:
    """The meaning of a Prefix, as a loop over `var`."""
    at, one = b.var(var), b.index(1)
    both = COMBINES[stmt.combine].merge(b, (b.load(stmt.array, stmt.dtype, b.sub(at, one)),), (b.load(stmt.array, stmt.dtype, at),))
    return Loop("serial", var, one, b.index(stmt.size), one, (Store(stmt.array, at, both[0]),))
