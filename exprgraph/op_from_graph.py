"""Ops of the user's own that are made of other ops: OpFromGraph and custom_gradient."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.bodies import fresh
from exprgraph.body_gradient import DEFAULT, is_default
from exprgraph.body_rules import Trace, applied, traced
from exprgraph.called import formed, per_tensor, results, tensors, with_tensors
from exprgraph.errors import CallError, DTypeError, GradientError, GraphError, RankError, at, here, shortly
from exprgraph.functions.shaping import specify_shape
from exprgraph.node import CONSTANT, Out, as_symbol
from exprgraph.ops.rows import Undefined
from exprgraph.types import cast_to


class OpFromGraph:
    """An op that computes `outputs` from `inputs`: OpFromGraph([x, y], [x * y])(a, b) is a * b, as one node until it is compiled.

    What the outputs depend on beside the inputs (shared variables, other symbols) is taken along.  Arguments must have the dtypes of the
    inputs, or such as promote to them, their ranks, and the lengths that the inputs were given; other sizes may differ.  A call gives one
    symbol for one output, a list for several.

    lop_overrides: the gradient; "default" is that of the graph.  A function (inputs, outputs, output gradients) -> list of the inputs'
    gradients, all lists; an OpFromGraph of all of these in this order; None for zero; or a list of such, one for each input, whose
    functions give one symbol.  grad_overrides: the same without the outputs; one of the two.  rop_overrides: forward mode, by (inputs,
    eval_points) -> tangents of the outputs.  connection_pattern: for each input a list of booleans by output, False where gradients shall
    know of no path.  inline is accepted and changes nothing: `compile` always opens the graph, so that what is inside fuses with what
    is around it.
    """

    def __init__(self, inputs: Sequence[Out], outputs: Sequence[Out], inline: bool = False, lop_overrides: Any = DEFAULT,
                 grad_overrides: Any = DEFAULT, rop_overrides: Any = DEFAULT,
                 connection_pattern: Sequence[Sequence[bool]] | None = None, name: str | None = None) -> None:
        self.inputs, self.outputs = _symbols("inputs", inputs), _symbols("outputs", outputs)
        self.name, self.inline = name or "OpFromGraph", bool(inline)
        places = [(i.node, i.index) for i in self.inputs]
        if len(set(places)) < len(places) or any(i.node.op is CONSTANT for i in self.inputs):
            raise GraphError(f"{self.name}: the inputs must be distinct symbols, none of them a constant{at(here())}")
        if not is_default(lop_overrides) and not is_default(grad_overrides):
            raise GradientError(f"{self.name}: lop_overrides and grad_overrides say the same thing: give one of them{at(here())}")
        self._lop, self._grad, self._rop = lop_overrides, grad_overrides, rop_overrides
        for what, given, count in (("lop_overrides", lop_overrides, len(self.inputs)), ("grad_overrides", grad_overrides, len(self.inputs)),
                                   ("rop_overrides", rop_overrides, len(self.outputs))):
            _check_override(f"{self.name}: {what}", given, count)
        self.connection_pattern = self._links(connection_pattern)

    def _links(self, pattern: Sequence[Sequence[bool]] | None) -> list[bool] | None:
        if pattern is None:
            return None
        if len(pattern) != len(self.inputs) or any(len(p) != len(self.outputs) for p in pattern):
            raise GraphError(f"{self.name}: connection_pattern needs a list for each of the {len(self.inputs)} inputs, with a boolean "
                             f"for each of the {len(self.outputs)} outputs{at(here())}")
        return [any(p) for p in pattern]

    def __call__(self, *args: Any) -> Any:
        if len(args) != len(self.inputs):
            raise CallError(f"{self.name} takes {len(self.inputs)} arguments, {len(args)} given{at(here())}")
        given = [self._argument(a, i, k) for k, (a, i) in enumerate(zip(args, self.inputs))]
        found = applied(self.name, self.inputs, self.outputs, given, self._pull(), self._push(), self.connection_pattern)
        return found[0] if len(found) == 1 else list(found)

    def _argument(self, value: Any, like: Out, number: int) -> Out:
        out = cast_to(value, like.dtype) if dtypes.is_weak(value) else as_symbol(value)
        label = f"{self.name}: argument {number} ({like.name or 'unnamed'})"
        if out.ndim != like.ndim:
            raise RankError(f"{label} has {out.ndim} axes, {like.ndim} are needed{at(here())}")
        if out.dtype != like.dtype and dtypes.promote([out.dtype, like.dtype], ()) != like.dtype:
            raise DTypeError(f"{label} is {out.dtype}, {like.dtype} is needed: cast it{at(here())}")
        known = tuple(d.const for d in like.type.shape)
        if any(n is not None and d.const != n for n, d in zip(known, out.type.shape)):
            out = specify_shape(out, known)  # what is inside may rest on these lengths
        return cast_to(out, like.dtype)

    def _pull(self) -> Trace | None:
        given, short = (self._grad, True) if is_default(self._lop) else (self._lop, False)
        if is_default(given):
            return None
        n = len(self.outputs)

        def rule(s: Sequence[Out]) -> Sequence[Any]:
            parts = [list(self.inputs), *([] if short else [list(s[:n])]), list(s[n:])]
            return _overridden(given, parts, len(self.inputs))
        return traced(_first(given), rule, [fresh(o) for o in self.outputs * 2], with_outputs=True)

    def _push(self) -> Trace | None:
        if is_default(self._rop):
            return None
        return traced(_first(self._rop), lambda s: _overridden(self._rop, [list(self.inputs), list(s)], len(self.outputs)),
                      [fresh(i) for i in self.inputs])

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self.inputs)} inputs, {len(self.outputs)} outputs>"


def _symbols(what: str, given: Any) -> list[Out]:
    items = [given] if isinstance(given, Out) else given
    if not isinstance(items, list | tuple) or not items or any(not isinstance(i, Out) for i in items):
        raise GraphError(f"OpFromGraph: {what}={shortly(given)}: a list of symbols is needed{at(here())}")
    return list(items)


def _check_override(what: str, given: Any, count: int) -> None:
    if isinstance(given, list | tuple) and len(given) != count:
        raise GradientError(f"{what} has {len(given)} entries where {count} are needed{at(here())}")
    for item in given if isinstance(given, list | tuple) else [given]:
        if not (item is None or isinstance(item, Undefined) or callable(item) or is_default(item)):
            raise GradientError(f"{what}: {shortly(item)}: \"default\", a function, an OpFromGraph or None is needed{at(here())}")


def _overridden(given: Any, parts: Sequence[list[Any]], count: int) -> Sequence[Any]:
    """What an override, or a list of them, gives for all inputs (or outputs)."""
    if isinstance(given, list | tuple):
        return [_called(item, parts) for item in given]
    found = _called(given, parts)
    if found is None or isinstance(found, Undefined):
        return [found] * count
    return list(found) if isinstance(found, list | tuple) else [found]


def _first(given: Any) -> Any:
    """What tells an override, or a list of them, from others: the first that can be called."""
    return next((i for i in given if callable(i)), None) if isinstance(given, list | tuple) else given


def _called(given: Any, parts: Sequence[list[Any]]) -> Any:
    if given is None or isinstance(given, Undefined) or is_default(given):
        return given
    return given(*(x for part in parts for x in part)) if isinstance(given, OpFromGraph) else given(*parts)


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of symbols with a gradient of its own: `function(*args)` returns its value and `pull`, or value, pull and `push`.

        @eg.custom_gradient
        def log1pexp(x):
            e = eg.exp(x)
            return eg.log(1 + e), lambda g: g * (1 - 1 / (1 + e))

    The value is a symbol, or a tuple, list or dict of them.  pull(*cotangents), one for each symbol in it, returns the cotangents of the
    tensors among the arguments: one, or a tuple or list, and for arguments that are containers in their form or one after the other;
    symbols, arrays or numbers; None is zero.  push(*tangents), one for each such tensor, returns the tangents of the values: what forward
    mode uses; without it forward mode follows what is inside.  Second gradients differentiate pull.  What the function takes from outside
    (shared variables, other symbols) keeps the gradient that follows from what is inside.  The function, and its rules, are called
    once for each use, on symbols that stand for its arguments; numbers, texts and keywords are passed on to it as they are.
    """
    name = getattr(function, "__name__", "custom_gradient")

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        given = tensors(args)
        inputs = [fresh(t) for t in given]
        returned = function(*with_tensors(args, inputs), **keywords)
        if not isinstance(returned, tuple) or len(returned) not in (2, 3) or not callable(returned[1]) or not callable(returned[-1]):
            raise GradientError(f"{name}: a custom_gradient returns (value, pull) or (value, pull, push), not {shortly(returned, 80)}"
                                f"{at(here())}")
        outs = results(name, returned[0])
        pull = traced(function, lambda s: per_tensor(returned[1](*s), args, f"{name}: its cotangents"), [fresh(o) for o in outs])
        push = traced(function, lambda s: returned[2](*s), [fresh(i) for i in inputs]) if len(returned) == 3 else None
        made = applied(name, inputs, outs, given, pull, push)
        return formed(returned[0], made)
    return call
