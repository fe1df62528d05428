"""How a row is written: the constructors that op tables use."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.named import NamedTuple
from exprgraph.node import Op, Out, Refusal, TensorType, no_refusal
from exprgraph.ops.pair import Formula
from exprgraph.types import Accept, elementwise, like_first, same

Grad = Callable[..., tuple[Out | None, ...]]
ANY = (-3.0, 3.0)


def quiet(numpy: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy meaning that returns an array for 0-d operands too and gives no floating-point warnings: NaN and infinity are results."""
    def call(*args: Any, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(numpy(*args, **params))
    call.__name__ = call.__qualname__ = getattr(numpy, "__name__", "numpy")
    call.__wrapped__ = numpy  # type: ignore[attr-defined]
    return call


def no_slope(inputs: int) -> Grad:
    """The gradient of a function that is constant wherever it is differentiable: no cotangent for any input."""
    return lambda g, y, *args, **params: (None,) * inputs


def row(name: str, numpy: Callable[..., Any], c: str | Mapping[str, str], grad: Grad | None = None, *, arity: int = 1,
        takes: Sequence[str] = dtypes.REAL, compute: Callable[[str], str] = same,
        infer: Callable[..., tuple[TensorType, ...]] = like_first, domain: Sequence[tuple[float, float]] = (),
        ulp: float = 0.0, flags: str = "", doc: str = "", accept: Accept | None = None,
        refuses: Callable[..., list[Refusal]] = no_refusal, pair: Formula | str | None = None) -> Op:
    """An elementwise row.

    c is the C spelling, a template for all dtypes or one per kind ("f", "i", "u", "b", or "*" for the rest) of the last operand.  In a
    template {0}, {1} are the operands, {T} the C type of the operands, {U} an unsigned C type of at least 32 bits that holds it, {N} the
    dtype's short name (i8 ... u64, f32, f64, b), {S} "f" for float32 and "" for float64; for a cast {F} is the short name of the operand's
    dtype and {N}, {T} those of the result.  Names that begin with eg_ are helper functions of codegen/mathlib.py, those that begin with
    EG_ are macros of the dialect.  A template mentions each operand once, so that nested expressions do not grow; what needs a value
    twice is a helper function.

    Without `accept`, the arguments are promoted, cast to `compute(promoted)`, and refused where that is not in `takes`.  The flag
    "zero_grad" says that the gradient is zero where it exists; the cotangents are None then.  refuses(inputs) lists the operands that
    are faults.  pair: the meaning on complex numbers, as `ops.pair` says; without it they are refused.
    """
    spelled = {"*": c} if isinstance(c, str) else dict(c)
    return Op(name, "elementwise", quiet(numpy), accept or elementwise(name, arity, takes, compute), infer, grad, spelled,
              tuple(domain) or (ANY,) * arity, ulp, frozenset(flags.split()), refuses=refuses, doc=doc, pair=pair)


class Undefined(NamedTuple):
    """What a row gives in place of a cotangent that does not exist.  missing: it exists, but nobody has written it down."""
    reason: str
    missing: bool = False


def undefined(reason: str) -> Any:
    """For the gradients of rows: there is none with respect to this input, for a reason that messages name."""
    return Undefined(reason)


def table(rows: Sequence[Op]) -> dict[str, Op]:
    """Rows by name; two of one name are an error."""
    found = {r.name: r for r in rows}
    if len(found) != len(rows):
        raise ValueError("two rows of one name: " + ", ".join(sorted(r.name for r in rows)))
    return found
