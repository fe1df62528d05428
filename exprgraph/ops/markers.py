"""Markers: rows that change nothing but what the gradient sees, what is printed and what is checked."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph.dims import Dim
from exprgraph.errors import AssertionFault, IndexFault, UseError, ValueFault, at, here, shortly
from exprgraph.node import Condition, Node, Op, Out, Refusal, TensorType, as_symbol, make_constant
from exprgraph.ops.bits import and_, invert
from exprgraph.ops.compare import eq, ge, gt, le, lt, neq
from exprgraph.ops.index import index_array
from exprgraph.ops.pair import EACH
from exprgraph.ops.reduce import all_
from exprgraph.ops.rows import no_slope, row, table
from exprgraph.ops.shape import Types, needed
from exprgraph.types import Accepted, broadcast_dims, cast_to, dim_of


def _marker(name: str, flags: str, doc: str) -> Op:
    same: Callable[..., Any] = lambda x: x  # noqa: E731  (a value, as the rows of NumPy functions have)
    return row(name, same, "{0}", None, flags=flags, pair=EACH, doc=doc)


disconnected_grad = _marker("disconnected_grad", "no_path", "The tensor itself; for gradients it depends on nothing.")
zero_grad = _marker("zero_grad", "zero_grad", "The tensor itself; its gradient is zero.")


def _assume_accept(x: Any, words: Sequence[str] = (), low: float | None = None, high: float | None = None, nan: bool = False) -> Accepted:
    return (as_symbol(x),), {"words": tuple(words), "low": low, "high": high, "nan": bool(nan)}


def _assume_batch(inputs: Sequence[Out], mapped: Sequence[bool], size: Out, words: tuple[str, ...], **told: Any) -> Out:
    """Elements that differ in each lane may be equal in two."""
    kept = tuple(w for w in words if w != "unique")
    return assume(inputs[0], words=kept, **told) if kept or told["low"] is not None or told["high"] is not None else inputs[0]


assume: Op = row("assume", lambda x, **told: x, "{0}", lambda g, y, x, **told: (g,), accept=_assume_accept, flags="smooth",
             infer=lambda inputs, **told: (inputs[0].type,),
             doc="The tensor itself, of which words and bounds are taken for true; kernels never see it.").changed(batch=_assume_batch)


def _assert(x: Any, holds: Any, message: str = "") -> Any:
    """A tensor without elements has none that a kernel would check."""
    if x.size and not np.all(holds):
        raise ValueError(message)
    return np.array(x)


def _assert_accept(x: Any, condition: Any, message: str = "the condition does not hold") -> Accepted:
    if not isinstance(message, str):
        raise UseError(f"the message of an assertion is a text, not {shortly(message)}{at(here())}")
    holds: Any = as_symbol(condition)
    holds = holds if holds.dtype == "bool" else neq(holds, 0)
    return (as_symbol(x), all_(holds) if holds.ndim else holds), {"message": message}


def _assert_type(inputs: tuple[Out, ...], message: str) -> Types:
    return (inputs[0].type,)


_COMPARED: dict[Op, Callable[[Dim, Dim], tuple[str, Dim, Dim]]] = {
    eq: lambda a, b: ("eq", a, b), le: lambda a, b: ("le", a, b), lt: lambda a, b: ("le", a + 1, b),
    ge: lambda a, b: ("le", b, a), gt: lambda a, b: ("le", b + 1, a)}


def _of_sizes(holds: Node) -> list[tuple[str, Dim, Dim]] | None:
    """What a condition says about sizes; None where it needs more than sizes and integer scalars."""
    found, todo = [], [holds]
    while todo:
        node = todo.pop()
        if node.op is and_:
            todo += [i.node for i in node.inputs]
            continue
        sides = [dim_of(i) for i in node.inputs] if node.op in _COMPARED and not node.outs[0].shape else [None]
        if any(d is None for d in sides):
            return None
        found.append(_COMPARED[node.op](*[d for d in sides if d is not None]))
    return found


def _template(message: str) -> str:
    return "assert: " + message.replace("{", "{{").replace("}", "}}")


def _assert_needs(inputs: tuple[Out, ...], message: str) -> list[Condition]:
    """Conditions on sizes are checked before anything runs, for tensors without elements too."""
    return [c for parts in _of_sizes(inputs[1].node) or () for c in needed(*parts, _template(message), AssertionFault)]


def _assert_refuses(inputs: tuple[Out, ...], message: str) -> list[Refusal]:
    if _of_sizes(inputs[1].node) is not None:
        return []
    return [Refusal(invert(inputs[1]), make_constant(0, "int64"), _template(message), AssertionFault)]


assert_ = row("assert", _assert, "{0}", lambda g, y, x, holds, message: (g, None), arity=2, accept=_assert_accept, infer=_assert_type,
              flags="unmergeable", refuses=_assert_refuses, pair=EACH,
              doc="x where all of a condition holds; else the call fails with AssertionFault.").changed(requires=_assert_needs)


def _checked(x: Any, holds: Any, size: Any, message: str = "{index}", place: bool = False) -> Any:
    x, holds, size = np.broadcast_arrays(x, holds, size)
    if not holds.all():
        raise ValueError(message.format(index=x[~holds].flat[0], size=size[~holds].flat[0]))
    return x.copy()


def _checked_accept(x: Any, holds: Any, size: Any = 0, *, message: str, place: bool = False) -> Accepted:
    return (index_array(x), cast_to(holds, "bool"), index_array(size)), {"message": message, "place": place}


def _checked_type(inputs: tuple[Out, ...], message: str, place: bool) -> Types:
    return (TensorType("int64", broadcast_dims([i.type.shape for i in inputs])),)


def _checked_refuses(inputs: tuple[Out, ...], message: str, place: bool) -> list[Refusal]:
    return [Refusal(invert(inputs[1]), inputs[0], f"checked: {message}", IndexFault if place else ValueFault, inputs[2])]


checked = row("checked", _checked, "{0}", no_slope(3), arity=3, accept=_checked_accept, infer=_checked_type, refuses=_checked_refuses,
              doc="Integers, int64, each of which a condition must hold for; else ValueFault, or IndexFault where they are places, with a "
                  "message that may name the {index} and a {size}.")


class Assert:
    """Assert(message)(x, *conditions): x itself, where all conditions hold.

    A condition is a tensor of any shape; all of its elements must be true (or other than 0).  Where one is not, the call raises
    AssertionFault, an AssertionError, with the message and the user's line, and changes nothing.  A condition is looked at
    by calls that compute a result from what Assert returned; where all such results have no elements, it is if it is about sizes.  The
    optimiser sees x alone.  The gradient goes through to x.  UseError for a message that is no text.
    """

    def __init__(self, message: str = "the condition does not hold") -> None:
        self.message = message

    def __call__(self, x: Any, *conditions: Any) -> Out:
        if not conditions:
            raise UseError(f"Assert(message)(x, *conditions): no condition was given{at(here())}")
        out = as_symbol(x)
        for condition in conditions:
            out = assert_(out, condition, message=self.message)
        return out


def assert_op(x: Any, *conditions: Any, message: str = "the condition does not hold") -> Out:
    """Assert(message)(x, *conditions)."""
    return Assert(message)(x, *conditions)


class PrintRow(Op):
    """The row of one Print: the tensor itself, for kernels and for gradients."""
    __slots__ = ("printer",)
    printer: Print


class Print:
    """Print(message)(x): x itself, which every call prints that computes something from it.

    attrs: the attributes of the value (a NumPy array) that are printed, each on a line "message attribute = value"; what can be
    called is called.  global_fn: called with (this Print, value) instead.  The value is one more result of the compiled function, kept
    from the caller: it is printed after the call has succeeded and its updates are stored, in the order in which the graph is evaluated.
    The optimiser sees x alone, so what it makes of the rest does not change what is printed.  The gradient goes through.
    """

    def __init__(self, message: str = "", attrs: Sequence[str] = ("__str__",),
                 global_fn: Callable[[Print, Any], Any] | None = None) -> None:
        if isinstance(attrs, str) or not all(isinstance(a, str) for a in attrs):
            raise UseError(f"Print: attrs={shortly(attrs)}: a tuple of names of attributes is needed{at(here())}")
        self.message, self.attrs, self.global_fn = message, tuple(attrs), global_fn
        same: Callable[..., Any] = lambda x, message="": x  # noqa: E731
        made = row("print", same, "{0}", lambda g, y, x, message: (g,), flags="impure unmergeable", accept=self._accept, pair=EACH,
                   infer=lambda inputs, message: (inputs[0].type,), doc="The tensor itself, which is printed.")
        self._row = PrintRow(**{k: getattr(made, k) for k in Op.__slots__})
        self._row.printer = self

    def _accept(self, x: Any) -> Accepted:
        return (as_symbol(x),), {"message": str(self.message)}

    def __call__(self, x: Any) -> Out:
        return self._row(x)

    def show(self, value: Any) -> None:
        """Print a value."""
        if self.global_fn is not None:
            self.global_fn(self, value)
            return
        for name in self.attrs:
            found = getattr(value, name)
            print(self.message, name, "=", found() if callable(found) else found)


TABLE = table([disconnected_grad, zero_grad, assert_, assume, checked])
