"""Products with Jacobians: Rop and Lop by Theano's names, jvp, vjp and linearize for functions of symbols."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from exprgraph import dtypes, forward
from exprgraph.called import formed
from exprgraph.errors import DisconnectedInputError, GradientError, at, here
from exprgraph.grad import choose, filled, grad
from exprgraph.nested import each, flat
from exprgraph.node import OPERATORS, Out, as_symbol
from exprgraph.ops.rounding import second
from exprgraph.stabilise import restored, stabilised, swapped
from exprgraph.warned import warn


def Rop(f: Any, wrt: Any, eval_points: Any, disconnected_outputs: str = "raise", return_disconnected: str = "zero") -> Any:
    """The Jacobian of f with respect to wrt times eval_points: the slope of f in that direction, in f's shape and dtype.

    f, wrt: a symbol each, or lists or tuples of symbols; the result is of the form of f.  eval_points: for each of wrt a tensor that
    broadcasts to its shape; None is zero.  disconnected_outputs: "raise" (DisconnectedInputError), "warn" or "ignore" where an output
    does not depend on wrt; the result is then zeros, or None with return_disconnected="none".  GradientError where the numbers differ.
    """
    choose("disconnected_outputs", disconnected_outputs, ("raise", "warn", "ignore"))
    otherwise = choose("return_disconnected", return_disconnected, ("zero", "none", "disconnected"), any_case=True)
    outputs, starts = _listed(f), _pairs(wrt, eval_points, "wrt", "eval_points")
    return _like(f, tangents(outputs, starts, disconnected_outputs, otherwise))


def tangents(outputs: Sequence[Out], starts: Sequence[tuple[Out, Any]], disconnected: str = "raise", otherwise: str = "zero",
             constant: Iterable[Out] = ()) -> list[Out | None]:
    """The tangents of outputs with the policies of `Rop`; constant: tensors through which nothing flows."""
    whole = [x for x, t in starts if t is not None and not dtypes.has_gradient(x.dtype)]
    if whole and disconnected != "ignore":
        name = whole[0].name or whole[0].node.op.name
        _complain(disconnected, f"no derivative with respect to {name}: its dtype {whole[0].dtype} carries none; None "
                                "as its tangent, or \"ignore\", takes it for constant")
    symbols, held = [x for x, _ in starts], list(constant)
    stable, leaves = stabilised(outputs, [*symbols, *held])
    moving = [(x, t) for x, (_, t) in zip(swapped(symbols, leaves), starts) if t is not None]
    known = restored(forward.pushforward(stable, moving, swapped(held, leaves)), leaves)
    linked = forward.reaches(outputs, {x.node for x in symbols if dtypes.has_gradient(x.dtype)})
    return [_settled(y, t, there, disconnected, otherwise) for y, t, there in zip(outputs, known, linked)]


def _settled(y: Out, t: Out | None, linked: bool, policy: str, otherwise: str) -> Out | None:
    if t is not None:
        return t
    if linked and dtypes.has_gradient(y.dtype):
        return second(y, 0.0)  # zeros that depend on y, so that they have a derivative in their turn
    why = f"its dtype {y.dtype} carries no derivative" if linked else "it does not depend on any of wrt"
    if policy != "ignore":
        _complain(policy, f"no derivative of {y.name or y.node.op.name}: {why}; \"ignore\" gives zeros")
    return filled(0.0, y) if otherwise == "zero" else None


def _complain(policy: str, message: str) -> None:
    """Raise DisconnectedInputError or warn."""
    if policy == "raise":
        raise DisconnectedInputError(message + at(here()))
    warn(message + at(here()))


def Lop(f: Any, wrt: Any, eval_points: Any, consider_constant: Iterable[Out] | None = None, disconnected_inputs: str = "raise",
        return_disconnected: str = "zero") -> Any:
    """eval_points times the Jacobian of f with respect to wrt, in the form of wrt, each of its symbol's shape and dtype.

    f: a symbol, or a list or tuple of them; eval_points: for each a tensor that broadcasts to its shape.  The other arguments are those
    of `grad`.  GradientError where the numbers differ.
    """
    pairs = _pairs(f, eval_points, "f", "eval_points")
    known = {OPERATORS["identity"](y): g for y, g in pairs if g is not None}  # nodes of their own, as one may depend on another
    if not known:
        raise GradientError(f"Lop needs at least one eval_point that is not None{at(here())}")
    return grad(None, wrt, consider_constant, disconnected_inputs, add_names=False, known_grads=known,
                return_disconnected=return_disconnected)


def pushforward(f: Any, wrt: Any, tangents: Any, disconnected_outputs: str = "raise", return_disconnected: str = "zero") -> Any:
    """`Rop` under PyTensor's name."""
    return Rop(f, wrt, tangents, disconnected_outputs, return_disconnected)


def pullback(f: Any, wrt: Any, cotangents: Any, consider_constant: Iterable[Out] | None = None, disconnected_inputs: str = "raise",
             return_disconnected: str = "zero") -> Any:
    """`Lop` under PyTensor's name."""
    return Lop(f, wrt, cotangents, consider_constant, disconnected_inputs, return_disconnected)


def jvp(fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """fn at the primals, and its derivative in the direction of the tangents, both in the form of fn's result.

    fn: a function of symbols.  Primals and its result are tensors, or tuples, lists or dicts of them, nested; tangents have the form of the
    primals, None is zero.  What fn takes from outside itself counts as constant.
    """
    places, outputs = _called(fn, primals)
    return outputs, _derivative("jvp", outputs, places, tangents)


def vjp(fn: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """fn at the primals, and the function that takes cotangents, in the form of fn's result, to one for each primal."""
    places, outputs = _called(fn, primals)

    def pull(cotangents: Any) -> tuple[Any, ...]:
        """The cotangents of the primals."""
        given = [c for _, c in flat(cotangents)]
        found = Lop([y for _, y in flat(outputs)], places, given, disconnected_inputs="ignore")
        return formed(primals, found)  # type: ignore[no-any-return]
    return outputs, pull


def linearize(fn: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """fn at the primals, and its derivative there as a function of one tangent for each primal, in its form, linear in them all."""
    places, outputs = _called(fn, primals)

    def push(*tangents: Any) -> Any:
        """The tangents of the outputs."""
        return _derivative("linearize", outputs, places, tangents)
    return outputs, push


def _called(fn: Callable[..., Any], primals: Sequence[Any]) -> tuple[list[Out], Any]:
    """fn on copies of its arguments, which are tensors of their own even if one is given twice or used by fn from outside."""
    places: list[Out] = []

    def place(primal: Any) -> Out:
        x = as_symbol(primal)
        places.append(OPERATORS["identity"](x) if dtypes.has_gradient(x.dtype) else x)
        return places[-1]
    arguments = [each(p, place) for p in primals]
    return places, each(fn(*arguments), as_symbol)


def _derivative(name: str, outputs: Any, places: Sequence[Out], given: Sequence[Any]) -> Any:
    """The tangents of outputs, in their form."""
    listed = [t for _, t in flat(list(given))]
    if len(listed) != len(places):
        raise GradientError(f"{name}: {len(places)} primals and {len(listed)} tangents{at(here())}")
    for x, t in zip(places, listed):
        _check(x, t, "primals", "the tangent")
    return formed(outputs, tangents([y for _, y in flat(outputs)], list(zip(places, listed)), "ignore"))


def _listed(value: Any) -> list[Out]:
    return [as_symbol(v) for v in value] if isinstance(value, list | tuple) else [as_symbol(value)]


def _like(form: Any, found: list[Any]) -> Any:
    return found[0] if not isinstance(form, list | tuple) else tuple(found) if isinstance(form, tuple) else found


def _pairs(tensors: Any, points: Any, one: str, other: str) -> list[tuple[Out, Any]]:
    """Tensors with what is given for each."""
    several = isinstance(tensors, list | tuple)
    listed, given = (list(tensors), points) if several else ([tensors], [points])
    if not isinstance(given, list | tuple) or len(given) != len(listed):
        count = len(given) if isinstance(given, list | tuple) else 1
        raise GradientError(f"{one} holds {len(listed)} tensors, {other} {count}{at(here())}")
    for x, t in zip(listed, given):
        _check(x, t, one, other)
    return list(zip(listed, given))


def _check(x: Any, t: Any, one: str, other: str) -> None:
    if not isinstance(x, Out):
        raise GradientError(f"{one} must hold symbols, not {type(x).__name__}{at(here())}")
    if t is not None and dtypes.is_complex(as_symbol(t).dtype) and not dtypes.is_complex(x.dtype):
        raise GradientError(f"{other} for {x.name or x.node.op.name}: a complex tensor for one that is {x.dtype}{at(here())}")
    if t is not None and as_symbol(t).ndim > x.ndim:
        raise GradientError(f"{other} for {x.name or x.node.op.name}: a tensor of {as_symbol(t).ndim} axes does not fit one of {x.ndim}"
                            f"{at(here())}")
